//! A file system that can be frozen: a process that writes to it, or opens a file for writing, blocks until it is
//! thawed. Root only.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Unmounted when dropped.
pub struct FrozenDisk {
    at: PathBuf,
    image: PathBuf,
}

impl FrozenDisk {
    /// Whether this machine supports it.
    pub fn is_supported() -> bool {
        let there = |tool: &str| Path::new("/usr/sbin").join(tool).exists();
        Path::new("/dev/loop-control").exists() && there("mkfs.ext4") && there("fsfreeze")
    }

    /// Mounts one that is not frozen; `name` must be unique among tests.
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

    /// Its mount point.
    pub fn path(&self) -> &Path {
        &self.at
    }

    /// Blocks all writers until the result is dropped.
    pub fn freeze(&self) -> Frozen {
        run("fsfreeze", &["-f".as_ref(), &self.at]);
        Frozen(self.at.clone())
    }
}

/// Thaws the disk when dropped, so that blocked writers continue. Drop it before waiting for a blocked daemon.
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
        // Lazily, because a failed daemon may still have a file open.
        let _ = Command::new("umount").arg("-l").arg(&self.at).status();
        let _ = std::fs::remove_dir(&self.at);
        let _ = std::fs::remove_file(&self.image);
    }
}
