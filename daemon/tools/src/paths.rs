//! Matching of app roots against a path on the command line.

use std::path::Path;

/// Whether `root` is `prefix` or below it. Passenger compares characters, so that `/webapps` also matches `/webapps2`;
/// here a prefix ends at a `/`.
pub(super) fn matches_prefix(root: &Path, prefix: &Path) -> bool {
    root.starts_with(prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_at_a_slash() {
        let matches = |root: &str, prefix: &str| matches_prefix(Path::new(root), Path::new(prefix));
        assert!(matches("/webapps/foo", "/webapps"));
        assert!(matches("/webapps/foo", "/webapps/foo/"));
        assert!(matches("/webapps/foo", "/"));
        assert!(!matches("/webapps2/foo", "/webapps"));
    }
}
