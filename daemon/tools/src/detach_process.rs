//! `passenger-config detach-process`: takes one process out of service; it finishes its current requests.

use clap::Args;
use serde_json::json;

use super::client::RequestError;
use super::instance_arg::InstanceArg;

/// Takes one process out of service.
#[derive(Debug, Args)]
pub(crate) struct DetachProcess {
    /// Process ID, as shown by passenger-status
    pid: i32,
    /// Exit with status 0 even if no app process has this PID
    #[arg(long)]
    ignore_nonexistant_pid: bool,
    #[command(flatten)]
    instance: InstanceArg,
}

impl DetachProcess {
    pub(super) fn run(&self) -> Result<(), String> {
        match self.instance.client()?.post("/pool/detach_process.json", &json!({ "pid": self.pid })) {
            Ok(_) => println!("Process {} detached.", self.pid),
            Err(RequestError::Rejected(404, _)) if self.ignore_nonexistant_pid => {
                eprintln!("No app process has the PID {}.", self.pid);
            }
            Err(err) => return Err(err.to_string()),
        }
        Ok(())
    }
}
