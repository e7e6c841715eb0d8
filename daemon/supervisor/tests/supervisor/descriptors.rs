//! Tests of putting descriptors in place for a program when they come from the very numbers that they are moved to.

use std::fs::{self, File};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::{Command, ExitCode};

use common::sys::descriptors::place_for_exec;

use crate::{Test, test};

pub(crate) const TESTS: &[Test] =
    &[test("descriptors_may_come_from_each_others_places", descriptors_may_come_from_each_others_places)];

const FILES: [&str; 5] = ["/dev/full", "/dev/null", "/dev/random", "/dev/urandom", "/dev/zero"];

fn descriptors_may_come_from_each_others_places() {
    let output = Command::new(std::env::current_exe().unwrap()).arg("placing").output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// Opens files on 3 and up, and requests them in reverse order; runs in a separate process.
pub(crate) fn place() -> ExitCode {
    let mut opened: Vec<OwnedFd> = FILES.iter().map(|path| File::open(path).unwrap().into()).collect();
    if !opened.iter().any(|fd| fd.as_raw_fd() == 3) || !opened.iter().any(|fd| fd.as_raw_fd() == 4) {
        return ExitCode::FAILURE;
    }
    opened.reverse();
    place_for_exec(opened).unwrap();
    let placed = (0..5).map(|number| fs::read_link(format!("/proc/self/fd/{number}")).unwrap());
    if placed.eq(FILES.iter().rev().map(Into::<std::path::PathBuf>::into)) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
