//! The file of `--pid-file`, which exists as long as the app runs.

use std::fs;
use std::path::{Path, PathBuf};

/// The file; dropping this removes it.
#[derive(Debug)]
pub(super) struct PidFile(PathBuf);

impl PidFile {
    /// Writes the file.
    pub(super) fn write(path: &Path) -> Result<Self, String> {
        fs::write(path, format!("{}\n", std::process::id()))
            .map_err(|err| format!("cannot write the PID file {}: {err}", path.display()))?;
        Ok(Self(path.to_path_buf()))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // It would name a process that has ended.
        let _ = fs::remove_file(&self.0);
    }
}
