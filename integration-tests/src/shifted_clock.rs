//! A wall clock that a test can set, for the programs that it starts: a library for `LD_PRELOAD`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::test_dir::TestDir;

/// The clock and its library.
pub struct ShiftedClock {
    library: PathBuf,
    shift: PathBuf,
}

impl ShiftedClock {
    /// Creates one with the right time.
    pub fn new(test_dir: &TestDir) -> Self {
        let (library, shift) = (test_dir.path("shifted_clock.so"), test_dir.path("shift"));
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

    /// Sets it to an offset from the right time, for all running programs.
    pub fn jump_to(&self, seconds: i64) {
        // Written in place, because the programs have mapped the file.
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
