//! Why the application in a directory cannot be detected, with advice for the operator.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Why the application in a directory cannot be detected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DetectError {
    /// nginx's worker may not enter a parent directory.
    #[error(
        "cannot detect the application in {}: nginx's worker may not enter {closed}; give its user access (chmod o+x \
         {closed}), or configure passenger_app_type",
        .root.display(),
        closed = .closed.display()
    )]
    Forbidden {
        /// The application's directory.
        root: PathBuf,
        /// The directory that cannot be entered.
        closed: PathBuf,
    },
    /// A file cannot be checked or read.
    #[error("cannot read {}: {why}", .0.display(), why = .1)]
    Unreadable(PathBuf, String),
    /// `Passengerfile.json` is not a JSON object.
    #[error("invalid {}: {why}", .0.display(), why = .1)]
    BadPassengerfile(PathBuf, String),
}

pub(crate) fn explain(root: &Path, path: PathBuf, err: &io::Error) -> DetectError {
    if err.kind() != ErrorKind::PermissionDenied {
        return DetectError::Unreadable(path, err.to_string());
    }
    match first_closed_directory(root) {
        Some(closed) => DetectError::Forbidden { root: root.to_path_buf(), closed },
        None => DetectError::Unreadable(path, err.to_string()),
    }
}

/// Returns the outermost directory on the path to a file in `root` whose entries cannot be accessed.
fn first_closed_directory(root: &Path) -> Option<PathBuf> {
    let mut way: Vec<&Path> = root.ancestors().collect();
    way.reverse();
    way.into_iter()
        .find(|dir| dir.join(".").metadata().is_err_and(|err| err.kind() == ErrorKind::PermissionDenied))
        .map(Path::to_path_buf)
}
