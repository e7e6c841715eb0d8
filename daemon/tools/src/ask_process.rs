//! `passenger-config ask-process`: sends a request to one process, bypassing nginx, and shows the response as HTTP.

use clap::Args;
use serde_json::{Value, json};

use super::instance_arg::InstanceArg;
use super::{list, text};

/// Sends a request to one process.
#[derive(Debug, Args)]
pub(crate) struct AskProcess {
    /// Process ID, as shown by passenger-status
    pid: i32,
    /// Path and query
    #[arg(default_value = "/")]
    uri: String,
    /// Method
    #[arg(long, value_name = "METHOD", default_value = "GET")]
    method: String,
    /// Header; repeatable
    #[arg(long, value_name = "NAME: VALUE")]
    header: Vec<String>,
    /// Print the response as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    instance: InstanceArg,
}

impl AskProcess {
    pub(super) fn run(&self) -> Result<(), String> {
        let headers = self.header.iter().map(|header| split(header)).collect::<Result<Vec<_>, _>>()?;
        let request = json!({ "pid": self.pid, "method": self.method, "uri": self.uri, "headers": headers });
        let response = self.instance.client()?.post("/pool/ask_process.json", &request)?;
        if self.json {
            println!("{response:#}");
        } else {
            show(&response);
        }
        Ok(())
    }
}

fn split(header: &str) -> Result<(&str, &str), String> {
    let (name, value) = header
        .split_once(':')
        .ok_or_else(|| format!("invalid value \"{header}\" in \"--header\": must be NAME: VALUE"))?;
    Ok((name.trim(), value.trim()))
}

fn show(response: &Value) {
    println!("{}", response["status"]);
    for header in list(response, "headers") {
        let text = |at: usize| header[at].as_str().unwrap_or_default();
        println!("{}: {}", text(0), text(1));
    }
    println!("\n{}", text(response, "body"));
    if response["truncated"] == true {
        eprintln!("The body was truncated after 1 MiB.");
    }
}
