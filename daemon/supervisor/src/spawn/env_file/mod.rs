//! The environment file of an app (`passenger_env_file`): which file may be read, and with whose rights.
//!
//! The path is from nginx's configuration, so it is not trusted: the file is opened with the rights of the app's user. A
//! file that only root may read is opened below one directory of the daemon's own configuration. A stat worker does
//! this, because a file system may hang.

mod syntax;

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{self, OFlag};
use nix::sys::stat::{self, FileStat, Mode, SFlag};
use nix::unistd::Uid;
use serde::{Deserialize, Serialize};

use super::user::RunAs;
use crate::log_file::trust;
use common::link::SpawnSpec;
use common::sys::identity::with_file_rights_of;

/// Longest file, in bytes: its variables are sent in one message.
const MAX_FILE: u64 = 64 * 1024;
/// Permissions that let others than the owner change the file.
const WRITABLE: Mode = Mode::S_IWGRP.union(Mode::S_IWOTH);

/// Names and values, in the order of the file.
pub(super) type Variables = Vec<(String, String)>;

/// The environment file of an app as configured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct EnvFile {
    /// Absolute.
    path: PathBuf,
    /// The directory in which root may read files for apps.
    trusted: PathBuf,
}

/// The variables of a file, and what the operator should know about it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) variables: Variables,
    pub(super) warning: Option<String>,
}

/// Why an app's environment file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use passenger_env_file \"{}\": {why}", path.display())]
pub(crate) struct EnvFileError {
    path: PathBuf,
    why: Why,
}

/// The reason, without the path.
#[derive(Debug, thiserror::Error)]
enum Why {
    #[error("{0}")]
    Call(io::Error),
    #[error(
        "the user \"{user}\" may not read it: let that user own it, or move it below {}, where the daemon reads files that \
         only root may read", trusted.display()
    )]
    Closed { user: String, trusted: PathBuf },
    #[error("it is not a regular file")]
    NotRegular,
    #[error("it belongs to user {0}: it must belong to root or to the app's user")]
    Owner(Uid),
    #[error("its group or everybody may write to it: run chmod go-w")]
    Writable,
    #[error("it is longer than 64 KiB")]
    TooLong,
    #[error("root does not read it: {0}")]
    Untrusted(String),
    #[error(transparent)]
    Syntax(#[from] syntax::SyntaxError),
}

impl EnvFile {
    /// Returns the file of the app of `spec`; a relative path is relative to the app's root.
    pub(super) fn of(spec: &SpawnSpec, trusted: &Path) -> Option<Self> {
        let path = spec.settings.env_file.as_deref()?;
        Some(Self { path: spec.root.join(path), trusted: trusted.to_path_buf() })
    }

    /// Reads the file for a process that runs as `run_as`.
    pub(super) fn read(&self, run_as: &RunAs) -> Result<Content, EnvFileError> {
        self.content(run_as).map_err(|why| EnvFileError { path: self.path.clone(), why })
    }

    fn content(&self, run_as: &RunAs) -> Result<Content, Why> {
        let file = self.open(run_as)?;
        let found = stat::fstat(&file).map_err(call)?;
        let mode = Mode::from_bits_truncate(found.st_mode);
        check(&found, mode, Uid::from_raw(run_as.user.uid))?;
        let mut bytes = Vec::new();
        File::from(file).take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(Why::Call)?;
        if bytes.len() as u64 > MAX_FILE {
            return Err(Why::TooLong);
        }
        let variables = syntax::parse(&bytes)?;
        let warning = mode.contains(Mode::S_IROTH).then(|| {
            let path = self.path.display();
            format!("everybody may read passenger_env_file \"{path}\": run chmod o-r, or chmod 600")
        });
        Ok(Content { variables, warning })
    }

    fn open(&self, run_as: &RunAs) -> Result<OwnedFd, Why> {
        let Some(identity) = &run_as.identity else { return open(&self.path).map_err(call) };
        let opened = with_file_rights_of(identity, || open(&self.path));
        match opened.map_err(|why| Why::Call(io::Error::other(why.to_string())))? {
            Ok(file) => Ok(file),
            Err(Errno::EACCES) if self.path.starts_with(&self.trusted) => self.open_as_root(),
            Err(Errno::EACCES) => {
                Err(Why::Closed { user: run_as.user.name.clone(), trusted: self.trusted.clone() })
            }
            Err(why) => Err(call(why)),
        }
    }

    /// Opens a file below the directory of the daemon's configuration, on a path that only root can change.
    fn open_as_root(&self) -> Result<OwnedFd, Why> {
        trust::open_readable(&self.trusted, &self.path).map_err(|why| Why::Untrusted(why.to_string()))
    }
}

/// Parses the content of an environment file; `None` when it is refused.
#[cfg(feature = "fuzzing")]
#[must_use]
pub fn env_file_variables(content: &[u8]) -> Option<Vec<(String, String)>> {
    syntax::parse(content).ok()
}

fn open(path: &Path) -> Result<OwnedFd, Errno> {
    // Without O_NONBLOCK the call would wait for the writer of a pipe.
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NOCTTY | OFlag::O_NONBLOCK;
    fcntl::open(path, flags, Mode::empty())
}

fn check(found: &FileStat, mode: Mode, user: Uid) -> Result<(), Why> {
    if SFlag::from_bits_truncate(found.st_mode & SFlag::S_IFMT.bits()) != SFlag::S_IFREG {
        return Err(Why::NotRegular);
    }
    let owner = Uid::from_raw(found.st_uid);
    if !owner.is_root() && owner != user {
        return Err(Why::Owner(owner));
    }
    if mode.intersects(WRITABLE) { Err(Why::Writable) } else { Ok(()) }
}

fn call(why: Errno) -> Why {
    Why::Call(why.into())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use nix::unistd;

    use super::super::user::{System, unchanged};
    use super::*;

    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("fp-env-{name}-{}", std::process::id()));
            fs::create_dir_all(&dir).unwrap();
            Self(dir)
        }

        /// Reads a file of this mode as the user of the test.
        fn read(&self, text: &str, mode: u32) -> Result<Content, String> {
            let path = self.0.join("env");
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            read(path)
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn read(path: PathBuf) -> Result<Content, String> {
        let run_as = unchanged(unistd::geteuid(), unistd::getegid(), &System).unwrap();
        let file = EnvFile { path, trusted: "/nonexistent".into() };
        file.read(&run_as).map_err(|why| why.to_string())
    }

    #[test]
    fn a_file_that_everybody_may_read_is_read_with_a_warning() {
        let dir = Dir::new("modes");
        let content = dir.read("A=1\n", 0o640).unwrap();
        assert_eq!(content, Content { variables: vec![("A".into(), "1".into())], warning: None });
        let warning = dir.read("A=1\n", 0o644).unwrap().warning.unwrap();
        assert!(warning.contains("chmod o-r"), "{warning}");
    }

    #[test]
    fn a_file_that_others_may_change_is_refused() {
        let dir = Dir::new("writable");
        for mode in [0o660, 0o602, 0o666] {
            let why = dir.read("A=1\n", mode).unwrap_err();
            assert!(why.ends_with("its group or everybody may write to it: run chmod go-w"), "{why}");
        }
    }

    #[test]
    fn only_a_short_regular_file_is_read() {
        let dir = Dir::new("kinds");
        let why = dir.read(&"#".repeat(MAX_FILE as usize + 1), 0o600).unwrap_err();
        assert!(why.ends_with("it is longer than 64 KiB"), "{why}");
        dir.read(&"#".repeat(MAX_FILE as usize), 0o600).unwrap();
        unistd::mkfifo(&dir.0.join("pipe"), Mode::S_IRWXU).unwrap();
        for path in [dir.0.clone(), dir.0.join("pipe"), "/dev/null".into()] {
            let why = read(path).unwrap_err();
            assert!(why.ends_with("it is not a regular file"), "{why}");
        }
        let why = read(dir.0.join("absent")).unwrap_err();
        assert!(why.contains("No such file"), "{why}");
    }

    #[test]
    fn an_error_names_the_line_and_not_its_content() {
        let dir = Dir::new("line");
        let why = dir.read("A=1\nhunter2\n", 0o600).unwrap_err();
        assert!(why.contains("line 2: ") && !why.contains("hunter2"), "{why}");
    }
}
