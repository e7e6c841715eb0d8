//! Diagnosis of a run: the cause and what to do. Only the recorded run is examined; failed starts are diagnosed as by the
//! daemon, with what only the doctor sees.

use std::path::Path;

use diagnosis::{Code, Diagnosis, FailedStart};
use serde_json::Value;

use super::answering;
use super::app::TestedApp;
use super::run::AppRun;
use super::virtualenv;

/// Returns the diagnosis; `None` when the app answers without an error.
pub(super) fn of(app: &TestedApp, run: &AppRun) -> Option<Diagnosis> {
    if run.no_daemon {
        return Some(no_daemon(run));
    }
    match &run.report {
        Some(report) => Some(Diagnosis::of(&failed_start(app, run, report))),
        None => answering::of(run),
    }
}

fn no_daemon(run: &AppRun) -> Diagnosis {
    let error = run.log.iter().rfind(|line| line.is_error()).map(|line| line.message.as_str());
    let error = error.unwrap_or("no error was logged");
    Diagnosis::new(
        Code::NoDaemon,
        format!("the private daemon does not start: {}", error.trim_start_matches("flying-passenger: ")),
        "Run passenger-config validate-install to check the installation.",
    )
}

fn failed_start(app: &TestedApp, run: &AppRun, report: &Value) -> FailedStart {
    let text = |key: &str| report[key].as_str().unwrap_or_default();
    let expected_user = app.user.as_ref().map(|(user, _)| user.name.as_str()).unwrap_or_default();
    FailedStart {
        kind: app.kind,
        root: app.root.clone(),
        user: report["user"]["name"].as_str().unwrap_or(expected_user).to_owned(),
        sudo: nix::unistd::geteuid().is_root(),
        summary: text("summary").to_owned(),
        text: format!("{}\n{}", text("details"), text("output")),
        port: report["environment"]["PORT"].as_str().and_then(|port| port.parse().ok()),
        ports: Some(run.ports.clone()),
        virtualenv: virtualenv::beside(Path::new(&app.root)),
        in_doctor: true,
    }
}
