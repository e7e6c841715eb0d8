//! Errors of the socket for nginx, with messages that say what to do.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use nix::unistd;

/// Why the socket cannot be created.
#[derive(Debug)]
pub(crate) enum SocketError {
    /// Another daemon listens there.
    Live(PathBuf, Option<i32>),
    /// Another daemon holds the lock.
    Locked(PathBuf),
    /// A file that is not a socket is at the path.
    NotASocket(PathBuf),
    /// Another file replaced it while it was created.
    Replaced(PathBuf),
    /// The directory does not exist.
    NoDirectory(PathBuf),
    /// This user may not create it.
    Forbidden(PathBuf),
    /// The service manager hands over other sockets.
    Other(PathBuf, Vec<PathBuf>),
    /// Only the service manager can create it.
    OfServiceManager(PathBuf),
    /// A step failed.
    Step(&'static str, PathBuf, io::Error),
}

/// Returns the error of a step that creates the socket at `path`.
pub(super) fn step(step: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SocketError {
    let path = path.to_path_buf();
    move |why| match why.kind() {
        io::ErrorKind::NotFound => SocketError::NoDirectory(path),
        io::ErrorKind::PermissionDenied => SocketError::Forbidden(path),
        _ => SocketError::Step(step, path, why),
    }
}

impl fmt::Display for SocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Live(path, Some(pid)) => {
                write!(f, "the process with PID {pid} is already listening on {}", path.display())
            }
            Self::Live(path, None) => {
                write!(f, "another process is already listening on {}", path.display())
            }
            Self::Locked(path) => write!(f, "another daemon holds {}", path.display()),
            Self::NotASocket(path) => write!(f, "{} exists and is not a socket", path.display()),
            Self::Replaced(path) => write!(f, "somebody else replaces {} just now", path.display()),
            Self::NoDirectory(path) => write!(
                f,
                "the directory for {} does not exist: make it, or name another place with --socket-file",
                path.display()
            ),
            Self::Forbidden(path) => write!(
                f,
                "the user {} may not make {}: give its directory to that user, or name another place with \
                 --socket-file",
                unistd::geteuid(),
                path.display()
            ),
            Self::Other(path, others) => {
                let others: Vec<_> = others.iter().map(|other| other.display().to_string()).collect();
                write!(
                    f,
                    "the service manager hands over the sockets [{}] and not {}, which --socket-file names",
                    others.join(", "),
                    path.display()
                )
            }
            Self::OfServiceManager(path) => write!(
                f,
                "the service manager has made {}, and can make it anew: with systemd, restart the .socket unit",
                path.display()
            ),
            Self::Step(step, path, why) => write!(f, "{} cannot be {step}: {why}", path.display()),
        }
    }
}

impl std::error::Error for SocketError {}
