//! A file system that can be frozen: whoever writes to it, or opens a file for writing, waits in the kernel until it is
//! thawed. For root only.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Gone at the end.
pub struct FrozenDisk {
    at: PathBuf,
    image: PathBuf,
}

impl FrozenDisk {
    /// Whether this machine lets a test have one.
    pub fn can_be() -> bool {
        let there = |tool: &str| Path::new("/usr/sbin").join(tool).exists();
        Path::new("/dev/loop-control").exists() && there("mkfs.ext4") && there("fsfreeze")
    }

    /// Mounts one that is not frozen; `name` is any that no other test has.
    pub fn mount(name: &str) -> Self {
        let at = std::env::temp_dir().join(format!("fp-frozen-{name}-{}", std::process::id()));
        let image = at.with_extension("img");
        std::fs::create_dir(&at).unwrap();
        std::fs::File::create(&image).unwrap().set_len(128 << 20).unwrap();
        let disk = Self { at, image };
        run("mkfs.ext4", &["-q".as_ref(), &disk.image]);
        run("mount", &["-o".as_ref(), "loop".as_ref(), &disk.image, &disk.at]);
        disk
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.at
    }

    /// Whoever writes waits, as long as the result lives.
    pub fn freeze(&self) -> Frozen {
        run("fsfreeze", &["-f".as_ref(), &self.at]);
        Frozen(self.at.clone())
    }
}

/// Thaws the disk at its end, so that whoever waits goes on. It has to end before a daemon that may wait is awaited.
#[must_use]
pub struct Frozen(PathBuf);

impl Drop for Frozen {
    fn drop(&mut self) {
        run("fsfreeze", &["-u".as_ref(), &self.0]);
    }
}

fn run(program: &str, words: &[&Path]) {
    let ended = Command::new(program).args(words).status();
    assert!(ended.is_ok_and(|status| status.success()), "{program} {words:?} failed");
}

impl Drop for FrozenDisk {
    fn drop(&mut self) {
        // Lazily: a daemon that has failed may still hold a file.
        let _ = Command::new("umount").arg("-l").arg(&self.at).status();
        let _ = std::fs::remove_dir(&self.at);
        let _ = std::fs::remove_file(&self.image);
    }
}
