//! `passenger-config detach-process`: takes one process out of service; it finishes its current requests.

use clap::Args;
use serde_json::json;

use super::{choose, expect_success};

/// Takes one process out of service.
#[derive(Debug, Args)]
pub struct DetachProcess {
    /// Process ID, as passenger-status shows it
    pid: i32,
    /// Exit successfully although no app process has this PID
    #[arg(long)]
    ignore_nonexistant_pid: bool,
    /// Name of the instance, or how it begins
    #[arg(long, value_name = "NAME")]
    instance: Option<String>,
}

impl DetachProcess {
    /// Runs the command.
    ///
    /// # Errors
    ///
    /// Returns a message for the administrator.
    pub fn run(&self) -> Result<(), String> {
        let client = choose(self.instance.as_deref()).map_err(|err| err.to_string())?;
        let order = json!({ "pid": self.pid });
        let reply = client.post("/pool/detach_process.json", &order).map_err(|err| err.to_string())?;
        if reply.status == 404 && self.ignore_nonexistant_pid {
            eprintln!("No app process has the PID {}.", self.pid);
            return Ok(());
        }
        expect_success(&reply)?;
        println!("Process {} detached.", self.pid);
        Ok(())
    }
}
