//! The files of an application's directory: checked and read without blocking, up to a limit.
//!
//! The directory belongs to the application's owner: a FIFO, a terminal or a lease must not block nginx's worker.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Longest path of a file below an application's directory that is accepted from one of its files.
const MAX_PATH: usize = 255;

/// An application's directory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Directory<'a>(pub(crate) &'a Path);

/// The beginning of a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Text {
    pub(crate) bytes: Vec<u8>,
    /// Whether the file is longer.
    pub(crate) is_cut: bool,
}

impl Directory<'_> {
    /// Whether there is a regular file of this name, or a link to one.
    pub(crate) fn has_file(self, name: &str) -> bool {
        self.0.join(name).metadata().is_ok_and(|found| found.is_file())
    }

    /// Reads at most `limit` bytes of a regular file.
    pub(crate) fn read(self, name: &str, limit: u64) -> io::Result<Text> {
        let mut bytes = Vec::new();
        open_regular(&self.0.join(name))?.take(limit + 1).read_to_end(&mut bytes)?;
        let is_cut = bytes.len() as u64 > limit;
        bytes.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(Text { bytes, is_cut })
    }

    /// Reads a small file; `None` if it does not exist, cannot be read or is longer than `limit`.
    pub(crate) fn read_small(self, name: &str, limit: u64) -> Option<String> {
        let text = self.read(name, limit).ok().filter(|text| !text.is_cut)?;
        String::from_utf8(text.bytes).ok()
    }
}

/// Returns the path that a file of the application names, relative to its directory; `None` if it leads out of it, or
/// is not plain text.
pub(crate) fn path_inside(path: &str) -> Option<String> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    let is_inside = !path.starts_with('/') && !parts.is_empty() && !parts.contains(&"..");
    let is_plain = path.len() <= MAX_PATH && !path.chars().any(|c| c.is_control() || "\"'\\$`".contains(c));
    (is_inside && is_plain).then(|| parts.join("/"))
}

fn open_regular(path: &Path) -> io::Result<File> {
    // Opening a device may have a side effect, so the type is also checked before.
    check_regular(&path.metadata()?)?;
    let flags = libc::O_NONBLOCK | libc::O_CLOEXEC | libc::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    check_regular(&file.metadata()?)?;
    Ok(file)
}

fn check_regular(metadata: &Metadata) -> io::Result<()> {
    if metadata.is_file() {
        return Ok(());
    }
    Err(io::Error::new(ErrorKind::InvalidInput, "not a regular file"))
}

/// Whether the error means that there is no such file, as nginx decides for its own files.
pub fn is_not_found(err: &io::Error) -> bool {
    matches!(err.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidFilename)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_lead_out_of_the_directory_are_refused() {
        for (path, inside) in [
            ("server.js", Some("server.js")),
            ("./dist//main.js", Some("dist/main.js")),
            ("a/./b/", Some("a/b")),
            ("..", None),
            ("lib/../../b/app.js", None),
            ("/etc/passwd", None),
            ("", None),
            (".", None),
            ("a\nb", None),
            ("$HOME/x.js", None),
            ("it's.js", None),
        ] {
            assert_eq!(path_inside(path).as_deref(), inside, "{path:?}");
        }
        assert_eq!(path_inside(&"a".repeat(300)), None);
    }
}
