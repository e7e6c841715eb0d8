//! A file system of one MiB that a test can fill. Root only.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Unmounted when dropped.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts one; `name` must be unique among tests.
    pub fn mount(name: &str) -> Self {
        let at = std::env::temp_dir().join(format!("fp-small-{name}-{}", std::process::id()));
        fs::create_dir(&at).unwrap();
        let options = ["-t", "tmpfs", "-o", "size=1m,mode=1777", "none"];
        let mounted = Command::new("mount").args(options).arg(&at).status();
        assert!(mounted.is_ok_and(|status| status.success()), "no small disk");
        Self(at)
    }

    /// Mounts one over a directory, with room for few files.
    pub fn over(dir: &Path) -> Self {
        let options = ["-t", "tmpfs", "-o", "size=1m,nr_inodes=64,mode=755", "none"];
        let mounted = Command::new("mount").args(options).arg(dir).status();
        assert!(mounted.is_ok_and(|status| status.success()), "no small disk");
        Self(dir.to_owned())
    }

    /// Leaves no room for another file until the result is dropped.
    pub fn fill_with_files(&self) -> impl Drop {
        let names = (0..).map(|number| self.0.join(format!("filler-{number}")));
        Fillers(names.map_while(|name| fs::write(&name, "").ok().map(|()| name)).collect())
    }

    /// Its mount point.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Fills it.
    pub fn fill(&self) {
        let full = fs::write(self.filler(), vec![0; 2 << 20]);
        assert!(full.is_err(), "it is small");
    }

    /// Frees the space.
    pub fn free(&self) {
        fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }
}

struct Fillers(Vec<PathBuf>);

impl Drop for Fillers {
    fn drop(&mut self) {
        self.0.iter().for_each(|name| fs::remove_file(name).unwrap());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, because a failed daemon may still have a file open.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
        let _ = fs::remove_dir(&self.0);
    }
}
