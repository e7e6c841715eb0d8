//! The version that a file in an application's directory asks for.

use super::Language;
use crate::directory::Directory;

/// A version and the file that names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Without a leading `v` or `ruby-`: `3.2.2`, `20`, `lts/iron`.
    pub(super) version: String,
    pub(super) file: &'static str,
}

/// The file of asdf and mise, which names versions of several languages.
const TOOL_VERSIONS: &str = ".tool-versions";

/// Longest file that is read, in bytes.
const MAX_FILE: u64 = 16 * 1024;
/// Longest version, in bytes.
const MAX_VERSION: usize = 64;

impl Language {
    /// The files that name a version of this language only.
    fn version_files(self) -> &'static [&'static str] {
        match self {
            Self::Ruby => &[".ruby-version"],
            Self::Python => &[".python-version"],
            Self::Node => &[".nvmrc", ".node-version"],
        }
    }

    /// Its names in `.tool-versions`.
    fn tools(self) -> &'static [&'static str] {
        match self {
            Self::Ruby => &["ruby"],
            Self::Python => &["python"],
            Self::Node => &["nodejs", "node"],
        }
    }
}

/// Returns the version that the directory asks for; `None` if it asks for none, or for the system's.
pub(super) fn wanted(language: Language, directory: Directory<'_>) -> Option<Wanted> {
    let by_file = language.version_files().iter().find_map(|file| {
        let text = directory.read_small(file, MAX_FILE)?;
        let line = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'))?;
        Some((line.to_owned(), *file))
    });
    let (version, file) = by_file.or_else(|| Some((of_tool(language, directory)?, TOOL_VERSIONS)))?;
    let version = normal(&version)?;
    (version != "system").then(|| Wanted { version: version.to_owned(), file })
}

fn of_tool(language: Language, directory: Directory<'_>) -> Option<String> {
    let text = directory.read_small(TOOL_VERSIONS, MAX_FILE)?;
    text.lines().find_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        let tool = words.next()?;
        language.tools().contains(&tool).then(|| words.next().map(str::to_owned)).flatten()
    })
}

/// Removes what is not part of the number; `None` if it cannot be the name of a version.
fn normal(version: &str) -> Option<&str> {
    // rvm's gemset.
    let version = version.split('@').next()?.trim();
    let version = version.strip_prefix("ruby-").unwrap_or(version);
    let digits = version.strip_prefix('v').filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let version = digits.unwrap_or(version);
    let name = version.strip_prefix("lts/").unwrap_or(version);
    let is_name = |c: char| c.is_ascii_alphanumeric() || "._-+".contains(c);
    let is_valid =
        name == "*" || name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(is_name);
    (is_valid && version.len() <= MAX_VERSION && !name.contains("..")).then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_files_write_them() {
        for (text, version) in [
            ("3.2.2", Some("3.2.2")),
            ("ruby-3.2.2@shop", Some("3.2.2")),
            ("jruby-9.4.5.0", Some("jruby-9.4.5.0")),
            ("v20.11.0", Some("20.11.0")),
            ("20", Some("20")),
            ("lts/iron", Some("lts/iron")),
            ("lts/*", Some("lts/*")),
            ("node", Some("node")),
            ("../../etc", None),
            ("lts/../../x", None),
            ("3.2/x", None),
            ("a b", None),
            ("", None),
            ("-x", None),
            ("1..2", None),
        ] {
            assert_eq!(normal(text), version, "{text}");
        }
        assert_eq!(normal(&"1".repeat(65)), None);
    }
}
