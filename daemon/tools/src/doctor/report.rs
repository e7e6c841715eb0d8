//! The doctor's output: text during the run, or JSON at the end.

use std::fmt::Arguments;
use std::io::Write;
use std::process::ExitCode;

use diagnosis::{Diagnosis, without_repetition};
use serde_json::{Value, json};

use super::app::TestedApp;
use super::no_app::NoApp;
use super::run::AppRun;
use super::surroundings;
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
    /// Problems outside of the app.
    problems: Vec<Diagnosis>,
}

/// Reports that there is no app to start.
pub(super) fn print_no_app(no_app: &NoApp, json: bool) -> ExitCode {
    let NoApp { root, diagnosis } = no_app;
    let problems: Vec<_> = surroundings::no_daemon().into_iter().collect();
    if json {
        let report = json!({ "app": root, "ok": false, "problems": problems, "diagnosis": diagnosis });
        print(format_args!("{report:#}"));
    } else {
        print(format_args!("App         : {}", root.display()));
        print_problems(&problems);
        print_diagnosis(diagnosis);
    }
    ExitCode::FAILURE
}

impl<'a> Report<'a> {
    pub(super) fn new(app: &'a TestedApp, path: &'a str, json: bool) -> Self {
        Self { app, path, json, problems: surroundings::problems(app) }
    }

    /// Prints what is known before the start.
    pub(super) fn print_header(&self) {
        if self.json {
            return;
        }
        let TestedApp { root, kind, kind_reason, .. } = self.app;
        print(format_args!("App         : {}", root.display()));
        print_problems(&self.problems);
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
            spawn_error::show(&without_printed(report));
        }
        if let Some(TestResponse { status, took, pid, .. }) = response {
            let (path, took) = (self.path, took.as_millis());
            print(format_args!(
                "Response    : status {status} for GET {path}, after {took} ms, from process {pid}"
            ));
        }
        match diagnosis {
            Some(diagnosis) => print_diagnosis(diagnosis),
            None if ok => print(format_args!("\nThe app starts and responds.")),
            None => print(format_args!("\nThe app does not respond, for an unknown reason.")),
        }
        if !self.problems.is_empty() {
            print(format_args!("\nProblems outside of the app, as shown at the top:"));
            print_problems(&self.problems);
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
            "problems": self.problems,
            "steps": run.steps(),
            "report": run.report,
            "response": response.map(|response| json!({
                "status": response.status, "ms": response.took.as_millis() as u64, "pid": response.pid,
            })),
            "diagnosis": diagnosis,
            "log": run.log.iter().map(LogLine::to_string).collect::<Vec<_>>(),
        })
    }
}

/// Removes the output, which was shown line by line, and the diagnosis, which the doctor makes itself.
fn without_printed(report: &Value) -> Value {
    let mut report = report.clone();
    let printed = |key: &str| report[key].as_str().unwrap_or_default();
    let is_repeated = without_repetition(printed("output"), printed("details")) != printed("output");
    if is_repeated {
        report["details"] = "".into();
    }
    report["output"] = "".into();
    report["diagnosis"] = Value::Null;
    report
}

fn print_diagnosis(Diagnosis { cause, remedy, .. }: &Diagnosis) {
    print(format_args!("\nDiagnosis   : {cause}"));
    print(format_args!("What to do  : {remedy}"));
}

fn print_problems(problems: &[Diagnosis]) {
    for Diagnosis { cause, remedy, .. } in problems {
        print(format_args!("Problem     : {cause}"));
        print(format_args!("              {remedy}"));
    }
}

/// A closed pipe is not an error: the processes that were started must be shut down.
fn print(text: Arguments<'_>) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
