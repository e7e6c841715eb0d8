//! Arguments that choose the apps of a command, by path or name.

use std::path::{Component, Path, PathBuf};

use clap::Args;
use serde_json::Value;

use super::client::Client;
use super::instance_arg::{ChooseError, InstanceArg};
use super::{list, own_apps_only, text};

/// The arguments by which commands name apps.
#[derive(Debug, Args)]
pub(crate) struct ChosenApps {
    /// Select every app whose root is this directory or a directory below it
    #[arg(value_name = "PATH-PREFIX", required_unless_present = "name", conflicts_with = "name")]
    path_prefix: Option<PathBuf>,
    /// Select the app group with exactly this name
    #[arg(long, value_name = "GROUP")]
    name: Option<String>,
    /// Exit with status 0 even if no app matches
    #[arg(long)]
    ignore_app_not_running: bool,
    /// Exit with status 0 even if no daemon is running
    #[arg(long)]
    ignore_passenger_not_running: bool,
    #[command(flatten)]
    instance: InstanceArg,
}

/// A client of a daemon, and names of its app groups.
type Chosen = (Client, Vec<String>);

impl ChosenApps {
    /// Returns the daemon and the names of the running groups; `None` when there are none and that is not an error.
    pub(super) fn find(&self) -> Result<Option<Chosen>, String> {
        let Some(client) = self.client()? else { return Ok(None) };
        let pool = client.get_json("/pool.json")?;
        let names = self.matching(&pool)?;
        if !names.is_empty() {
            return Ok(Some((client, names)));
        }
        let message = match own_apps_only(&pool) {
            None => "no running app matches; passenger-status lists the running apps".to_owned(),
            Some(note) => format!("no running app of this user matches; considered are {note}"),
        };
        if self.ignore_app_not_running {
            eprintln!("{message}");
            return Ok(None);
        }
        Err(message)
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
        match self.instance.client() {
            Ok(client) => Ok(Some(client)),
            Err(ChooseError::NotRunning(_)) if self.ignore_passenger_not_running => {
                eprintln!("flying-passenger is not running.");
                Ok(None)
            }
            Err(err) => Err(err.to_string()),
        }
    }

    fn matching(&self, pool: &Value) -> Result<Vec<String>, String> {
        let prefix = self.path_prefix.as_deref().map(absolute).transpose()?;
        let groups = list(pool, "groups").iter().filter(|group| match (&self.name, &prefix) {
            (Some(name), _) => text(group, "name") == *name,
            (None, Some(prefix)) => matches_prefix(text(group, "app_root"), prefix),
            (None, None) => false,
        });
        Ok(groups.map(|group| text(group, "name").to_owned()).collect())
    }
}

/// Whether `root` is `prefix` or below it. Passenger compares characters, so that `/webapps` also matches `/webapps2`;
/// here a prefix ends at a `/`.
fn matches_prefix(root: &str, prefix: &Path) -> bool {
    Path::new(root).starts_with(prefix)
}

/// Returns the absolute path; symlinks are kept, as in app roots.
pub(super) fn absolute(path: &Path) -> Result<PathBuf, String> {
    let current =
        std::env::current_dir().map_err(|err| format!("cannot find the current directory: {err}"))?;
    Ok(current.join(path).components().filter(|part| *part != Component::CurDir).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_at_a_slash() {
        let matches = |root: &str, prefix: &str| matches_prefix(root, Path::new(prefix));
        assert!(matches("/webapps/foo", "/webapps"));
        assert!(matches("/webapps/foo", "/webapps/foo/"));
        assert!(matches("/webapps/foo", "/"));
        assert!(!matches("/webapps2/foo", "/webapps"));
    }
}
