//! The metadata of an app's restart files, read on the router's behalf.
//!
//! No file is opened and no symlink at the end of the path is followed. A directory is used only when its owner or its
//! group, other than root, can reach it: otherwise the router could detect directories that only root sees.

use std::os::fd::OwnedFd;
use std::path::Path;

use nix::fcntl::{self, AtFlags, OFlag};
use nix::sys::stat::{self, FileStat, Mode};
use nix::unistd::{self, Gid, Uid};
use serde::{Deserialize, Serialize};

use common::link::RestartFiles;
use common::sys::identity::{Identity, with_file_rights_of};

/// Used in place of root.
const NOBODY: u32 = 65534;
const NOTHING: RestartFiles = RestartFiles { restart_mtime: None, always: false };

/// The result of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RestartFilesCheck {
    /// What is reported to the router.
    pub(crate) found: RestartFiles,
    /// Whether files are ignored because only root can reach their directory.
    pub(crate) withheld: bool,
}

impl Default for RestartFilesCheck {
    fn default() -> Self {
        Self { found: NOTHING, withheld: false }
    }
}

/// Returns the restart files in `dir`. What cannot be checked is treated as absent.
pub(super) fn check(dir: &Path) -> RestartFilesCheck {
    let Some((directory, status)) = enter(dir) else { return RestartFilesCheck::default() };
    let found = RestartFiles {
        restart_mtime: metadata(&directory, "restart.txt").map(|found| mtime(&found)),
        always: metadata(&directory, "always_restart.txt").is_some(),
    };
    if !unistd::geteuid().is_root() || is_within_reach(dir, &status) {
        RestartFilesCheck { found, withheld: false }
    } else {
        RestartFilesCheck { found: NOTHING, withheld: found != NOTHING }
    }
}

/// Returns a warning about files that are ignored because only root can reach their directory.
pub(crate) fn withheld(dir: &Path) -> String {
    let dir = dir.display();
    format!(
        "those in {dir} are ignored, as only root can enter a directory above it: give {dir} to the user of the app, \
         or make the directories above it accessible (chmod o+x)"
    )
}

fn enter(dir: &Path) -> Option<(OwnedFd, FileStat)> {
    if !dir.is_absolute() {
        return None;
    }
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let directory = fcntl::open(dir, flags, Mode::empty()).ok()?;
    let status = stat::fstat(&directory).ok()?;
    Some((directory, status))
}

/// Whether the directory's owner or group reaches this same directory.
fn is_within_reach(dir: &Path, status: &FileStat) -> bool {
    let or_nobody = |number| if number == 0 { NOBODY } else { number };
    let (uid, gid) = (or_nobody(status.st_uid), or_nobody(status.st_gid));
    let identity = Identity { uid: Uid::from_raw(uid), gid: Gid::from_raw(gid), groups: Vec::new() };
    let seen = with_file_rights_of(&identity, || stat::stat(dir));
    seen.is_ok_and(|seen| seen.is_ok_and(|seen| (seen.st_dev, seen.st_ino) == (status.st_dev, status.st_ino)))
}

fn metadata(directory: &OwnedFd, name: &str) -> Option<FileStat> {
    stat::fstatat(directory, name, AtFlags::AT_SYMLINK_NOFOLLOW).ok()
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
    fn returns_the_mtime_of_one_file_and_the_presence_of_the_other() {
        let dir = std::env::temp_dir().join(format!("fp-restart-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        assert_eq!(check(&dir), RestartFilesCheck::default());

        let file = File::create(dir.join("restart.txt")).unwrap();
        file.set_modified(UNIX_EPOCH + Duration::new(1_700_000_000, 5)).unwrap();
        std::os::unix::fs::symlink("/nonexistent", dir.join("always_restart.txt")).unwrap();
        let found = RestartFiles { restart_mtime: Some(1_700_000_000_000_000_005), always: true };
        assert_eq!(check(&dir), RestartFilesCheck { found, withheld: false });
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_relative_directory_has_no_restart_files() {
        assert_eq!(check(Path::new("tmp")), RestartFilesCheck::default());
    }
}
