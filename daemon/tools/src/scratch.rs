//! Temporary directory for the lifetime of a tool. Its path is short, because it contains sockets.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::unistd;

/// The directory; it is removed with its contents when this is dropped.
#[derive(Debug)]
pub(super) struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Creates a directory in `/tmp` with this prefix, accessible to its owner only.
    ///
    /// # Errors
    ///
    /// Returns a message for the administrator.
    pub(super) fn new(name: &str) -> Result<Self, String> {
        let template = Path::new("/tmp").join(format!("{name}.XXXXXX"));
        let made = unistd::mkdtemp(&template);
        let path = made.map_err(|why| format!("no directory can be made in /tmp: {}", why.desc()))?;
        Ok(Self { path })
    }

    /// Lets other users traverse the directory, but not list it.
    ///
    /// # Errors
    ///
    /// Returns a message for the administrator.
    pub(super) fn let_others_pass(&self) -> Result<(), String> {
        fs::set_permissions(&self.path, fs::Permissions::from_mode(0o711))
            .map_err(|why| format!("{} cannot be opened to others: {why}", self.path.display()))
    }

    /// Returns the path of a file in the directory.
    pub(super) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(why) = fs::remove_dir_all(&self.path) {
            eprintln!("passenger-config: {} stays: {why}", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_gone_with_its_value() {
        let scratch = Scratch::new("fp-scratch").unwrap();
        fs::write(scratch.join("file"), "").unwrap();
        let path = scratch.path.clone();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        scratch.let_others_pass().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o711);
        drop(scratch);
        assert!(!path.exists());
    }
}
