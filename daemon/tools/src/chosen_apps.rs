//! Arguments that choose the apps of a command, by path or name.

use std::path::{Component, Path, PathBuf};

use clap::Args;
use serde_json::Value;

use super::{ChooseError, Client, choose, list, matches_prefix, pool};

/// The arguments by which commands name apps.
#[derive(Debug, Args)]
pub struct ChosenApps {
    /// Every app whose root is this directory or lies below it
    #[arg(value_name = "PATH-PREFIX", required_unless_present = "name", conflicts_with = "name")]
    path_prefix: Option<PathBuf>,
    /// The app group of exactly this name
    #[arg(long, value_name = "GROUP")]
    name: Option<String>,
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

/// A client of a daemon, and names of its app groups.
pub(super) type Chosen = (Client, Vec<String>);

impl ChosenApps {
    /// Returns the daemon and the running groups' names; `None` when there are none and that is not an error.
    pub(super) fn find(&self) -> Result<Option<Chosen>, String> {
        let Some(client) = self.client()? else { return Ok(None) };
        let names = self.matching(&client)?;
        if !names.is_empty() {
            return Ok(Some((client, names)));
        }
        let message = "no app matches; passenger-status lists those that are running";
        if self.ignore_app_not_running {
            eprintln!("{message}");
            return Ok(None);
        }
        Err(message.into())
    }

    /// As `find`, but accepts a given name unchecked: the app may be configured before its first request.
    pub(super) fn find_or_named(&self) -> Result<Option<Chosen>, String> {
        match &self.name {
            Some(name) => Ok(self.client()?.map(|client| (client, vec![name.clone()]))),
            None => self.find(),
        }
    }

    /// Whether a missing app is not an error.
    pub(super) fn may_be_missing(&self) -> bool {
        self.ignore_app_not_running
    }

    fn client(&self) -> Result<Option<Client>, String> {
        match choose(self.instance.as_deref()) {
            Ok(client) => Ok(Some(client)),
            Err(ChooseError::NotRunning(_)) if self.ignore_passenger_not_running => {
                eprintln!("flying-passenger is not running.");
                Ok(None)
            }
            Err(err) => Err(err.to_string()),
        }
    }

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

/// Returns the absolute path; symlinks are kept, as in app roots.
fn absolute(path: &Path) -> Result<PathBuf, String> {
    let here =
        std::env::current_dir().map_err(|err| format!("the current directory cannot be found: {err}"))?;
    let joined = here.join(path);
    Ok(joined.components().filter(|part| *part != Component::CurDir).collect())
}
