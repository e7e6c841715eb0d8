//! `passenger-config restart-app`: restarts the chosen apps, and optionally waits for the result.

use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};

use super::chosen_apps::ChosenApps;
use super::client::Client;

/// Restarts apps and optionally waits for the result.
#[derive(Debug, Args)]
pub(crate) struct RestartApp {
    #[command(flatten)]
    apps: ChosenApps,
    /// Replace processes one after another, regardless of the configuration
    #[arg(long, conflicts_with = "blocking_restart")]
    rolling_restart: bool,
    /// Replace all processes at once, regardless of the configuration; requests wait for the new processes
    #[arg(long)]
    blocking_restart: bool,
    /// Wait until all processes are replaced; fail if the new version does not start
    #[arg(long)]
    wait: bool,
    /// Maximum seconds to wait, for each app
    #[arg(long, value_name = "SECONDS", requires = "wait")]
    timeout: Option<u64>,
}

impl RestartApp {
    /// Runs the command. With `--wait` a new version that does not start is a failure.
    pub(super) fn run(&self) -> Result<(), String> {
        let Some((client, names)) = self.apps.find()? else { return Ok(()) };
        let mut ordered = Vec::new();
        for name in names {
            println!("Restarting {name}");
            let version = self.order(&client, &name)?;
            ordered.push((name, version));
        }
        if self.wait { self.await_all(&client, &ordered) } else { Ok(()) }
    }

    /// Orders the restart of one group and returns the version it creates.
    fn order(&self, client: &Client, name: &str) -> Result<u64, String> {
        let mut order = json!({ "name": name });
        if self.rolling_restart {
            order["restart_method"] = json!("rolling");
        } else if self.blocking_restart {
            order["restart_method"] = json!("blocking");
        }
        let response = client.post("/pool/restart_app_group.json", &order)?;
        Ok(response["version"].as_u64().unwrap_or_default())
    }

    /// Waits for each restart; reports every failure, and fails if there was one.
    fn await_all(&self, client: &Client, ordered: &[(String, u64)]) -> Result<(), String> {
        let mut failed = Vec::new();
        for (name, version) in ordered {
            match self.await_one(client, name, *version) {
                Ok(()) => println!("Restarted {name}"),
                Err(err) => failed.push(format!("{name}: {err}")),
            }
        }
        if failed.is_empty() { Ok(()) } else { Err(failed.join("\npassenger-config: ")) }
    }

    fn await_one(&self, client: &Client, name: &str, version: u64) -> Result<(), String> {
        let deadline = self.timeout.map(|seconds| Instant::now() + Duration::from_secs(seconds));
        loop {
            let mut order = json!({ "name": name, "version": version });
            if let Some(deadline) = deadline {
                order["seconds"] = json!(deadline.saturating_duration_since(Instant::now()).as_secs() + 1);
            }
            let response = client.post("/pool/await_restart.json", &order)?;
            match response["outcome"].as_str() {
                Some("done") => return Ok(()),
                Some("pending") => {}
                _ => return Err(failure(&response)),
            }
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Err("the restart has not finished yet; passenger-status shows its progress".into());
            }
        }
    }
}

fn failure(response: &Value) -> String {
    let message = response["message"].as_str().unwrap_or("the daemon reported no reason");
    match response["error_id"].as_str() {
        Some(id) => format!("{message}; run passenger-config spawn-error {id} for details"),
        None => message.to_owned(),
    }
}
