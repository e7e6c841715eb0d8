//! `passenger-config exec`: runs a command as the processes of an app run, for consoles, migrations and cron jobs.
//!
//! The running daemon tells how it starts the app, and the supervisor's code does the same here. This process becomes the
//! command, so that terminal, signals and exit status are those of the command.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use nix::sys::resource::{self, Resource};
use serde::Deserialize;
use serde_json::{Value, json};

use super::chosen_apps::absolute;
use super::instance_arg::InstanceArg;
use super::{Outcome, list, printable, text};
use common::config::UserOptions;
use common::link::SpawnSpec;
use supervisor::{Conditions, Environment, OneOff, OneOffError};

/// The exit status when the command was not run, as that of env(1).
const NOT_RUN: u8 = 125;
/// The exit statuses of shells for programs that cannot be executed and that do not exist.
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;
/// Variables that describe the caller's terminal.
const TERMINAL: [&str; 4] = ["TERM", "COLORTERM", "LINES", "COLUMNS"];

/// Runs a command with the user, environment, directory and limits of an app.
#[derive(Debug, Args)]
pub(crate) struct Exec {
    /// Name of the app group, or directory of the app
    #[arg(value_name = "APP")]
    app: PathBuf,
    /// Command with its arguments, after "--" [default: the shell of the app's user]
    #[arg(value_name = "COMMAND", trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
    #[command(flatten)]
    instance: InstanceArg,
}

/// How the daemon starts the app.
#[derive(Debug, Deserialize)]
struct Start {
    spec: SpawnSpec,
    users: UserOptions,
    environment: Vec<(String, String)>,
}

impl Exec {
    /// Becomes the command; returns only if that fails.
    pub(super) fn run(&self) -> Outcome {
        let (status, why) = match self.try_exec() {
            Err(why) => (NOT_RUN, why),
            Ok(OneOffError::Refused(why)) => (NOT_RUN, why),
            Ok(OneOffError::NotExecutable(why)) => (NOT_EXECUTABLE, why),
            Ok(OneOffError::NotFound(why)) => (NOT_FOUND, why),
        };
        eprintln!("passenger-config: {}", printable(&why));
        Ok(ExitCode::from(status))
    }

    fn try_exec(&self) -> Result<OneOffError, String> {
        let client = self.instance.client()?;
        let name = find(&client.get_json("/pool.json")?, &self.app)?;
        let start = client.post("/pool/describe_start.json", &json!({ "name": name }))?;
        let start: Start = serde_json::from_value(start).map_err(|why| {
            format!("the daemon sent an invalid response ({why}); are the daemon and the tools of the same release?")
        })?;
        let conditions = Conditions::of(&client.found)?;
        take_limits_of(client.found.properties.pid);
        let inherited: Environment =
            start.environment.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        Ok(OneOff {
            spec: &start.spec,
            users: &start.users,
            conditions: &conditions,
            inherited: &inherited,
            terminal: &terminal(),
            command: &self.command,
        }
        .exec())
    }
}

/// Returns the name of the only group with this name, or with this directory.
fn find(pool: &Value, app: &Path) -> Result<String, String> {
    let groups = list(pool, "groups");
    let given = app.to_string_lossy();
    if groups.iter().any(|group| text(group, "name") == given) {
        return Ok(given.into_owned());
    }
    let directory = absolute(app)?;
    let in_it = |group: &&Value| is_same_directory(Path::new(text(group, "app_root")), &directory);
    let found: Vec<_> = groups.iter().filter(in_it).map(|group| text(group, "name")).collect();
    match found[..] {
        [name] => Ok(name.to_owned()),
        // The daemon knows whether an app of this name is configured, and whether the caller may use it.
        [] if !directory.is_dir() => Ok(given.into_owned()),
        [] => Err(format!(
            "no app that you may see is in the directory {}; the daemon knows an app after its first request",
            directory.display()
        )),
        _ => Err(format!("several apps are in this directory; choose one by its name: {}", found.join(", "))),
    }
}

/// Compares paths; a deployment's `current` may be a link that nginx follows or not.
pub(super) fn is_same_directory(one: &Path, other: &Path) -> bool {
    one == other || one.canonicalize().is_ok_and(|one| other.canonicalize().is_ok_and(|other| one == other))
}

/// Returns the variables that a program needs to use the caller's terminal; none in a cron job.
fn terminal() -> Vec<(OsString, OsString)> {
    if !std::io::stdin().is_terminal() {
        return Vec::new();
    }
    TERMINAL.iter().filter_map(|name| Some(((*name).into(), std::env::var_os(name)?))).collect()
}

/// Takes the limits that the daemon, and so every app, has. One that this user may not raise stays as it is.
fn take_limits_of(daemon: u32) {
    let Ok(process) = procfs::process::Process::new(daemon as i32) else { return };
    let Ok(limits) = process.limits() else { return };
    for (limit, resource) in [
        (limits.max_core_file_size, Resource::RLIMIT_CORE),
        (limits.max_data_size, Resource::RLIMIT_DATA),
        (limits.max_file_size, Resource::RLIMIT_FSIZE),
        (limits.max_locked_memory, Resource::RLIMIT_MEMLOCK),
        (limits.max_processes, Resource::RLIMIT_NPROC),
        (limits.max_stack_size, Resource::RLIMIT_STACK),
        (limits.max_address_space, Resource::RLIMIT_AS),
        (limits.max_cpu_time, Resource::RLIMIT_CPU),
    ] {
        let value = |value| match value {
            procfs::process::LimitValue::Unlimited => resource::RLIM_INFINITY,
            procfs::process::LimitValue::Value(value) => value,
        };
        let (soft, hard) = (value(limit.soft_limit), value(limit.hard_limit));
        let own = resource::getrlimit(resource).map_or(hard, |(_, hard)| hard);
        if resource::setrlimit(resource, soft, hard).is_err() {
            // Fails only for a limit that the kernel fixes.
            let _ = resource::setrlimit(resource, soft.min(own), hard.min(own));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(app: &str) -> Result<String, String> {
        let pool = json!({ "groups": [
            { "name": "shop", "app_root": "/srv/shop" },
            { "name": "/srv/blog (production)", "app_root": "/srv/blog" },
            { "name": "/srv/blog (staging)", "app_root": "/srv/blog" },
        ] });
        find(&pool, Path::new(app))
    }

    #[test]
    fn an_app_is_found_by_name_or_directory() {
        assert_eq!(found("shop").unwrap(), "shop");
        assert_eq!(found("/srv/shop/").unwrap(), "shop");
        assert_eq!(found("/srv/blog (staging)").unwrap(), "/srv/blog (staging)");
        let several = found("/srv/blog").unwrap_err();
        assert!(several.ends_with("(production), /srv/blog (staging)"), "{several}");
        assert_eq!(found("other").unwrap(), "other");
        assert!(found("/usr").unwrap_err().contains("first request"));
    }
}
