//! A file system that never answers, as a network file system whose server is gone. Root only.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Unmounted when dropped.
pub struct DeadDisk {
    at: PathBuf,
    holder: Option<Child>,
}

/// Mounts a FUSE file system that no process serves, and keeps its device open.
const MOUNT: &str = "exec 3<>/dev/fuse &&
mount -i -t fuse -o fd=3,rootmode=40000,user_id=0,group_id=0,allow_other dead \"$0\" && echo mounted && exec sleep 100000";

impl DeadDisk {
    /// Whether this machine supports it.
    pub fn is_supported() -> bool {
        Path::new("/dev/fuse").exists()
    }

    /// Mounts one over this directory: every access blocks from now on.
    pub fn mount_over(dir: &Path) -> Self {
        let holder = Command::new("sh").args(["-c", MOUNT]).arg(dir).stdout(Stdio::piped()).spawn();
        let mut holder = holder.expect("no shell");
        let mut printed = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut printed).unwrap();
        let disk = Self { at: dir.to_owned(), holder: Some(holder) };
        assert_eq!(printed, "mounted\n", "no dead disk");
        disk
    }

    /// Unmounts it: blocked processes continue, and the directory's contents are visible again.
    pub fn restore(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if let Some(mut holder) = self.holder.take() {
            // When its device is closed, every blocked access fails.
            let _ = holder.kill();
            let _ = holder.wait();
            let _ = Command::new("umount").arg("-l").arg(&self.at).status();
        }
    }
}

impl Drop for DeadDisk {
    fn drop(&mut self) {
        self.end();
    }
}
