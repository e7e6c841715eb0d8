//! The argument `--instance`, and the choice of a running daemon by its name.

use std::path::PathBuf;

use clap::Args;

use super::client::Client;
use super::{instances, registries};
use common::config::REGISTRY_VARIABLE;

/// Why no daemon could be chosen.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChooseError {
    /// No daemon is running.
    #[error(
        "flying-passenger is not running, or not registered in {}; if it was started with --instance-registry-dir, set \
         {REGISTRY_VARIABLE}",
        .0.iter().map(|dir| dir.display().to_string()).collect::<Vec<_>>().join(" or ")
    )]
    NotRunning(Vec<PathBuf>),
    /// No daemon's name begins with this; with a list of the daemons.
    #[error("no running instance has a name that begins with {0:?}; running instances:{1}")]
    NoSuchName(String, String),
    /// Several daemons match; with a list of the daemons.
    #[error("several instances are running; choose one by its name:{0}")]
    Ambiguous(String),
}

impl From<ChooseError> for String {
    fn from(err: ChooseError) -> Self {
        err.to_string()
    }
}

/// The argument that chooses a daemon.
#[derive(Debug, Args)]
pub(crate) struct InstanceArg {
    /// Name of the instance, or the beginning of it; required if several instances run
    #[arg(long, value_name = "NAME")]
    instance: Option<String>,
}

impl InstanceArg {
    /// Returns a client of the chosen daemon.
    pub(crate) fn client(&self) -> Result<Client, ChooseError> {
        choose(self.instance.as_deref())
    }
}

/// Returns a client of the only daemon, or of the only one whose name begins with `name`.
pub(crate) fn choose(name: Option<&str>) -> Result<Client, ChooseError> {
    let all = instances();
    let matching = |name: &str| all.iter().filter(|found| found.properties.name.starts_with(name)).collect();
    let chosen: Vec<_> = matching(name.unwrap_or_default());
    if let [found] = chosen[..] {
        return Ok(Client::new(found));
    }
    let lines = all.iter().map(|found| &found.properties);
    let lines = lines.map(|it| format!("\n  {:<10} PID {:<8} {}", it.name, it.pid, it.socket_file.display()));
    Err(match name {
        _ if all.is_empty() => ChooseError::NotRunning(registries()),
        Some(name) if chosen.is_empty() => ChooseError::NoSuchName(name.to_owned(), lines.collect()),
        _ => ChooseError::Ambiguous(lines.collect()),
    })
}
