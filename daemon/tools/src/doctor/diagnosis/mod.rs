//! Diagnosis of a run: the problem and what to do. Causes are tried in order, the most certain first; only the recorded
//! run is examined.

mod answering;
mod code;
mod listening;
mod program;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use protocol::request::AppKind;
use serde_json::Value;

use super::app::TestedApp;
use super::run::AppRun;

/// The problem, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Diagnosis {
    pub(super) problem: String,
    pub(super) advice: String,
}

/// A failed start, with the data that may show its cause.
#[derive(Debug, Clone)]
struct FailedStart {
    kind: AppKind,
    root: PathBuf,
    user: String,
    /// The failure, in a sentence.
    summary: String,
    /// The app's error message and its output.
    text: String,
    /// The port assigned to the app.
    port: Option<u16>,
    /// The ports on which it listened.
    ports: BTreeSet<u16>,
}

type Cause = fn(&FailedStart) -> Option<Diagnosis>;

/// All causes of failed starts.
const CAUSES: [Cause; 19] = [
    program::closed_directory,
    program::missing_interpreter,
    program::missing_startup_file,
    program::missing_command,
    code::missing_library,
    code::missing_bundle,
    code::syntax_error,
    code::missing_variable,
    code::forbidden_file,
    listening::taken_port,
    listening::missing_variable,
    code::unreachable_service,
    code::no_application,
    code::failed_load,
    listening::wrong_port,
    listening::failed_ready_check,
    listening::not_ready,
    listening::killed,
    listening::early_exit,
];

impl Diagnosis {
    fn new(problem: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { problem: problem.into(), advice: advice.into() }
    }
}

/// Returns the diagnosis; `None` when the app answers without an error.
pub(super) fn of(app: &TestedApp, run: &AppRun) -> Option<Diagnosis> {
    if run.no_daemon {
        return Some(no_daemon(run));
    }
    match &run.report {
        Some(report) => Some(of_start(&FailedStart::of(app, run, report))),
        None => answering::of(run),
    }
}

fn of_start(start: &FailedStart) -> Diagnosis {
    CAUSES
        .iter()
        .find_map(|cause| cause(start))
        .unwrap_or_else(|| Diagnosis::new(&start.summary, "Check the app's output above, and its own log."))
}

fn no_daemon(run: &AppRun) -> Diagnosis {
    let error = run.log.iter().rfind(|line| line.is_error()).map(|line| line.message.as_str());
    let error = error.unwrap_or("no error was logged");
    Diagnosis::new(
        format!("the private daemon does not start: {}", error.trim_start_matches("flying-passenger: ")),
        "Run passenger-config validate-install to check the installation.",
    )
}

impl FailedStart {
    fn of(app: &TestedApp, run: &AppRun, report: &Value) -> Self {
        let text = |key: &str| report[key].as_str().unwrap_or_default();
        let expected_user = app.user.as_ref().map(|(user, _)| user.name.as_str()).unwrap_or_default();
        Self {
            kind: app.kind,
            root: app.root.clone(),
            user: report["user"]["name"].as_str().unwrap_or(expected_user).to_owned(),
            summary: text("summary").to_owned(),
            text: format!("{}\n{}", text("details"), text("output")),
            port: report["environment"]["PORT"].as_str().and_then(|port| port.parse().ok()),
            ports: run.ports.clone(),
        }
    }

    /// Returns the summary, or the app's first line, that contains one of these words.
    fn line_with(&self, words: &[&str]) -> Option<&str> {
        let lines = std::iter::once(self.summary.as_str()).chain(self.text.lines());
        lines.into_iter().find(|line| words.iter().any(|word| line.contains(word)))
    }

    /// Returns a command line that runs as the app's user, in its directory.
    fn as_user(&self, command: &str) -> String {
        let root = self.root.display();
        // Files without a particular owner are not installed as the user `nobody`.
        if nix::unistd::geteuid().is_root() && self.user != "nobody" {
            format!("cd {root} && sudo -u {} -H {command}", self.user)
        } else {
            format!("cd {root} && {command}")
        }
    }

    /// Returns the first location `FILE:LINE` in the app's own files that the text contains.
    fn code_location(&self) -> Option<String> {
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
fn between<'t>(text: &'t str, before: &str, after: &str) -> Option<&'t str> {
    text.split_once(before)?.1.split_once(after).map(|(between, _)| between)
}

/// Returns the directive and the flag of the app's interpreter.
fn directive(kind: AppKind) -> Option<(&'static str, &'static str)> {
    match kind {
        AppKind::Ruby => Some(("passenger_ruby", "--ruby")),
        AppKind::Python => Some(("passenger_python", "--python")),
        AppKind::Node => Some(("passenger_nodejs", "--nodejs")),
        AppKind::Meteor | AppKind::Generic => None,
    }
}

/// Returns a path named by the app, resolved against its root.
fn from_root(root: &Path, path: &str) -> String {
    root.join(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a failed start of a Ruby app in `/srv/shop` that runs as alice.
    pub(super) fn failed_start(summary: &str, text: &str) -> FailedStart {
        FailedStart {
            kind: AppKind::Ruby,
            root: "/srv/shop".into(),
            user: "alice".into(),
            summary: summary.into(),
            text: text.into(),
            port: None,
            ports: BTreeSet::new(),
        }
    }

    #[test]
    fn an_unknown_failure_is_reported_unchanged() {
        let diagnosis = of_start(&failed_start("the moon is full", ""));
        assert_eq!(diagnosis.problem, "the moon is full");
    }

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
}
