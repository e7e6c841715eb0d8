//! `passenger-config reopen-logs`: makes daemons reopen their log files, and those of apps, after a rotation.

use clap::Args;
use serde_json::json;

use super::client::Client;
use super::instance_arg::InstanceArg;
use super::instances;

/// Makes the daemon reopen its log files.
#[derive(Debug, Args)]
pub(crate) struct ReopenLogs {
    /// Do this for every running instance; succeed if there is none
    #[arg(long, conflicts_with = "instance")]
    all: bool,
    #[command(flatten)]
    instance: InstanceArg,
}

impl ReopenLogs {
    pub(super) fn run(&self) -> Result<(), String> {
        if !self.all {
            reopen(&self.instance.client()?)?;
            println!("The log file was reopened.");
            return Ok(());
        }
        let mut failed = Vec::new();
        for found in instances() {
            match reopen(&Client::new(&found)) {
                Ok(()) => println!("{}: the log file was reopened.", found.properties.name),
                Err(why) => failed.push(format!("{}: {why}", found.properties.name)),
            }
        }
        if failed.is_empty() { Ok(()) } else { Err(failed.join("\npassenger-config: ")) }
    }
}

fn reopen(daemon: &Client) -> Result<(), String> {
    daemon.post("/reopen_logs.json", &json!({}))?;
    Ok(())
}
