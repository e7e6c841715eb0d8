//! Report of a process that did not start: complete in the log, limited in the response to the client.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;

use serde::Serialize;
use tracing::error;

use super::startup_trace::{StartupTrace, StepResult};
use crate::app::route::Route;
use common::link::{AppUser, ProcessRecord};

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
    /// What failed, in a sentence.
    pub(crate) summary: String,
    /// What was run with which interpreter, and why, if it was found in the app's directory; otherwise empty.
    pub(crate) entry_point: String,
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
        Self {
            id: format!("{:08x}", RandomState::new().hash_one(&route.name) as u32),
            app: route.name.clone(),
            app_root: route.root.display().to_string(),
            app_env: route.settings.process.app_env.clone(),
            summary: summary.to_owned(),
            entry_point: trace.entry(route).unwrap_or_default(),
            details: String::new(),
            output: String::new(),
            steps: trace.failed(),
            process: None,
            user: None,
            environment: BTreeMap::new(),
            status: route.settings.router.spawn_exception_status_code.0,
            page: route.settings.router.custom_error_page.clone(),
            friendly: route.settings.has_friendly_error_pages(),
        }
    }

    /// Adds the process, and how it ended if it has.
    pub(crate) fn of_process(mut self, record: &ProcessRecord, how: Option<String>) -> Self {
        self.process = Some((record.pid, how));
        self.user = Some(record.user.clone());
        self.environment = record.environment.clone();
        self
    }

    /// Logs the failure in one message.
    pub(crate) fn log(&self) {
        let mut message =
            format!("app {}: could not be started: {} [error ID {}]", self.app, self.summary, self.id);
        if let Some((pid, how)) = &self.process {
            let how = how.as_deref().unwrap_or("was killed");
            message.push_str(&format!("\nprocess {pid} {how}"));
        }
        if !self.entry_point.is_empty() {
            message.push_str(&format!("\nruns: {}", self.entry_point));
        }
        if !self.steps.is_empty() {
            let results: Vec<_> = self.steps.iter().map(StepResult::to_string).collect();
            message.push_str(&format!("\nsteps: {}", results.join(", ")));
        }
        if !self.details.is_empty() {
            message.push_str(&format!("\ndetails:\n{}", self.details.trim_end()));
        }
        if !self.output.is_empty() {
            message.push_str(&format!("\noutput:\n{}", self.output.trim_end()));
        }
        error!(event = "start_failed", detail = self.id, "{message}");
    }
}
