//! Report of a process that did not start: complete in the log, limited in the response to the client.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::time::Duration;

use diagnosis::{Code, Diagnosis, FailedStart, without_repetition};
use protocol::request::AppKind;
use serde::Serialize;
use tracing::error;

use super::startup_trace::{StartupTrace, StepResult};
use crate::app::route::Route;
use common::link::{AppUser, ProcessRecord};
use common::secrets;

/// The kernel drops the descriptors of a message when this process has reached its descriptor limit.
pub(crate) const NO_PIPES: &str = "the router has no descriptors left for the pipes of another process \
                        (--core-file-descriptor-ulimit, systemd's LimitNOFILE=)";

/// A start that failed.
#[derive(Debug, Serialize, Clone)]
pub(crate) struct SpawnFailure {
    /// Identifies this failure in log and error page: eight hexadecimal digits.
    pub(crate) id: String,
    /// The group's name.
    pub(crate) app: String,
    /// The app's root directory.
    pub(crate) app_root: String,
    pub(crate) app_env: String,
    #[serde(skip)]
    kind: AppKind,
    /// What failed, in a sentence.
    pub(crate) summary: String,
    /// What was run with which interpreter, and why, if it was found in the app's directory; otherwise empty.
    pub(crate) entry_point: String,
    /// The cause and what to do.
    pub(crate) diagnosis: Diagnosis,
    /// Details from the app, usually a backtrace.
    pub(crate) details: String,
    /// What the process wrote to its output before it ended.
    pub(crate) output: String,
    /// How far the start came, step by step.
    pub(crate) steps: Vec<StepResult>,
    /// Its process ID, when there was a process, and how it ended.
    pub(crate) process: Option<(i32, Option<String>)>,
    /// The user that it ran as.
    pub(crate) user: Option<AppUser>,
    /// The environment that the daemon gave it, without secrets.
    pub(crate) environment: BTreeMap<String, String>,
    /// `passenger_spawn_exception_status_code`.
    pub(crate) status: u16,
    /// `passenger_custom_error_page`.
    #[serde(skip)]
    pub(crate) page: Option<PathBuf>,
    /// Whether clients may see the details.
    pub(crate) friendly: bool,
}

impl SpawnFailure {
    /// Returns the report of a start that ended with the trace's current step.
    pub(crate) fn new(route: &Route, summary: &str, trace: &StartupTrace) -> Self {
        let failure = Self {
            id: format!("{:08x}", RandomState::new().hash_one(&route.name) as u32),
            app: route.name.clone(),
            app_root: route.root.display().to_string(),
            app_env: route.settings.process.app_env.clone(),
            kind: route.kind,
            summary: summary.to_owned(),
            entry_point: trace.entry(route).unwrap_or_default(),
            diagnosis: Diagnosis::new(Code::Other, summary, ""),
            details: String::new(),
            output: String::new(),
            steps: trace.failed(),
            process: None,
            user: None,
            environment: BTreeMap::new(),
            status: route.settings.router.spawn_exception_status_code.0,
            page: route.settings.router.custom_error_page.clone(),
            friendly: route.settings.has_friendly_error_pages(),
        };
        failure.explained(String::new(), String::new())
    }

    /// Adds the process, and how it ended if it has.
    pub(crate) fn of_process(mut self, record: &ProcessRecord, how: Option<String>) -> Self {
        self.process = Some((record.pid, how));
        self.user = Some(record.user.clone());
        self.environment = record.environment.clone();
        self
    }

    /// Adds what the app reported and printed, and the diagnosis of everything.
    pub(crate) fn explained(mut self, details: String, output: String) -> Self {
        self.summary = secrets::without_logins(&self.summary);
        (self.details, self.output) = (secrets::without_logins(&details), secrets::without_logins(&output));
        let user = self.user.as_ref();
        self.diagnosis = Diagnosis::of(&FailedStart {
            kind: self.kind,
            root: PathBuf::from(&self.app_root),
            user: user.map(|user| user.name.clone()).unwrap_or_default(),
            // The router of a daemon that switches users runs as a user of its own.
            sudo: user.is_some_and(|user| user.uid != nix::unistd::geteuid().as_raw()),
            summary: self.summary.clone(),
            text: format!("{}\n{}", self.details, self.output),
            port: self.environment.get("PORT").and_then(|port| port.parse().ok()),
            ports: None,
            virtualenv: None,
            in_doctor: false,
        });
        self
    }

    /// Whether a later start failed for the same reason.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        (&self.summary, &self.diagnosis) == (&other.summary, &other.diagnosis)
    }

    /// Returns the command that shows this report.
    pub(crate) fn command(&self) -> String {
        format!("passenger-config spawn-error {}", self.id)
    }

    /// Returns the output without what the details contain.
    pub(crate) fn own_output(&self) -> String {
        without_repetition(&self.output, &self.details)
    }

    /// Returns the failure in a line, for nginx's error log.
    pub(crate) fn line(&self) -> String {
        let Diagnosis { cause, remedy, .. } = &self.diagnosis;
        let Self { app, id, .. } = self;
        format!("app {app} could not be started: {cause}. {remedy} Error ID {id}: {}", self.command())
    }

    /// Logs the failure as one event of several lines. The output was logged line by line.
    pub(crate) fn log(&self) {
        let Self { app, id, diagnosis, .. } = self;
        let (cause, remedy) = (diagnosis.cause.as_str(), diagnosis.remedy.as_str());
        let details = self.log_details();
        error!(
            event = "start_failed",
            detail = id.as_str(),
            app_name = app.as_str(),
            cause,
            remedy,
            details = details.as_str(),
            "app {app}: could not be started: {cause} [error ID {id}]"
        );
    }

    fn log_details(&self) -> String {
        let mut lines = Vec::new();
        if self.summary != self.diagnosis.cause {
            lines.push(format!("reported: {}", self.summary));
        }
        if let Some((pid, how)) = &self.process {
            lines.push(format!("process {pid} {}", how.as_deref().unwrap_or("was killed")));
        }
        if !self.entry_point.is_empty() {
            lines.push(format!("runs: {}", self.entry_point));
        }
        if !self.steps.is_empty() {
            let results: Vec<_> = self.steps.iter().map(StepResult::to_string).collect();
            lines.push(format!("steps: {}", results.join(", ")));
        }
        lines.push(format!("more: {}", self.command()));
        lines.extend(self.details.trim_end().lines().map(str::to_owned));
        lines.join("\n")
    }
}

/// Logs one line for a start that failed as an earlier one of the same version, and when the next one is tried.
pub(crate) fn log_again(failure: &SpawnFailure, next: Option<Duration>) {
    let SpawnFailure { app, id, diagnosis, .. } = failure;
    let next = next.map_or_else(
        || "the next request tries it again".to_owned(),
        |next| format!("next try in {} s", next.as_secs_f64().ceil()),
    );
    error!(
        event = "start_failed",
        detail = id.as_str(),
        app_name = app.as_str(),
        cause = diagnosis.cause.as_str(),
        "app {app}: fails again for the same reason (error ID {id}), {next}: {}",
        diagnosis.cause
    );
}
