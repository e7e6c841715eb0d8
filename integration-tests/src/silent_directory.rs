//! A directory service (NSS) that knows one user and can hang, for the programs that a test starts: a library for
//! `LD_PRELOAD`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::test_dir::TestDir;

/// The service and its library.
pub struct SilentDirectory {
    library: PathBuf,
    silent: PathBuf,
}

impl SilentDirectory {
    /// Creates one that answers queries for `user`, until it [hangs](Self::hang).
    pub fn of(test_dir: &TestDir, user: &str) -> Self {
        let (library, silent) = (test_dir.path("silent_directory.so"), test_dir.path("silent"));
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src/silent_directory.c");
        let compiled = Command::new("gcc")
            .args(["-O1", "-Wall", "-Werror", "-shared", "-fPIC"])
            .arg(format!("-DSILENT=\"{}\"", silent.display()))
            .arg(format!("-DUSER=\"{user}\""))
            .arg("-o")
            .args([&library, Path::new(source)])
            .status();
        assert!(compiled.is_ok_and(|status| status.success()), "the library cannot be compiled");
        Self { library, silent }
    }

    /// Makes all queries hang.
    pub fn hang(&self) {
        fs::write(&self.silent, "").unwrap();
    }

    /// Answers queries again, including those that hang.
    pub fn answer(&self) {
        fs::remove_file(&self.silent).unwrap();
    }

    /// For `LD_PRELOAD`.
    pub fn library(&self) -> &Path {
        &self.library
    }
}
