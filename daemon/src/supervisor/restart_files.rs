//! An app's restart files: their metadata, and nothing else, on the router's behalf.
//!
//! Nothing is opened and no symlink at the end of the path is followed.

use std::path::Path;

use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::sys::stat::{self, FileStat};

use crate::link::RestartFiles;

/// What there is in `dir`. What cannot be looked at is not there.
pub(super) fn look(dir: &Path) -> RestartFiles {
    RestartFiles {
        restart_mtime: metadata(dir, "restart.txt").map(|found| mtime(&found)),
        always: metadata(dir, "always_restart.txt").is_some(),
    }
}

fn metadata(dir: &Path, name: &str) -> Option<FileStat> {
    if !dir.is_absolute() {
        return None;
    }
    stat::fstatat(AT_FDCWD, &dir.join(name), AtFlags::AT_SYMLINK_NOFOLLOW).ok()
}

fn mtime(found: &FileStat) -> i128 {
    i128::from(found.st_mtime) * 1_000_000_000 + i128::from(found.st_mtime_nsec)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn tells_the_time_of_one_and_the_presence_of_the_other() {
        let dir = std::env::temp_dir().join(format!("fp-restart-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        assert_eq!(look(&dir), RestartFiles { restart_mtime: None, always: false });

        let file = File::create(dir.join("restart.txt")).unwrap();
        file.set_modified(UNIX_EPOCH + Duration::new(1_700_000_000, 5)).unwrap();
        std::os::unix::fs::symlink("/nonexistent", dir.join("always_restart.txt")).unwrap();
        let expected = RestartFiles { restart_mtime: Some(1_700_000_000_000_000_005), always: true };
        assert_eq!(look(&dir), expected);
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_relative_directory_has_none() {
        assert_eq!(look(Path::new("tmp")), RestartFiles { restart_mtime: None, always: false });
    }
}
