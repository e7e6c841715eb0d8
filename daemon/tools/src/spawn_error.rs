//! `passenger-config spawn-error`: shows the report of a failed start, by the ID in the log and on the error page.

use clap::Args;
use serde_json::Value;

use super::{choose, expect_success};

/// Shows why an app did not start.
#[derive(Debug, Args)]
pub struct SpawnError {
    /// Eight hexadecimal digits
    id: String,
    /// As JSON
    #[arg(long)]
    json: bool,
    /// Name of the instance, or how it begins
    #[arg(long, value_name = "NAME")]
    instance: Option<String>,
}

impl SpawnError {
    /// Runs the command.
    ///
    /// # Errors
    ///
    /// Returns a message for the administrator.
    pub fn run(&self) -> Result<(), String> {
        if !self.id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(format!("{:?} is no error ID: it has eight hexadecimal digits", self.id));
        }
        let client = choose(self.instance.as_deref()).map_err(|err| err.to_string())?;
        let path = format!("/spawn_errors/{}.json", self.id.to_ascii_lowercase());
        let reply = client.get(&path).map_err(|err| err.to_string())?;
        expect_success(&reply)?;
        let report: Value = serde_json::from_str(&reply.body).map_err(|err| err.to_string())?;
        if self.json {
            println!("{}", serde_json::to_string_pretty(&report).map_err(|err| err.to_string())?);
        } else {
            show(&report);
        }
        Ok(())
    }
}

/// Prints the report as text.
pub(super) fn show(report: &Value) {
    let text = |key: &str| report[key].as_str().unwrap_or_default().trim_end().to_owned();
    println!("Error ID    : {}", text("id"));
    println!("App         : {}", text("app"));
    println!("Environment : {}", text("app_env"));
    println!("What failed : {}", text("summary"));
    if let (Some(pid), how) = (report["process"][0].as_i64(), &report["process"][1]) {
        println!("Process     : {pid} {}", how.as_str().unwrap_or("was killed"));
    }
    if let Some(user) = report["user"]["name"].as_str() {
        println!("Ran as      : {user}");
    }
    show_steps(&report["steps"]);
    for (title, key) in [("Details", "details"), ("Output of the application", "output")] {
        if !text(key).is_empty() {
            println!("\n{title}:\n{}", text(key));
        }
    }
    if let Some(variables) = report["environment"].as_object().filter(|variables| !variables.is_empty()) {
        println!("\nWhat the process was started with:");
        for (name, value) in variables {
            println!("{name}={}", value.as_str().unwrap_or_default());
        }
    }
}

fn show_steps(steps: &Value) {
    for (at, step) in steps.as_array().into_iter().flatten().enumerate() {
        let title = if at == 0 { "Steps       :" } else { "             " };
        let (name, ms) = (step["step"].as_str().unwrap_or("?"), step["ms"].as_u64().unwrap_or(0));
        match step["outcome"].as_str() {
            Some("done") => println!("{title} {name} done in {ms} ms"),
            Some("failed") => println!("{title} {name} failed after {ms} ms"),
            _ => println!("{title} {name} not begun"),
        }
    }
}
