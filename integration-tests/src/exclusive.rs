//! A lock for tests that transfer much data, and the file that they upload.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::process::Command;

use nix::fcntl::{Flock, FlockArg};

use crate::ports::shared;

/// Length of the upload: 200 MB.
pub const UPLOAD_LEN: u64 = 200 * 1024 * 1024;

/// Held by a test while it transfers much data: one at a time on this machine.
pub struct Exclusive {
    _lock: Flock<File>,
}

impl Exclusive {
    /// Waits for the lock.
    pub fn lock() -> Self {
        let path = shared("heavy.lock");
        let file = File::options().create(true).write(true).truncate(false).open(path).unwrap();
        let lock = Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| error);
        Self { _lock: lock.expect("cannot take the lock of heavy tests") }
    }
}

/// A file of [`UPLOAD_LEN`] bytes that do not repeat, created once. The caller holds [`Exclusive`].
pub fn upload_file(_exclusive: &Exclusive) -> PathBuf {
    let path = shared("upload.bin");
    if fs::metadata(&path).is_ok_and(|meta| meta.len() == UPLOAD_LEN) {
        return path;
    }
    let mut out = BufWriter::new(File::create(&path).unwrap());
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    for _ in 0..UPLOAD_LEN / 8 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.write_all(&state.to_le_bytes()).unwrap();
    }
    out.flush().unwrap();
    path
}

/// SHA-256 of [`upload_file`], in hexadecimal.
pub fn sha256_of_upload(lock: &Exclusive) -> String {
    let output = Command::new("sha256sum").arg(upload_file(lock)).output().expect("coreutils has sha256sum");
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_whitespace().next().unwrap().to_owned()
}
