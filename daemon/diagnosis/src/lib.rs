//! Diagnosis of a failed start: its cause and what to do. The log, the error page, the report and `passenger-config
//! doctor` use the same one. A pure function of what is known about the start: no I/O.

#![forbid(unsafe_code)]

mod code;
mod failed_start;
mod library;
mod listening;
mod output;
mod program;

use std::fmt;

use serde::Serialize;

pub use failed_start::FailedStart;
pub use output::without_repetition;

/// A cause and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    /// The kind of cause, for programs.
    pub code: Code,
    /// The cause, in a sentence.
    pub cause: String,
    /// What to do, with the command or directive.
    pub remedy: String,
}

/// The kinds of causes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The daemon refuses to run the app as its user or with its group.
    RefusedUser,
    /// The app's user may not enter a directory.
    ClosedDirectory,
    /// The interpreter does not exist or cannot be executed.
    MissingInterpreter,
    /// The startup file does not exist.
    MissingStartupFile,
    /// The shell does not find the start command.
    MissingCommand,
    /// A gem, module or package is not installed.
    MissingLibrary,
    /// A file of the app does not exist.
    MissingFile,
    /// A gem of the Gemfile is not installed.
    MissingGems,
    /// A file of the app has a syntax error.
    SyntaxError,
    /// The app needs an environment variable that is not set.
    MissingVariable,
    /// The app's user may not access a file.
    ForbiddenFile,
    /// Another process listens on the app's port.
    PortInUse,
    /// A database or another service refuses connections.
    UnreachableService,
    /// The startup file does not define an application.
    NoApplication,
    /// The app's code raised an error while it was loaded.
    LoadError,
    /// The app listens on another port than the given one.
    WrongPort,
    /// `passenger_app_ready_path` returns an error.
    ReadyCheckFailed,
    /// The app was not ready in time.
    NotReady,
    /// A signal killed the process.
    Killed,
    /// The process exited before it was ready.
    Exited,
    /// There is no app in the directory.
    NoApp,
    /// The daemon does not run or does not answer.
    NoDaemon,
    /// nginx's user may not enter the app's directory.
    ClosedToNginx,
    /// The app starts and does not respond.
    NoResponse,
    /// The app responds with an error.
    ErrorResponse,
    /// None of the others.
    Other,
}

type Cause = fn(&FailedStart) -> Option<Diagnosis>;

/// All causes of failed starts, the most certain first.
const CAUSES: [Cause; 20] = [
    program::refused_user,
    program::closed_directory,
    program::missing_interpreter,
    program::missing_startup_file,
    program::missing_command,
    library::missing_library,
    library::missing_bundle,
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
    /// Creates a diagnosis.
    pub fn new(code: Code, cause: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { code, cause: cause.into(), remedy: remedy.into() }
    }

    /// Returns the diagnosis of a failed start.
    pub fn of(start: &FailedStart) -> Self {
        let other = || {
            let remedy = if start.text.trim().is_empty() {
                "Check the daemon's log; passenger-config doctor tries the start separately.".to_owned()
            } else {
                format!("Check {} and the app's own log.", start.output())
            };
            Self::new(Code::Other, &start.summary, remedy)
        };
        CAUSES.iter().find_map(|cause| cause(start)).unwrap_or_else(other)
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.cause)
    }
}

#[cfg(test)]
mod tests {
    use protocol::request::AppKind;

    use super::*;

    /// Returns a failed start of a Ruby app in `/srv/shop` that runs as alice.
    pub(super) fn failed_start(summary: &str, text: &str) -> FailedStart {
        FailedStart {
            kind: AppKind::Ruby,
            root: "/srv/shop".into(),
            user: "alice".into(),
            sudo: false,
            summary: summary.into(),
            text: text.into(),
            port: None,
            ports: None,
            virtualenv: None,
            in_doctor: true,
        }
    }

    #[test]
    fn an_unknown_failure_is_reported_unchanged() {
        let diagnosis = Diagnosis::of(&failed_start("the moon is full", ""));
        assert_eq!((diagnosis.code, diagnosis.cause.as_str()), (Code::Other, "the moon is full"));
    }
}
