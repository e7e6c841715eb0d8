//! The metadata of an app's restart files, read on the router's behalf.
//!
//! No file is opened and no symlink at the end of the path is followed. A directory is used only when its owner or its
//! group, other than root, can reach it: otherwise the router could detect directories that only root sees.

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::path::Path;

use nix::fcntl::{self, AtFlags, OFlag};
use nix::sys::stat::{self, FileStat, Mode};
use nix::unistd::{self, Gid, Uid};
use serde::{Deserialize, Serialize};

use super::changes;
use common::link::RestartFiles;
use common::sys::dir_watch;
use common::sys::identity::{Identity, with_file_rights_of};

/// The files' names.
const RESTART: &str = "restart.txt";
const ALWAYS_RESTART: &str = "always_restart.txt";
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
    /// The watches by which changes are noticed; an error when there are none left.
    pub(crate) watched: Result<Vec<Watched>, String>,
}

/// A watch of a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Watched {
    /// Its number in the supervisor's inotify instance.
    pub(crate) number: i32,
    /// The user to whom the directory belongs.
    pub(crate) owner: u32,
    /// What is watched for.
    pub(crate) names: Names,
}

/// The names in a watched directory that matter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Names {
    /// Those of the restart files.
    Files,
    /// That of the directory of restart files, or of a symbolic link above it.
    Entry(OsString),
}

impl Names {
    /// Whether this name matters.
    pub(crate) fn contain(&self, name: &OsStr) -> bool {
        match self {
            Self::Files => name == RESTART || name == ALWAYS_RESTART,
            Self::Entry(entry) => name == entry,
        }
    }
}

impl Default for RestartFilesCheck {
    fn default() -> Self {
        Self { found: NOTHING, withheld: false, watched: Ok(Vec::new()) }
    }
}

/// Returns the restart files in `dir`, and watches it for changes. What cannot be checked is treated as absent.
pub(super) fn check(dir: &Path, inotify: Option<&OwnedFd>) -> RestartFilesCheck {
    // What changes after this is reported, and what has changed before is found below.
    let watched = inotify.map_or_else(|| Ok(Vec::new()), |inotify| watch_all(dir, inotify));
    let nothing = RestartFilesCheck { watched: watched.clone(), ..Default::default() };
    let Some((directory, status)) = enter(dir) else { return nothing };
    let found = RestartFiles {
        restart_mtime: metadata(&directory, RESTART).map(|found| mtime(&found)),
        always: metadata(&directory, ALWAYS_RESTART).is_some(),
    };
    if is_usable(dir, &status) {
        RestartFilesCheck { found, ..nothing }
    } else {
        RestartFilesCheck { withheld: found != NOTHING, ..nothing }
    }
}

/// Watches the directory or, as long as it does not exist, the one in which it is made. An app's directory that is a
/// symbolic link, as deployment tools replace it, is watched as well.
fn watch_all(dir: &Path, inotify: &OwnedFd) -> Result<Vec<Watched>, String> {
    let mut watched = Vec::new();
    match watch(dir, Names::Files, inotify)? {
        Some(one) => watched.push(one),
        None => watched.extend(watch_entry(dir, inotify)?),
    }
    if let Some(app) = dir.parent().filter(|app| app.is_symlink()) {
        watched.extend(watch_entry(app, inotify)?);
    }
    Ok(watched)
}

/// Watches the directory that contains this one.
fn watch_entry(dir: &Path, inotify: &OwnedFd) -> Result<Option<Watched>, String> {
    match (dir.parent(), dir.file_name()) {
        (Some(parent), Some(name)) => watch(parent, Names::Entry(name.to_owned()), inotify),
        _ => Ok(None),
    }
}

/// Watches a directory, if it can be; an error when there are no watches left.
fn watch(dir: &Path, names: Names, inotify: &OwnedFd) -> Result<Option<Watched>, String> {
    let Some((directory, status)) = enter(dir).filter(|(_, status)| is_usable(dir, status)) else {
        return Ok(None);
    };
    match dir_watch::add(inotify, &directory) {
        Ok(number) => Ok(Some(Watched { number, owner: status.st_uid, names })),
        Err(why) if changes::are_used_up(&why) => Err(why.to_string()),
        Err(_) => Ok(None),
    }
}

/// Whether what is in the directory may be reported.
fn is_usable(dir: &Path, status: &FileStat) -> bool {
    !unistd::geteuid().is_root() || is_within_reach(dir, status)
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
        assert_eq!(check(&dir, None), RestartFilesCheck::default());

        let file = File::create(dir.join("restart.txt")).unwrap();
        file.set_modified(UNIX_EPOCH + Duration::new(1_700_000_000, 5)).unwrap();
        std::os::unix::fs::symlink("/nonexistent", dir.join("always_restart.txt")).unwrap();
        let found = RestartFiles { restart_mtime: Some(1_700_000_000_000_000_005), always: true };
        assert_eq!(check(&dir, None), RestartFilesCheck { found, ..Default::default() });
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_relative_directory_has_no_restart_files() {
        assert_eq!(check(Path::new("tmp"), None), RestartFilesCheck::default());
    }
}
