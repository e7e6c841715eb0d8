//! `passenger-config restart-app`: which apps are meant, the order to the daemon, and what became of it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};

use super::{ChooseError, Client, choose, expect_success, list, matches_prefix, pool};

/// Restarts apps and, when asked, waits for the end of it.
#[derive(Debug, Args)]
pub struct RestartApp {
    /// Restarts every app whose root is this directory or lies below it
    #[arg(value_name = "PATH-PREFIX", required_unless_present = "name", conflicts_with = "name")]
    path_prefix: Option<PathBuf>,
    /// Restarts the app group of exactly this name
    #[arg(long, value_name = "GROUP")]
    name: Option<String>,
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
    /// Exit successfully although no app matches
    #[arg(long)]
    ignore_app_not_running: bool,
    /// Exit successfully although no daemon is running
    #[arg(long)]
    ignore_passenger_not_running: bool,
    /// Name of the instance, or how it begins
    #[arg(long, value_name = "NAME")]
    instance: Option<String>,
}

impl RestartApp {
    /// Carries it out.
    ///
    /// # Errors
    ///
    /// A sentence for the administrator; with `--wait` also when a new version does not start.
    pub fn run(&self) -> Result<(), String> {
        let client = match choose(self.instance.as_deref()) {
            Ok(client) => client,
            Err(ChooseError::NotRunning(_)) if self.ignore_passenger_not_running => {
                eprintln!("flying-passenger is not running.");
                return Ok(());
            }
            Err(err) => return Err(err.to_string()),
        };
        let names = self.matching(&client)?;
        if names.is_empty() {
            let message = "no app matches; passenger-status lists those that are running";
            if self.ignore_app_not_running {
                eprintln!("{message}");
                return Ok(());
            }
            return Err(message.into());
        }
        let mut ordered = Vec::new();
        for name in names {
            println!("Restarting {name}");
            let version = self.order(&client, &name)?;
            ordered.push((name, version));
        }
        if self.wait { self.await_all(&client, &ordered) } else { Ok(()) }
    }

    /// Orders the restart of one group; the version that it makes.
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

    /// Waits for each; every failure is told, and one is enough for failure.
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

    /// Names of the groups that the arguments mean.
    fn matching(&self, client: &Client) -> Result<Vec<String>, String> {
        let pool = pool(client)?;
        let prefix = self.path_prefix.as_deref().map(absolute).transpose()?;
        let text = |group: &Value, key: &str| group[key].as_str().unwrap_or_default().to_owned();
        let meant = list(&pool, "groups").iter().filter(|group| match (&self.name, &prefix) {
            (Some(name), _) => text(group, "name") == *name,
            (None, Some(prefix)) => matches_prefix(Path::new(&text(group, "app_root")), prefix),
            (None, None) => false,
        });
        Ok(meant.map(|group| text(group, "name")).collect())
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

/// The path from `/`; symlinks stay, as app roots keep theirs.
fn absolute(path: &Path) -> Result<PathBuf, String> {
    let here =
        std::env::current_dir().map_err(|err| format!("the current directory cannot be found: {err}"))?;
    let joined = here.join(path);
    Ok(joined.components().filter(|part| *part != std::path::Component::CurDir).collect())
}
