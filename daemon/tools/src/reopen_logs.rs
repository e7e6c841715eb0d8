//! `passenger-config reopen-logs`: makes the daemon reopen its log file after a rotation.

use clap::Args;
use serde_json::json;

use super::instance_arg::InstanceArg;

/// Makes the daemon reopen its log file.
#[derive(Debug, Args)]
pub(crate) struct ReopenLogs {
    #[command(flatten)]
    instance: InstanceArg,
}

impl ReopenLogs {
    pub(super) fn run(&self) -> Result<(), String> {
        self.instance.client()?.post("/reopen_logs.json", &json!({}))?;
        println!("The log file was reopened.");
        Ok(())
    }
}
