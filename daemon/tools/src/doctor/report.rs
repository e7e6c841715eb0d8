//! The doctor's output: text during the run, or JSON at the end.

use std::fmt::Arguments;
use std::io::Write;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::app::TestedApp;
use super::diagnosis::Diagnosis;
use super::nginx_access::closed_to_nginx;
use super::no_app::NoApp;
use super::run::AppRun;
use super::test_request::TestResponse;
use crate::private::log_line::LogLine;
use crate::spawn_error;

/// A report on one app.
#[derive(Debug)]
pub(super) struct Report<'a> {
    app: &'a TestedApp,
    /// The path of the request.
    path: &'a str,
    json: bool,
    /// A problem outside of the app.
    warning: Option<String>,
}

/// Reports that there is no app to start.
pub(super) fn print_no_app(no_app: &NoApp, json: bool) -> ExitCode {
    let NoApp { root, problem, advice } = no_app;
    if json {
        let diagnosis = json!({ "problem": problem, "advice": advice });
        print(format_args!("{:#}", json!({ "app": root, "ok": false, "diagnosis": diagnosis })));
    } else {
        print(format_args!("App         : {}", root.display()));
        print_diagnosis(problem, advice);
    }
    ExitCode::FAILURE
}

impl<'a> Report<'a> {
    pub(super) fn new(app: &'a TestedApp, path: &'a str, json: bool) -> Self {
        Self { app, path, json, warning: app.refusal.clone().or_else(|| closed_to_nginx(&app.root)) }
    }

    /// Prints what is known before the start.
    pub(super) fn print_header(&self) {
        if self.json {
            return;
        }
        let TestedApp { root, kind, kind_reason, .. } = self.app;
        print(format_args!("App         : {}", root.display()));
        print(format_args!("Type        : {}, {kind_reason}", kind.as_str()));
        print(format_args!("Starts with : {}", self.app.entry_point()));
        match &self.app.user {
            Ok((user, reason)) => print(format_args!("User        : {}, {reason}", user.name)),
            Err(err) => print(format_args!("User        : none: {err}")),
        }
        print(format_args!("Environment : {}", self.app.app_env()));
        match self.app.settings_of {
            Some(pid) => {
                print(format_args!("Settings    : from the daemon with PID {pid}, which serves the app"))
            }
            None => print(format_args!("Settings    : defaults, because no running daemon serves the app")),
        }
        match self.app.variables_of {
            Some(pid) => print(format_args!("Variables   : from the daemon with PID {pid}")),
            None => print(format_args!("Variables   : yours, because those of no daemon can be read")),
        }
        if let Some(warning) = &self.warning {
            print(format_args!("Warning     : {warning}"));
        }
        print(format_args!("\nA private daemon starts the app and requests {}. Output:", self.path));
    }

    /// Prints a line of the private daemon's log.
    pub(super) fn print_log_line(&self, line: &LogLine) {
        // The report contains the failure in readable form, and lines of the level "info" are used by the report only.
        let is_of_report = line.level == "info" && !line.event.ends_with("_entry");
        if self.json || is_of_report || line.event == "start_failed" {
            return;
        }
        line.to_string().lines().for_each(|line| print(format_args!("  {line}")));
    }

    /// Prints the result and the diagnosis.
    pub(super) fn print_result(&self, run: &AppRun, diagnosis: Option<&Diagnosis>) -> ExitCode {
        let response = run.response.as_ref().and_then(|response| response.as_ref().ok());
        let ok = response.is_some_and(TestResponse::is_success);
        let response = response.filter(|response| response.pid != 0);
        if self.json {
            print(format_args!("{:#}", self.to_json(run, diagnosis, response, ok)));
        } else {
            self.print_text(run, diagnosis, response, ok);
        }
        if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    fn print_text(
        &self,
        run: &AppRun,
        diagnosis: Option<&Diagnosis>,
        response: Option<&TestResponse>,
        ok: bool,
    ) {
        print(format_args!(""));
        for (at, step) in run.steps().iter().enumerate() {
            print(format_args!("{} {step}", if at == 0 { "Steps       :" } else { "             " }));
        }
        if let Some(report) = &run.report {
            spawn_error::show(&without_repetition(report));
        }
        if let Some(TestResponse { status, took, pid, .. }) = response {
            let (path, took) = (self.path, took.as_millis());
            print(format_args!(
                "Response    : status {status} for GET {path}, after {took} ms, from process {pid}"
            ));
        }
        match diagnosis {
            Some(Diagnosis { problem, advice }) => print_diagnosis(problem, advice),
            None if ok => print(format_args!("\nThe app starts and responds.")),
            None => print(format_args!("\nThe app does not respond, for an unknown reason.")),
        }
    }

    fn to_json(
        &self,
        run: &AppRun,
        diagnosis: Option<&Diagnosis>,
        response: Option<&TestResponse>,
        ok: bool,
    ) -> Value {
        let TestedApp { root, kind, kind_reason, .. } = self.app;
        let user = self.app.user.as_ref().ok();
        json!({
            "app": root,
            "ok": ok,
            "type": kind.as_str(),
            "type_reason": kind_reason,
            "starts_with": self.app.entry_point(),
            "user": user.map(|(user, _)| &user.name),
            "user_reason": user.map(|(_, reason)| reason),
            "environment": self.app.app_env(),
            "settings_of_daemon": self.app.settings_of,
            "variables_of_daemon": self.app.variables_of,
            "warning": self.warning,
            "steps": run.steps(),
            "report": run.report,
            "response": response.map(|response| json!({
                "status": response.status, "ms": response.took.as_millis() as u64, "pid": response.pid,
            })),
            "diagnosis": diagnosis.map(|diagnosis| json!({
                "problem": diagnosis.problem, "advice": diagnosis.advice,
            })),
            "log": run.log.iter().map(LogLine::to_string).collect::<Vec<_>>(),
        })
    }
}

/// Removes the output, which was shown line by line, and the details if the output contains them.
fn without_repetition(report: &Value) -> Value {
    let mut report = report.clone();
    let first = report["details"].as_str().and_then(|details| details.lines().next()).unwrap_or_default();
    if report["output"].as_str().is_some_and(|output| output.contains(first)) {
        report["details"] = "".into();
    }
    report["output"] = "".into();
    report
}

fn print_diagnosis(problem: &str, advice: &str) {
    print(format_args!("\nDiagnosis   : {problem}"));
    print(format_args!("What to do  : {advice}"));
}

/// A closed pipe is not an error: the processes that were started must be shut down.
fn print(text: Arguments<'_>) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
