//! What is known about a failed start, and what its texts contain.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use protocol::request::AppKind;

/// A failed start, with the data that may show its cause.
#[derive(Debug, Clone)]
pub struct FailedStart {
    /// The kind of app.
    pub kind: AppKind,
    /// The app's root directory.
    pub root: PathBuf,
    /// The user that it runs as; empty when unknown.
    pub user: String,
    /// Whether commands for the app are to be run as its user with sudo.
    pub sudo: bool,
    /// The failure, in a sentence.
    pub summary: String,
    /// The app's error message and its output.
    pub text: String,
    /// The port assigned to the app.
    pub port: Option<u16>,
    /// The ports on which it listened, if they are known.
    pub ports: Option<BTreeSet<u16>>,
    /// A virtualenv beside the app.
    pub virtualenv: Option<PathBuf>,
    /// Whether the remedy is shown by `passenger-config doctor`: its flags are named, and the output is above.
    pub in_doctor: bool,
}

impl FailedStart {
    /// Returns the summary, or the app's first line, that contains one of these words.
    pub(super) fn line_with(&self, words: &[&str]) -> Option<&str> {
        let lines = std::iter::once(self.summary.as_str()).chain(self.text.lines());
        lines.into_iter().find(|line| words.iter().any(|word| line.contains(word)))
    }

    /// Returns a command line that runs as the app's user, in its directory.
    pub(super) fn as_user(&self, command: &str) -> String {
        format!("cd {} && {}{command}", word(&self.root.display().to_string()), self.sudo())
    }

    /// Returns the beginning of a command that runs as the app's user.
    pub(super) fn sudo(&self) -> String {
        // Files without a particular owner are not installed as the user `nobody`.
        let needed = self.sudo && !matches!(self.user.as_str(), "" | "nobody");
        if needed { format!("sudo -u {} -H ", self.user) } else { String::new() }
    }

    /// Returns the name of the app's user for a sentence.
    pub(super) fn user_name(&self) -> &str {
        if self.user.is_empty() { "of the app" } else { &self.user }
    }

    /// Returns a note that names the doctor's flag, where it exists.
    pub(super) fn here(&self, flag: &str) -> String {
        if self.in_doctor { format!(" (here {flag})") } else { String::new() }
    }

    /// Returns where the app's output is.
    pub(super) fn output(&self) -> &'static str {
        if self.in_doctor { "the app's output above" } else { "the app's output" }
    }

    /// Returns the directive of the app's interpreter, with the doctor's flag.
    pub(super) fn interpreter(&self) -> Option<(&'static str, String)> {
        let (directive, flag) = match self.kind {
            AppKind::Ruby => ("passenger_ruby", "--ruby"),
            AppKind::Python => ("passenger_python", "--python"),
            AppKind::Node => ("passenger_nodejs", "--nodejs"),
            AppKind::Meteor | AppKind::Generic => return None,
        };
        Some((directive, self.here(flag)))
    }

    /// Returns the first location `FILE:LINE` in the app's own files that the text contains.
    pub(super) fn code_location(&self) -> Option<String> {
        let root = format!("{}/", self.root.display());
        self.text.lines().find_map(|line| {
            let (_, rest) = line.split_once(&root)?;
            let end = rest.find(|c: char| c.is_whitespace() || "\"'),".contains(c)).unwrap_or(rest.len());
            let (file, after) = rest.split_at(end);
            let python = after.strip_prefix("\", line ").map(|number| number.trim_end().split(',').next());
            match python.flatten() {
                Some(number) => Some(format!("{file}:{number}")),
                None => Some(file.trim_end_matches(":in").trim_end_matches(':').to_owned()),
            }
        })
    }
}

/// Returns the text between two marks.
pub(super) fn between<'t>(text: &'t str, before: &str, after: &str) -> Option<&'t str> {
    text.split_once(before)?.1.split_once(after).map(|(between, _)| between)
}

/// Returns a path named by the app, resolved against its root.
pub(super) fn from_root(root: &Path, path: &str) -> String {
    root.join(path).display().to_string()
}

/// Returns a word of a command line that a person may run: quoted unless it is harmless.
pub(super) fn word(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+:@%=,".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::failed_start;
    use super::*;

    #[test]
    fn a_location_in_the_apps_own_files_is_found() {
        let location = |text: &str| failed_start("", text).code_location();
        assert_eq!(
            location("\tfrom /gems/x.rb:1:in `y'\n\tfrom /srv/shop/lib/a.rb:7:in `z'"),
            Some("lib/a.rb:7".into())
        );
        assert_eq!(location("  File \"/srv/shop/wsgi.py\", line 12, in <module>"), Some("wsgi.py:12".into()));
        assert_eq!(location("    at Object.<anonymous> (/srv/shop/app.js:1:35)"), Some("app.js:1:35".into()));
        assert_eq!(location("/srv/other/app.js:1"), None);
    }

    #[test]
    fn a_command_runs_as_the_apps_user() {
        let mut start = failed_start("", "");
        assert_eq!(start.as_user("npm ci"), "cd /srv/shop && npm ci");
        start.sudo = true;
        assert_eq!(start.as_user("npm ci"), "cd /srv/shop && sudo -u alice -H npm ci");
        start.user = "nobody".into();
        assert_eq!(start.as_user("npm ci"), "cd /srv/shop && npm ci");
    }

    #[test]
    fn a_word_cannot_begin_another_command() {
        assert_eq!(word("/srv/a-b_c.d"), "/srv/a-b_c.d");
        assert_eq!(word("/srv/my shop"), "'/srv/my shop'");
        assert_eq!(word("x;$(id)"), "'x;$(id)'");
        assert_eq!(word("it's"), "'it'\\''s'");
    }
}
