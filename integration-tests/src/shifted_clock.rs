//! A time of day that a test can set, for the programs that it starts: a library in front of the C library's.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::stage::Stage;

/// The clock, and the library that shows it.
pub struct ShiftedClock {
    library: PathBuf,
    shift: PathBuf,
}

impl ShiftedClock {
    /// One that goes right.
    pub fn new(stage: &Stage) -> Self {
        let (library, shift) = (stage.path("shifted_clock.so"), stage.path("shift"));
        fs::write(&shift, 0_i64.to_ne_bytes()).unwrap();
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src/shifted_clock.c");
        let compiled = Command::new("gcc")
            .args(["-O1", "-Wall", "-Werror", "-shared", "-fPIC"])
            .arg(format!("-DSHIFT=\"{}\"", shift.display()))
            .arg("-o")
            .args([&library, Path::new(source)])
            .status();
        assert!(compiled.is_ok_and(|status| status.success()), "the library cannot be compiled");
        Self { library, shift }
    }

    /// Sets it to so many seconds from the right time, under every program that looks at it.
    pub fn jump_to(&self, seconds: i64) {
        // The same file, which they have mapped.
        use std::os::unix::fs::FileExt;
        fs::File::options()
            .write(true)
            .open(&self.shift)
            .unwrap()
            .write_all_at(&seconds.to_ne_bytes(), 0)
            .unwrap();
    }

    /// For `LD_PRELOAD`.
    pub fn library(&self) -> &Path {
        &self.library
    }
}
