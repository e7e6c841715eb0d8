//! Which files of an app have no effect on the running code.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Directories that contain no code of the app, wherever they are.
const DIRECTORIES: [&str; 16] = [
    "node_modules",
    "bower_components",
    "__pycache__",
    ".git",
    ".hg",
    ".svn",
    ".bundle",
    ".cache",
    ".idea",
    ".vscode",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    ".tox",
    ".nox",
    ".venv",
];
/// The same, directly in the app's directory. The gate serves public/ itself.
const TOP_DIRECTORIES: [&str; 10] =
    ["coverage", "env", "log", "logs", "media", "public", "storage", "tmp", "uploads", "venv"];
/// Directories and files that frameworks write while an app runs, by the end of their path.
const PATHS: [&str; 4] = [".meteor/local", ".next/cache", ".next/trace", "vendor/bundle"];
/// Names of files that apps and editors write.
const FILES: [&str; 22] = [
    "*.log",
    "*.pid",
    "*.sock",
    "*.pyc",
    "*.pyo",
    "*.sqlite",
    "*.sqlite3",
    "*.db",
    "*-journal",
    "*-wal",
    "*-shm",
    "*.swp",
    "*.swo",
    "*.swx",
    "*.tmp",
    "*.part",
    "*~",
    ".#*",
    "#*#",
    "4913",
    ".DS_Store",
    "nohup.out",
];
/// A file of each virtual environment of Python.
const VIRTUAL_ENVIRONMENT: &str = "pyvenv.cfg";

/// The rules of one app.
#[derive(Debug)]
pub(crate) struct Rules {
    root: PathBuf,
    /// Further patterns, of names or of paths below the root.
    patterns: Vec<String>,
}

impl Rules {
    /// Creates the rules for an app's directory; `patterns` are those of the user.
    pub(crate) fn new(root: &Path, patterns: Vec<String>) -> Self {
        let patterns = patterns.into_iter().map(|pattern| pattern.trim_end_matches('/').to_owned()).collect();
        Self { root: root.to_path_buf(), patterns }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Whether no change in a directory matters.
    pub(super) fn ignores_directory(&self, path: &Path) -> bool {
        let name = name(path);
        DIRECTORIES.contains(&&*name)
            || (path.parent() == Some(&self.root) && TOP_DIRECTORIES.contains(&&*name))
            || PATHS.iter().any(|end| path.ends_with(end))
            || path.join(VIRTUAL_ENVIRONMENT).exists()
            || self.matches_pattern(path, &name)
    }

    /// Whether no change of a file matters.
    pub(super) fn ignores_file(&self, path: &Path) -> bool {
        let name = name(path);
        FILES.iter().any(|pattern| matches(pattern, &name))
            || PATHS.iter().any(|end| path.ends_with(end))
            || self.matches_pattern(path, &name)
    }

    fn matches_pattern(&self, path: &Path, name: &str) -> bool {
        let below = path.strip_prefix(&self.root).unwrap_or(path).to_string_lossy();
        self.patterns
            .iter()
            .any(|pattern| matches(pattern, if pattern.contains('/') { &below } else { name }))
    }
}

fn name(path: &Path) -> std::borrow::Cow<'_, str> {
    path.file_name().map_or_else(Default::default, OsStr::to_string_lossy)
}

/// Whether a text matches a pattern, in which `*` stands for any characters.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, text, expected) in [
            ("*.log", "a.log", true),
            ("*.log", "a.log.py", false),
            ("#*#", "#a#", true),
            ("#*#", "#", false),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "acb", false),
            ("app.py", "app.py", true),
            ("app.py", "app.pyx", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn common_directories_are_ignored_and_code_is_not() {
        let rules = Rules::new(Path::new("/app"), vec!["data/".to_owned(), "lib/gen/*.rb".to_owned()]);
        for ignored in [
            "/app/log",
            "/app/tmp",
            "/app/venv",
            "/app/a/node_modules",
            "/app/x/__pycache__",
            "/app/.next/cache",
            "/app/data",
        ] {
            assert!(rules.ignores_directory(Path::new(ignored)), "{ignored}");
        }
        for watched in ["/app/lib", "/app/lib/log", "/app/.github", "/app/.next"] {
            assert!(!rules.ignores_directory(Path::new(watched)), "{watched}");
        }
        for ignored in
            ["/app/a.log", "/app/db/development.sqlite3", "/app/.x.swp", "/app/x~", "/app/lib/gen/a.rb"]
        {
            assert!(rules.ignores_file(Path::new(ignored)), "{ignored}");
        }
        for watched in ["/app/app.py", "/app/.env", "/app/config/database.yml", "/app/lib/a.rb"] {
            assert!(!rules.ignores_file(Path::new(watched)), "{watched}");
        }
    }
}
