//! The actions that follow a check by a stat worker.

use std::path::PathBuf;

use crate::spawn::ForkOrder;
use common::config::UserOptions;
use common::link::{SpawnSpec, Ticket};

/// Bytes of an order without content.
const SMALLEST: usize = 1024;
/// Bytes of a variable with an empty name and value.
const VARIABLE: usize = 96;

/// The action after a check.
#[derive(Debug)]
pub(crate) enum PendingAction {
    /// The restart files are reported to the router.
    Restart(Ticket, PathBuf),
    /// The router gets a notice to check the restart files, if there are any.
    Recheck(PathBuf),
    /// Nothing: a watch is no longer needed.
    Unwatch,
    /// A process is started.
    Spawn(Ticket, Box<SpawnSpec>),
    /// A preloader is ordered to fork.
    Fork(Ticket, ForkOrder),
    /// These become the default user and group.
    Users(UserOptions),
}

impl PendingAction {
    /// Returns the memory that it takes while it waits, including its question.
    pub(crate) fn bytes(&self) -> usize {
        let own = match self {
            Self::Restart(_, dir) => 2 * dir.as_os_str().len(),
            Self::Recheck(dir) => 2 * dir.as_os_str().len(),
            Self::Unwatch => 0,
            Self::Spawn(_, spec) => bytes_of(spec),
            Self::Fork(_, order) => order.handover_data.len(),
            Self::Users(users) => {
                users.default_user.len() + users.default_group.as_ref().map_or(0, String::len)
            }
        };
        own + SMALLEST
    }
}

fn bytes_of(spec: &SpawnSpec) -> usize {
    let texts = [
        &spec.group,
        &spec.start_command,
        &spec.found,
        &spec.interpreter,
        &spec.settings.app_env,
        &spec.base_uri,
        &spec.server_software,
    ];
    let paths = [&spec.root, &spec.startup_file];
    let settings = &spec.settings;
    let names = [&settings.user, &settings.group, &settings.meteor_app_settings, &settings.env_file];
    let names = names.map(|name| name.as_ref().map_or(0, String::len));
    let variables = settings.env_var.iter().map(|(name, value)| name.len() + value.len() + VARIABLE);
    // The question contains the paths and names again.
    texts.map(String::len).iter().sum::<usize>()
        + 3 * paths.map(|path| path.as_os_str().len()).iter().sum::<usize>()
        + 2 * names.iter().sum::<usize>()
        + variables.sum::<usize>()
        + spec.handover_data.len()
}
