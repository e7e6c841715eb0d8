//! The pipes between applications, router and log: waits until everything that was written to them has arrived.

use std::fs::{self, OpenOptions};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::process::children;

/// A stopped or flooded router never becomes idle: after this time the log is read as it is.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Waits until all pipes of the supervisor are empty, and supervisor and log writer wait for events.
pub(crate) fn settle(supervisor: u32) {
    let began = Instant::now();
    let is_busy =
        || holds_anything(supervisor) || !is_asleep(supervisor) || !writers(supervisor).all(is_asleep);
    while began.elapsed() < TIMEOUT && is_busy() {
        thread::sleep(Duration::from_millis(1));
    }
}

fn writers(supervisor: u32) -> impl Iterator<Item = u32> {
    let is_writer =
        |pid: &u32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "flying-log\n");
    children(supervisor).into_iter().filter(is_writer)
}

fn holds_anything(supervisor: u32) -> bool {
    let Ok(open) = fs::read_dir(format!("/proc/{supervisor}/fd")) else { return false };
    open.filter_map(Result::ok).any(|entry| is_pipe(&entry.path()) && is_readable(&entry.path()))
}

fn is_pipe(descriptor: &Path) -> bool {
    fs::read_link(descriptor).is_ok_and(|target| target.to_string_lossy().starts_with("pipe:"))
}

/// Polls another reader of the same pipe, which consumes nothing.
fn is_readable(pipe: &Path) -> bool {
    let Ok(reader) = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(pipe) else {
        return false;
    };
    let mut watched = [PollFd::new(reader.as_fd(), PollFlags::POLLIN)];
    let ready = poll(&mut watched, PollTimeout::ZERO);
    ready.is_ok() && watched[0].revents().is_some_and(|events| events.contains(PollFlags::POLLIN))
}

/// State `S` of proc_pid_stat(5); a process that is gone has nothing left to write.
fn is_asleep(supervisor: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{supervisor}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_none_or(|(_, state)| state.starts_with('S'))
}
