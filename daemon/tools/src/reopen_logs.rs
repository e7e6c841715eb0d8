//! `passenger-config reopen-logs`: makes the daemon reopen its log file after a rotation.

use clap::Args;
use serde_json::json;

use super::{choose, expect_success};

/// Has the log file opened anew.
#[derive(Debug, Args)]
pub struct ReopenLogs {
    /// Name of the instance, or how it begins
    #[arg(long, value_name = "NAME")]
    instance: Option<String>,
}

impl ReopenLogs {
    /// Runs the command.
    ///
    /// # Errors
    ///
    /// Returns a message for the administrator.
    pub fn run(&self) -> Result<(), String> {
        let client = choose(self.instance.as_deref()).map_err(|err| err.to_string())?;
        let reply = client.post("/reopen_logs.json", &json!({})).map_err(|err| err.to_string())?;
        expect_success(&reply)?;
        println!("The log file is opened anew.");
        Ok(())
    }
}
