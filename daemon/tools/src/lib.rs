//! Administration tools: the command lines, the choice of a running daemon, and requests to its admin socket.

#![forbid(unsafe_code)]

mod about;
mod api_call;
pub(crate) mod app_mode;
mod ask_process;
mod chosen_apps;
mod client;
pub mod command_lines;
mod detach_process;
mod doctor;
mod installation;
mod list_instances;
mod memory_stats;
#[cfg(test)]
mod page;
mod passenger_config;
mod passenger_memory_stats;
mod passenger_status;
mod paths;
mod reopen_logs;
mod requests;
mod restart_app;
mod scratch;
mod settings;
mod spawn_error;
mod validate_install;

use std::fmt;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use nix::unistd::Uid;
use serde_json::Value;

use common::config::{REGISTRY_VARIABLE, usual_registry};
use common::instance;
use common::instance::Found;

pub use about::About;
pub use api_call::ApiCall;
pub use app_mode::{ForgetApp, MaintenanceApp, PauseApp, ResumeApp};
pub use ask_process::AskProcess;
pub use chosen_apps::ChosenApps;
pub use client::{AskError, Client, Reply};
pub use detach_process::DetachProcess;
pub use doctor::Doctor;
pub use list_instances::ListInstances;
pub use passenger_config::PassengerConfig;
pub use passenger_memory_stats::PassengerMemoryStats;
pub use passenger_status::PassengerStatus;
use paths::matches_prefix;
pub use reopen_logs::ReopenLogs;
pub use restart_app::RestartApp;
pub use settings::Settings;
pub use spawn_error::SpawnError;
pub use validate_install::ValidateInstall;

/// The registry of daemons started by root.
const ROOT_REGISTRY: &str = "/run/flying-passenger";

/// The result of a command: an exit status, or a message for the administrator and exit status 1.
pub type Outcome = Result<ExitCode, String>;

/// Returns the parsed command line, or the exit status: 0 after printing the version or the help (also without
/// arguments), 1 after an invalid command line.
///
/// # Errors
///
/// Returns the exit status when there is nothing more to do.
pub fn arguments<T: clap::Parser>() -> Result<T, ExitCode> {
    T::try_parse().map_err(|err| {
        // A closed pipe is not an error.
        if err.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
            let _ = write!(std::io::stdout(), "{}", err.render());
            return ExitCode::SUCCESS;
        }
        if let Some(ContextValue::String(name)) = err.get(ContextKind::InvalidSubcommand)
            && ["system-metrics", "system-properties"].contains(&name.as_str())
        {
            eprintln!("passenger-config: \"{name}\" was removed; use top(1), uname(1) or node_exporter");
            return ExitCode::FAILURE;
        }
        let _ = err.print();
        if err.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    })
}

/// Why no daemon could be chosen.
#[derive(Debug, PartialEq, Eq)]
pub enum ChooseError {
    /// No daemon is running.
    NotRunning(Vec<PathBuf>),
    /// No daemon's name begins with this.
    NoSuchName(String, Vec<Candidate>),
    /// Several daemons match.
    Ambiguous(Vec<Candidate>),
}

/// A running daemon in a list of choices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its name.
    pub name: String,
    /// Its process ID.
    pub pid: u32,
    /// The socket that nginx connects to.
    pub socket_file: PathBuf,
}

impl fmt::Display for ChooseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, candidates: &[Candidate]| {
            candidates.iter().try_for_each(|c| {
                write!(f, "\n  {:<10} PID {:<8} {}", c.name, c.pid, c.socket_file.display())
            })
        };
        match self {
            Self::NotRunning(registries) => {
                let places: Vec<_> = registries.iter().map(|dir| dir.display().to_string()).collect();
                write!(
                    f,
                    "flying-passenger does not seem to be running: looked in {}. ",
                    places.join(" and ")
                )?;
                write!(f, "If it was started with --instance-registry-dir, set {REGISTRY_VARIABLE}")
            }
            Self::NoSuchName(name, candidates) => {
                write!(f, "no running instance has a name that begins with {name:?}; there are:")?;
                list(f, candidates)
            }
            Self::Ambiguous(candidates) => {
                f.write_str("several instances are running; choose one by its name:")?;
                list(f, candidates)
            }
        }
    }
}

impl std::error::Error for ChooseError {}

/// Returns the registries to search: only the one in the environment if set, otherwise the caller's and root's.
pub fn registries() -> Vec<PathBuf> {
    if let Some(given) = std::env::var_os(REGISTRY_VARIABLE) {
        return vec![given.into()];
    }
    let mut all = vec![usual_registry(Uid::effective())];
    if all[0].as_os_str() != ROOT_REGISTRY {
        all.push(ROOT_REGISTRY.into());
    }
    all
}

/// Returns all running daemons. Registries that are missing or cannot be read contain none.
pub fn instances() -> Vec<Found> {
    registries().iter().flat_map(|registry| instance::list(registry).unwrap_or_default()).collect()
}

/// Returns the only daemon, or the only one whose name begins with `name`.
pub fn choose(name: Option<&str>) -> Result<Client, ChooseError> {
    let all = instances();
    let candidates: Vec<Candidate> = all.iter().map(Candidate::of).collect();
    let meant = |c: &Candidate| name.is_none_or(|name| c.name.starts_with(name));
    let mut chosen = all.iter().zip(&candidates).filter(|(_, c)| meant(c)).map(|(found, _)| found);
    match (chosen.next(), chosen.next()) {
        (Some(found), None) => Ok(Client::new(found)),
        (None, _) if candidates.is_empty() => Err(ChooseError::NotRunning(registries())),
        (None, _) => Err(ChooseError::NoSuchName(name.unwrap_or_default().to_owned(), candidates)),
        (Some(_), Some(_)) => Err(ChooseError::Ambiguous(candidates)),
    }
}

/// Returns the array of this name in a response; empty when there is none.
pub fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

/// Returns the pool, as far as the caller may see it.
///
/// # Errors
///
/// Returns a message for the administrator.
pub fn pool(client: &Client) -> Result<Value, String> {
    let reply = client.get("/pool.json").map_err(|err| err.to_string())?;
    expect_success(&reply)?;
    serde_json::from_str(&reply.body).map_err(|err| err.to_string())
}

/// Checks that the daemon accepted the request.
///
/// # Errors
///
/// Returns the daemon's own message.
pub fn expect_success(reply: &Reply) -> Result<(), String> {
    if (200..300).contains(&reply.status) {
        return Ok(());
    }
    let message = serde_json::from_str::<Value>(&reply.body).ok();
    let message = message.and_then(|value| value["message"].as_str().map(str::to_owned));
    Err(message.unwrap_or_else(|| format!("the daemon refuses with status {}", reply.status)))
}

impl Candidate {
    fn of(found: &Found) -> Self {
        let properties = &found.properties;
        Self {
            name: properties.name.clone(),
            pid: properties.pid,
            socket_file: properties.socket_file.clone(),
        }
    }
}
