//! The doctor's output: text during the run, or JSON at the end.

use std::fmt::Arguments;
use std::io::Write;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::app::TestedApp;
use super::conversation::Answer;
use super::diagnosis::Diagnosis;
use super::nginx_access::closed_to_nginx;
use super::no_app::NoApp;
use super::run::AppRun;
use crate::spawn_error;

/// A report on one app.
#[derive(Debug)]
pub(super) struct Report<'p> {
    app: &'p TestedApp,
    /// The path of the request.
    path: &'p str,
    json: bool,
    /// A problem outside of the app.
    warning: Option<String>,
}

/// Reports that there is no app to start.
pub(super) fn no_app(none: &NoApp, json: bool) -> ExitCode {
    let NoApp { root, problem, advice } = none;
    if json {
        let diagnosis = json!({ "problem": problem, "advice": advice });
        print_json(&json!({ "app": root, "ok": false, "diagnosis": diagnosis }));
    } else {
        say(format_args!("App         : {}", root.display()));
        say_diagnosis(problem, advice);
    }
    ExitCode::FAILURE
}

impl<'p> Report<'p> {
    pub(super) fn new(app: &'p TestedApp, path: &'p str, json: bool) -> Self {
        Self { app, path, json, warning: app.refusal.clone().or_else(|| closed_to_nginx(&app.root)) }
    }

    /// Prints what is known before the start.
    pub(super) fn introduce(&self) {
        if self.json {
            return;
        }
        let TestedApp { root, kind, because, .. } = self.app;
        say(format_args!("App         : {}", root.display()));
        say(format_args!("Type        : {}, {because}", kind.as_str()));
        say(format_args!("Starts with : {}", self.app.entrance()));
        match &self.app.user {
            Ok((user, because)) => say(format_args!("Would run as: {}, {because}", user.name)),
            Err(why) => say(format_args!("Would run as: nobody: {why}")),
        }
        say(format_args!("Environment : {}", self.app.app_env()));
        match self.app.known_to {
            Some(pid) => {
                say(format_args!("Settings    : those that the daemon with PID {pid} serves it with"))
            }
            None => say(format_args!("Settings    : defaults, as no running daemon knows this app")),
        }
        match self.app.variables_of {
            Some(pid) => say(format_args!("Variables   : those of the daemon with PID {pid}")),
            None => say(format_args!("Variables   : yours, as no daemon's can be read")),
        }
        if let Some(warning) = &self.warning {
            say(format_args!("Warning     : {warning}"));
        }
        say(format_args!("\nA daemon of its own starts it and asks for {}. What they say:", self.path));
    }

    /// Prints a line of the private daemon's log.
    pub(super) fn show(&self, line: &str) {
        // The report contains the failure in readable form, and lines of this level are used by the report only.
        let is_detail = line.starts_with("[ I ") || line.contains(": could not be started: ");
        if !self.json && !is_detail {
            say(format_args!("  {line}"));
        }
    }

    /// Prints the result and the diagnosis.
    pub(super) fn conclude(&self, run: &AppRun, diagnosis: Option<&Diagnosis>) -> ExitCode {
        let answer = run.answer.as_ref().and_then(|answer| answer.as_ref().ok());
        let ok = answer.is_some_and(Answer::is_good);
        if self.json {
            print_json(&self.as_json(run, diagnosis, ok));
        } else {
            self.conclude_in_words(run, diagnosis, answer, ok);
        }
        if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    fn conclude_in_words(
        &self,
        run: &AppRun,
        diagnosis: Option<&Diagnosis>,
        answer: Option<&Answer>,
        ok: bool,
    ) {
        say(format_args!(""));
        for (at, step) in run.steps.iter().enumerate() {
            say(format_args!("{} {step}", if at == 0 { "Steps       :" } else { "             " }));
        }
        if let Some(report) = &run.report {
            spawn_error::show(&without_repetition(report));
        }
        if let Some(answer) = answer.filter(|answer| answer.pid != 0) {
            let (status, took, pid) = (answer.status, answer.took.as_millis(), answer.pid);
            let path = self.path;
            say(format_args!(
                "Answer      : status {status} for GET {path}, after {took} ms, from process {pid}"
            ));
        }
        match diagnosis {
            Some(Diagnosis { problem, advice }) => say_diagnosis(problem, advice),
            None if ok => say(format_args!("\nThe app starts and answers.")),
            None => say(format_args!("\nThe app does not answer, and nothing tells why.")),
        }
    }

    fn as_json(&self, run: &AppRun, diagnosis: Option<&Diagnosis>, ok: bool) -> Value {
        let TestedApp { root, kind, because, known_to, .. } = self.app;
        let user = self.app.user.as_ref().ok();
        let answer = run.answer.as_ref().and_then(|answer| answer.as_ref().ok());
        json!({
            "app": root,
            "ok": ok,
            "type": kind.as_str(),
            "type_because": because,
            "user": user.map(|(user, _)| &user.name),
            "user_because": user.map(|(_, because)| because),
            "environment": self.app.app_env(),
            "settings_of_daemon": known_to,
            "variables_of_daemon": self.app.variables_of,
            "warning": self.warning,
            "steps": run.steps,
            "report": run.report,
            "answer": answer.filter(|answer| answer.pid != 0).map(|answer| json!({
                "status": answer.status, "ms": answer.took.as_millis() as u64, "pid": answer.pid,
            })),
            "diagnosis": diagnosis.map(|diagnosis| json!({
                "problem": diagnosis.problem, "advice": diagnosis.advice,
            })),
            "log": run.log,
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

fn say_diagnosis(problem: &str, advice: &str) {
    say(format_args!("\nDiagnosis   : {problem}"));
    say(format_args!("What to do  : {advice}"));
}

fn print_json(value: &Value) {
    say(format_args!("{value:#}"));
}

/// A closed pipe is not an error: the processes that were started must be shut down.
fn say(text: Arguments<'_>) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
