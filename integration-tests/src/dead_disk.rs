//! A file system that never answers, as one at the end of a network whose other side has gone. For root only.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Gone at the end.
pub struct DeadDisk {
    at: PathBuf,
    holder: Option<Child>,
}

/// Mounts a FUSE file system that nobody serves, and holds the kernel's end of it.
const MOUNT: &str = "exec 3<>/dev/fuse &&
mount -i -t fuse -o fd=3,rootmode=40000,user_id=0,group_id=0,allow_other dead \"$0\" && echo mounted && exec sleep 100000";

impl DeadDisk {
    /// Whether this machine lets a test have one.
    pub fn can_be() -> bool {
        Path::new("/dev/fuse").exists()
    }

    /// Puts one over this directory: from now on whoever looks into it waits.
    pub fn mount_over(dir: &Path) -> Self {
        let holder = Command::new("sh").args(["-c", MOUNT]).arg(dir).stdout(Stdio::piped()).spawn();
        let mut holder = holder.expect("no shell");
        let mut said = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut said).unwrap();
        let disk = Self { at: dir.to_owned(), holder: Some(holder) };
        assert_eq!(said, "mounted\n", "no dead disk");
        disk
    }

    /// Has everybody who waits go on, and what is below come to light again.
    pub fn come_back(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if let Some(mut holder) = self.holder.take() {
            // Without the kernel's other end everything that waits fails.
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
