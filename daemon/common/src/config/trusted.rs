//! Files that root reads or executes: they must belong to root and be writable by nobody else.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::Uid;

/// Checks that nobody but root decides what is in the file, where the daemon runs as root.
///
/// # Errors
///
/// A sentence part about the file, which follows its path.
pub fn trusted(path: &Path, euid: Uid) -> Result<(), String> {
    let meta = fs::metadata(path).map_err(|why| why.to_string())?;
    if !meta.is_file() {
        return Err("is not a regular file".to_owned());
    }
    if euid.is_root() && (meta.uid() != 0 || meta.mode() & 0o022 != 0) {
        return Err("others than root may write to it, so that root does not use it: \
                    chown root and chmod go-w it"
            .to_owned());
    }
    Ok(())
}
