//! Administration tools: the command lines, the choice of a running daemon, and requests to its admin socket.

#![forbid(unsafe_code)]

mod about;
mod api_call;
mod app_mode;
mod ask_process;
mod build_native_support;
mod chosen_apps;
mod client;
pub mod command_lines;
mod detach_process;
mod doctor;
mod exec;
mod installation;
mod instance_arg;
mod list_instances;
mod memory_stats;
#[cfg(test)]
mod page;
mod passenger;
mod passenger_config;
mod passenger_memory_stats;
mod passenger_status;
mod private;
mod reopen_logs;
mod requests;
mod restart_app;
mod settings;
mod spawn_error;
mod start;
mod temp_dir;
mod upgrade_daemon;
mod validate_install;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use nix::unistd::Uid;
use serde_json::Value;

use common::config::{REGISTRY_VARIABLE, usual_registry};
use common::instance;
use common::instance::Found;

pub use passenger::Passenger;
pub use passenger_config::PassengerConfig;
pub use passenger_memory_stats::PassengerMemoryStats;
pub use passenger_status::PassengerStatus;

/// The registry of daemons started by root.
const ROOT_REGISTRY: &str = "/run/flying-passenger";

/// The result of a command: an exit status, or a message for the administrator and exit status 1.
type Outcome = Result<ExitCode, String>;

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

/// Returns the registries to search: only the one in the environment if set, otherwise the caller's and root's.
fn registries() -> Vec<PathBuf> {
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
fn instances() -> Vec<Found> {
    registries().iter().flat_map(|registry| instance::list(registry).unwrap_or_default()).collect()
}

/// Returns a note about a list of apps or requests that contains only what the caller owns.
fn own_apps_only(listed: &Value) -> Option<&'static str> {
    (listed["scope"] == "own").then_some(instance::OWN_APPS_ONLY)
}

/// Returns the array of this name in a response; empty when there is none.
fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

/// Returns the string of this name in a response; empty when there is none.
fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

/// Replaces line ends and characters that a terminal would interpret, in text from apps and clients.
fn printable(text: &str) -> String {
    let is_harmful =
        |c: char| c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if is_harmful(c) { '?' } else { c }).collect()
}
