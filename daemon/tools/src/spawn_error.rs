//! `passenger-config spawn-error`: shows the report of a failed start, by the ID in the log and on the error page.

use clap::Args;
use serde_json::Value;

use super::instance_arg::InstanceArg;
use super::{list, text};

/// Shows the report of a failed start.
#[derive(Debug, Args)]
pub(crate) struct SpawnError {
    /// Error ID: eight hexadecimal digits
    id: String,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    instance: InstanceArg,
}

impl SpawnError {
    pub(super) fn run(&self) -> Result<(), String> {
        if !self.id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(format!("invalid error ID \"{}\": must be eight hexadecimal digits", self.id));
        }
        let path = format!("/spawn_errors/{}.json", self.id.to_ascii_lowercase());
        let report = self.instance.client()?.get_json(&path)?;
        if self.json {
            println!("{report:#}");
        } else {
            show(&report);
        }
        Ok(())
    }
}

/// Prints the report as text.
pub(super) fn show(report: &Value) {
    let text = |key: &str| text(report, key).trim_end();
    println!("Error ID    : {}", text("id"));
    println!("App         : {}", text("app"));
    println!("Environment : {}", text("app_env"));
    if let (Some(cause), Some(remedy)) =
        (report["diagnosis"]["cause"].as_str(), report["diagnosis"]["remedy"].as_str())
    {
        println!("Cause       : {cause}");
        println!("What to do  : {remedy}");
    }
    println!("What failed : {}", text("summary"));
    if let (Some(pid), how) = (report["process"][0].as_i64(), &report["process"][1]) {
        println!("Process     : {pid} {}", how.as_str().unwrap_or("was killed"));
    }
    if let Some(user) = report["user"]["name"].as_str() {
        println!("User        : {user}");
    }
    if !text("entry_point").is_empty() {
        println!("Runs        : {}", text("entry_point"));
    }
    show_steps(report);
    for (title, key) in [("Details", "details"), ("Output of the application", "output")] {
        if !text(key).is_empty() {
            println!("\n{title}:\n{}", text(key));
        }
    }
    if let Some(variables) = report["environment"].as_object().filter(|variables| !variables.is_empty()) {
        println!("\nEnvironment variables:");
        for (name, value) in variables {
            println!("{name}={}", value.as_str().unwrap_or_default());
        }
    }
}

fn show_steps(report: &Value) {
    for (at, step) in list(report, "steps").iter().enumerate() {
        let title = if at == 0 { "Steps       :" } else { "             " };
        let (name, ms) = (step["step"].as_str().unwrap_or("?"), step["ms"].as_u64().unwrap_or(0));
        match step["outcome"].as_str() {
            Some("done") => println!("{title} {name} done in {ms} ms"),
            Some("failed") => println!("{title} {name} failed after {ms} ms"),
            _ => println!("{title} {name} not begun"),
        }
    }
}
