//! Checks of files that root reads or executes: they must belong to root and be writable by no other user.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::Uid;

/// Checks that the file is regular and, if the daemon runs as root, that only root can change it.
///
/// # Errors
///
/// The part of a message that follows the file's path.
pub fn trusted(path: &Path, euid: Uid) -> Result<(), String> {
    let meta = fs::metadata(path).map_err(|why| why.to_string())?;
    if !meta.is_file() {
        return Err("is not a regular file".to_owned());
    }
    if euid.is_root() && (meta.uid() != 0 || meta.mode() & 0o022 != 0) {
        return Err("other users than root can write to it, so the daemon does not use it as root: \
                    chown root and chmod go-w it"
            .to_owned());
    }
    Ok(())
}
