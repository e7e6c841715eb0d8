//! Errors of the socket for nginx, with messages that say what to do.

use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::signal;
use nix::unistd;
use nix::unistd::Pid;

/// Why the socket cannot be created.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SocketError {
    /// Another daemon listens there.
    #[error("{} is already listening on {}{}", process(*.1), .0.display(), remedy(*.1))]
    Live(PathBuf, Option<i32>),
    /// Another daemon holds the lock.
    #[error("another daemon holds {0}")]
    Locked(PathBuf),
    /// A file that is not a socket is at the path.
    #[error("{0} exists and is not a socket")]
    NotASocket(PathBuf),
    /// Another file replaced it while it was created.
    #[error("{0} was replaced by another process while it was created")]
    Replaced(PathBuf),
    /// The directory does not exist.
    #[error("the directory of {0} does not exist: create it, or set another path with --socket-file")]
    NoDirectory(PathBuf),
    /// This user may not create it.
    #[error(
        "the user {} may not create {}: give its directory to that user, or set another path with --socket-file",
        unistd::geteuid(),
        .0.display()
    )]
    Forbidden(PathBuf),
    /// The service manager hands over other sockets.
    #[error(
        "the service manager hands over the sockets [{}] and not {}, which --socket-file names",
        list(.1),
        .0.display()
    )]
    Other(PathBuf, Vec<PathBuf>),
    /// Only the service manager can create it.
    #[error("only the service manager can create {0} again: with systemd, restart the .socket unit")]
    OfServiceManager(PathBuf),
    /// A step failed.
    #[error("{1} cannot be {0}: {2}")]
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

fn process(pid: Option<i32>) -> String {
    match pid {
        Some(pid) if is_held_by_systemd(pid) => "systemd".to_owned(),
        Some(pid) => format!("the process with PID {pid}"),
        None => "another process".to_owned(),
    }
}

/// Returns what to do about it.
fn remedy(pid: Option<i32>) -> &'static str {
    match pid {
        Some(pid) if is_held_by_systemd(pid) => {
            ", for a .socket unit: stop that first (systemctl stop flying-passenger.socket), or start the daemon with \
             systemctl start flying-passenger"
        }
        _ => "",
    }
}

/// Whether a socket is kept open by systemd: its listener is PID 1, or a service of a .socket unit that has ended.
fn is_held_by_systemd(pid: i32) -> bool {
    let has_ended = || signal::kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH);
    Path::new("/run/systemd/system").exists() && (pid == 1 || (pid > 1 && has_ended()))
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}
