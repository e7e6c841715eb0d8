//! The location of an app, checked by metadata only: with its own rights, the daemon opens nothing below an app root.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use nix::unistd::{Gid, Uid};
use protocol::request::AppKind;
use serde::{Deserialize, Serialize};

use super::user::Owner;
use common::link::SpawnSpec;

/// The paths of an app that are checked before a process is started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AppPaths {
    /// Absolute.
    pub(super) root: PathBuf,
    /// Absolute; `None` for generic apps.
    startup_file: Option<PathBuf>,
    /// What decides as whom the app runs.
    decisive: PathBuf,
}

/// The files of an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AppFiles {
    /// The startup file, absolute; `None` for generic apps.
    pub(super) startup_file: Option<PathBuf>,
    /// The owner of [`AppPaths::decisive`].
    pub(super) owner: Owner,
    /// Device and inode of the root, of the startup file and of what has this owner.
    files: [(u64, u64); 3],
}

/// Why the app cannot be at the configured path.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AppFilesError {
    /// The root is not an absolute path.
    #[error("the app root \"{0}\" is not an absolute path")]
    Relative(PathBuf),
    /// The root does not exist.
    #[error("the app root {0} does not exist")]
    NoRoot(PathBuf),
    /// The root is a file.
    #[error("the app root {0} is not a directory")]
    NoDirectory(PathBuf),
    /// The startup file does not exist.
    #[error("the startup file {0} does not exist")]
    NoStartupFile(PathBuf),
    /// A startup file that was found is not below the root.
    #[error("the startup file {0} is not in the app's directory")]
    Outside(PathBuf),
    /// The start command is missing.
    #[error("no command to start the app is configured")]
    NoCommand,
    /// The metadata cannot be read.
    #[error("cannot check {0}: {1}")]
    Unreadable(PathBuf, io::Error),
}

impl AppPaths {
    /// Returns the paths of the app of `spec`.
    pub(super) fn of(spec: &SpawnSpec) -> Result<Self, AppFilesError> {
        if !spec.root.is_absolute() {
            return Err(AppFilesError::Relative(spec.root.clone()));
        }
        let is_generic = spec.kind == AppKind::Generic;
        if is_generic && spec.start_command.trim().is_empty() {
            return Err(AppFilesError::NoCommand);
        }
        let startup_file = (!is_generic).then(|| spec.root.join(&spec.startup_file));
        let decisive = match &startup_file {
            // The app's own files name it: a link in the middle of its path must not choose the user.
            Some(_) if !spec.found.is_empty() => spec.root.join(first_component(&spec.startup_file)?),
            Some(file) => file.clone(),
            None => spec.root.clone(),
        };
        Ok(Self { root: spec.root.clone(), startup_file, decisive })
    }
}

impl AppFiles {
    /// Checks the app's root and startup file.
    pub(super) fn look(paths: &AppPaths) -> Result<Self, AppFilesError> {
        let root = &paths.root;
        let directory = match root.metadata() {
            Ok(found) if found.is_dir() => found,
            Ok(_) => return Err(AppFilesError::NoDirectory(root.clone())),
            Err(why) => return Err(missing_or(why, root, AppFilesError::NoRoot)),
        };
        let (file, missing): (_, fn(PathBuf) -> _) = match &paths.startup_file {
            Some(file) => (file, AppFilesError::NoStartupFile),
            None => (root, AppFilesError::NoRoot),
        };
        let started = file.symlink_metadata().map_err(|why| missing_or(why, file, missing))?;
        let decisive = &paths.decisive;
        let owned = decisive.symlink_metadata().map_err(|why| missing_or(why, decisive, missing))?;
        Ok(Self {
            startup_file: paths.startup_file.clone(),
            owner: owner_of(&owned),
            files: [&directory, &started, &owned].map(|found| (found.dev(), found.ino())),
        })
    }
}

impl AppPaths {
    /// Returns what decides as whom the app runs: the startup file, or the root of a generic app. For a startup file that
    /// was found in a directory below the root, that directory.
    pub(super) fn decisive(&self) -> &Path {
        &self.decisive
    }

    /// Returns the startup file, or the root of a generic app.
    pub(super) fn entry(&self) -> &Path {
        self.startup_file.as_deref().unwrap_or(&self.root)
    }
}

impl AppFilesError {
    /// Whether a directory on the path is closed to the caller, so that what is behind it is unknown.
    pub(super) fn is_closed(&self) -> bool {
        matches!(self, Self::Unreadable(_, why) if why.kind() == io::ErrorKind::PermissionDenied)
    }
}

/// Returns a symlink's own owner, so that a user cannot run code as another user by linking to that user's file.
pub(super) fn owner(file: &Path) -> io::Result<Owner> {
    Ok(owner_of(&file.symlink_metadata()?))
}

/// Returns the entry of the app's directory through which the path of its startup file leads.
fn first_component(file: &Path) -> Result<PathBuf, AppFilesError> {
    let outside = || AppFilesError::Outside(file.to_path_buf());
    let is_plain = |part: Component<'_>| matches!(part, Component::Normal(_));
    let first = file.components().next().ok_or_else(outside)?;
    if file.components().all(is_plain) { Ok(PathBuf::from(first.as_os_str())) } else { Err(outside()) }
}

fn owner_of(found: &Metadata) -> Owner {
    Owner { uid: Uid::from_raw(found.uid()), gid: Gid::from_raw(found.gid()) }
}

fn missing_or(why: io::Error, file: &Path, missing: fn(PathBuf) -> AppFilesError) -> AppFilesError {
    match why.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => missing(file.to_path_buf()),
        _ => AppFilesError::Unreadable(file.to_path_buf(), why),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::spec;
    use super::*;

    fn look(spec: &SpawnSpec) -> Result<AppFiles, AppFilesError> {
        AppFiles::look(&AppPaths::of(spec)?)
    }

    fn refusal(kind: AppKind, root: &str) -> String {
        look(&spec(kind, root)).unwrap_err().to_string()
    }

    #[test]
    fn refusals_name_what_is_missing() {
        assert_eq!(refusal(AppKind::Ruby, "app"), "the app root \"app\" is not an absolute path");
        assert_eq!(refusal(AppKind::Ruby, "/no/app"), "the app root /no/app does not exist");
        assert_eq!(refusal(AppKind::Ruby, "/etc/passwd"), "the app root /etc/passwd is not a directory");
        assert_eq!(refusal(AppKind::Ruby, "/usr"), "the startup file /usr/config.ru does not exist");
    }

    #[test]
    fn the_owner_is_that_of_a_symlink_itself() {
        let dir = std::env::temp_dir().join(format!("fp-place-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        std::os::unix::fs::symlink("/no/such/target", dir.join("config.ru")).unwrap();
        let place = look(&spec(AppKind::Ruby, dir.to_str().unwrap())).unwrap();
        assert_eq!(place.owner.uid, nix::unistd::geteuid());
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_link_on_the_way_to_a_file_that_was_found_does_not_choose_the_user() {
        let dir = std::env::temp_dir().join(format!("fp-found-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        std::os::unix::fs::symlink("/etc", dir.join("lib")).unwrap();
        let mut spec = spec(AppKind::Node, dir.to_str().unwrap());
        spec.startup_file = "lib/passwd".into();
        spec.found = "\"main\" of package.json".into();
        let place = look(&spec).unwrap();
        assert_eq!(place.owner.uid, nix::unistd::geteuid(), "the owner of the link");
        assert_eq!(AppPaths::of(&spec).unwrap().decisive(), dir.join("lib"));
        for outside in ["../app.js", "/etc/passwd", "lib/../../x", ""] {
            spec.startup_file = outside.into();
            assert!(matches!(AppPaths::of(&spec), Err(AppFilesError::Outside(_))), "{outside}");
        }
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_generic_app_belongs_to_the_owner_of_its_root() {
        let mut spec = spec(AppKind::Generic, "/usr");
        assert!(matches!(look(&spec), Err(AppFilesError::NoCommand)));
        spec.start_command = "./server".into();
        let place = look(&spec).unwrap();
        assert_eq!((place.startup_file, place.owner), (None, Owner { uid: 0.into(), gid: 0.into() }));
    }
}
