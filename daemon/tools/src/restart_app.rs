//! `passenger-config restart-app`: restarts the chosen apps, and optionally waits for the result.

use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};

use super::{ChosenApps, Client, expect_success};

/// Restarts apps and, when asked, waits for the end of it.
#[derive(Debug, Args)]
pub struct RestartApp {
    #[command(flatten)]
    apps: ChosenApps,
    /// Replaces processes one after another, whatever the configuration says
    #[arg(long, conflicts_with = "blocking_restart")]
    rolling_restart: bool,
    /// Replaces all processes at once, whatever the configuration says; requests wait for the new ones
    #[arg(long)]
    blocking_restart: bool,
    /// Waits until every process is replaced; fails when the new version does not start
    #[arg(long)]
    wait: bool,
    /// Most seconds to wait, for each app
    #[arg(long, value_name = "SECONDS", requires = "wait")]
    timeout: Option<u64>,
}

impl RestartApp {
    /// Runs the command.
    ///
    /// # Errors
    ///
    /// Returns a message for the administrator; with `--wait` also when a new version does not start.
    pub fn run(&self) -> Result<(), String> {
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
        let reply = ask(client, "/pool/restart_app_group.json", &order)?;
        Ok(reply["version"].as_u64().unwrap_or_default())
    }

    /// Waits for each restart; reports every failure, and fails if there was one.
    fn await_all(&self, client: &Client, ordered: &[(String, u64)]) -> Result<(), String> {
        let mut failed = Vec::new();
        for (name, version) in ordered {
            match self.await_one(client, name, *version) {
                Ok(()) => println!("Restarted {name}"),
                Err(why) => failed.push(format!("{name}: {why}")),
            }
        }
        if failed.is_empty() { Ok(()) } else { Err(failed.join("\npassenger-config: ")) }
    }

    fn await_one(&self, client: &Client, name: &str, version: u64) -> Result<(), String> {
        let until = self.timeout.map(|seconds| Instant::now() + Duration::from_secs(seconds));
        loop {
            let mut order = json!({ "name": name, "version": version });
            if let Some(until) = until {
                order["seconds"] = json!(until.saturating_duration_since(Instant::now()).as_secs() + 1);
            }
            let reply = ask(client, "/pool/await_restart.json", &order)?;
            match reply["outcome"].as_str() {
                Some("done") => return Ok(()),
                Some("pending") => {}
                _ => return Err(failure(&reply)),
            }
            if until.is_some_and(|until| until <= Instant::now()) {
                return Err("it is not restarted yet; passenger-status shows what it is doing".into());
            }
        }
    }
}

fn failure(reply: &Value) -> String {
    let message = reply["message"].as_str().unwrap_or("the daemon does not say what became of it");
    match reply["error_id"].as_str() {
        Some(id) => format!("{message} (passenger-config spawn-error {id} tells more)"),
        None => message.to_owned(),
    }
}

fn ask(client: &Client, path: &str, order: &Value) -> Result<Value, String> {
    let reply = client.post(path, order).map_err(|err| err.to_string())?;
    expect_success(&reply)?;
    serde_json::from_str(&reply.body).map_err(|err| err.to_string())
}
