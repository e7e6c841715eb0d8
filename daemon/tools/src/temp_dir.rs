//! Temporary directory for the lifetime of a tool. Its path is short, because it contains sockets.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::unistd;

/// The directory; it is removed with its contents when this is dropped.
#[derive(Debug)]
pub(super) struct TempDir {
    path: PathBuf,
}

impl TempDir {
    /// Creates a directory in `/tmp` with this prefix, accessible to its owner only.
    pub(super) fn new(name: &str) -> Result<Self, String> {
        let template = Path::new("/tmp").join(format!("{name}.XXXXXX"));
        let created = unistd::mkdtemp(&template);
        let path = created.map_err(|err| format!("cannot create a directory in /tmp: {}", err.desc()))?;
        Ok(Self { path })
    }

    /// Lets other users traverse the directory, but not list it.
    pub(super) fn allow_traversal(&self) -> Result<(), String> {
        fs::set_permissions(&self.path, fs::Permissions::from_mode(0o711))
            .map_err(|err| format!("cannot change the mode of {}: {err}", self.path.display()))
    }

    /// Returns the path of a file in the directory.
    pub(super) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        if let Err(err) = fs::remove_dir_all(&self.path) {
            eprintln!("passenger-config: cannot remove {}: {err}", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_is_removed_on_drop() {
        let dir = TempDir::new("fp-temp").unwrap();
        fs::write(dir.join("file"), "").unwrap();
        let path = dir.path.clone();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        dir.allow_traversal().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o711);
        drop(dir);
        assert!(!path.exists());
    }
}
