//! The revision of an app's code, read from the file `REVISION` in the app's root.
//!
//! Capistrano and similar tools write that file. It belongs to the app: the child reads it with the rights of the app's
//! user, so that no other process waits for it, and reports only a word that can be a revision.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use nix::fcntl::{self, OFlag};
use nix::sys::stat::{self, Mode, SFlag};

use common::link::MAX_REVISION;

/// Returns the revision, if the app has one.
pub(super) fn of(root: &Path) -> Option<String> {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC | OFlag::O_NOCTTY;
    let file = fcntl::open(&root.join("REVISION"), flags, Mode::empty()).ok()?;
    let found = stat::fstat(&file).ok()?;
    if SFlag::from_bits_truncate(found.st_mode & SFlag::S_IFMT.bits()) != SFlag::S_IFREG {
        return None;
    }
    let mut bytes = Vec::new();
    File::from(file).take(MAX_REVISION as u64 + 2).read_to_end(&mut bytes).ok()?;
    word(std::str::from_utf8(&bytes).ok()?)
}

fn word(text: &str) -> Option<String> {
    let word = text.trim_end_matches(['\n', '\r']);
    let is_revision = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'+');
    let fits = (1..=MAX_REVISION).contains(&word.len()) && word.bytes().all(is_revision);
    fits.then(|| word.to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_revision_is_a_single_word() {
        assert_eq!(word("9d0b2a1\n").as_deref(), Some("9d0b2a1"));
        assert_eq!(word("v1.2.0-rc.1+5").as_deref(), Some("v1.2.0-rc.1+5"));
        for text in ["", "\n", "two words", "root:x:0:0:root", "a\nb", &"x".repeat(MAX_REVISION + 1)] {
            assert_eq!(word(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_link_or_a_directory_is_not_a_revision() {
        let root = std::env::temp_dir().join(format!("fp-revision-{}", std::process::id()));
        std::fs::create_dir_all(&root).unwrap();
        assert_eq!(of(&root), None);
        std::fs::write(root.join("target"), "9d0b2a1").unwrap();
        symlink("target", root.join("REVISION")).unwrap();
        assert_eq!(of(&root), None);
        std::fs::remove_file(root.join("REVISION")).unwrap();
        std::fs::create_dir(root.join("REVISION")).unwrap();
        assert_eq!(of(&root), None);
        std::fs::remove_dir(root.join("REVISION")).unwrap();
        std::fs::rename(root.join("target"), root.join("REVISION")).unwrap();
        assert_eq!(of(&root).as_deref(), Some("9d0b2a1"));
        std::fs::remove_dir_all(&root).unwrap();
    }
}
