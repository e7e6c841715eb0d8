//! `passenger-config ask-process`: sends a request to one process, bypassing nginx, and shows the response as HTTP.

use clap::Args;
use serde_json::{Value, json};

use super::{choose, expect_success, list};

/// Asks one process.
#[derive(Debug, Args)]
pub struct AskProcess {
    /// Process ID, as passenger-status shows it
    pid: i32,
    /// Path and query
    #[arg(default_value = "/")]
    uri: String,
    /// Method
    #[arg(long, value_name = "METHOD", default_value = "GET")]
    method: String,
    /// A header; repeatable
    #[arg(long, value_name = "NAME: VALUE")]
    header: Vec<String>,
    /// The answer as JSON
    #[arg(long)]
    json: bool,
    /// Name of the instance, or how it begins
    #[arg(long, value_name = "NAME")]
    instance: Option<String>,
}

impl AskProcess {
    /// Runs the command.
    ///
    /// # Errors
    ///
    /// Returns a message for the administrator.
    pub fn run(&self) -> Result<(), String> {
        let headers = self.header.iter().map(|header| split(header)).collect::<Result<Vec<_>, _>>()?;
        let client = choose(self.instance.as_deref()).map_err(|err| err.to_string())?;
        let question = json!({ "pid": self.pid, "method": self.method, "uri": self.uri, "headers": headers });
        let reply = client.post("/pool/ask_process.json", &question).map_err(|err| err.to_string())?;
        expect_success(&reply)?;
        let answer: Value = serde_json::from_str(&reply.body).map_err(|err| err.to_string())?;
        if self.json {
            println!("{}", serde_json::to_string_pretty(&answer).map_err(|err| err.to_string())?);
        } else {
            show(&answer);
        }
        Ok(())
    }
}

fn split(header: &str) -> Result<(&str, &str), String> {
    let (name, value) =
        header.split_once(':').ok_or_else(|| format!("{header:?} is not of the form NAME: VALUE"))?;
    Ok((name.trim(), value.trim()))
}

fn show(answer: &Value) {
    println!("{}", answer["status"]);
    for header in list(answer, "headers") {
        let text = |at: usize| header[at].as_str().unwrap_or_default();
        println!("{}: {}", text(0), text(1));
    }
    println!("\n{}", answer["body"].as_str().unwrap_or_default());
    if answer["truncated"] == true {
        eprintln!("The body is longer; this is its first MiB.");
    }
}
