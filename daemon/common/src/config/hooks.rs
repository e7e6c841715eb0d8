//! Hooks: the programs that the operator has configured to run at events.
//!
//! nginx cannot set them: users who may write to its configuration, or to the daemon's socket, must not be able to run
//! programs as the daemon's user.

use std::collections::BTreeMap;
use std::path::PathBuf;

use nix::unistd::{self, AccessFlags};
use serde::{Deserialize, Serialize};

use super::arguments::Arguments;
use super::error::{ConfigError, ConfigErrors};
use super::file_values::{File, FileValue};
use super::similar::suggestion;
use super::trusted::trusted;

/// The event that a program is run at, with Passenger's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Hook {
    /// A process has become ready and accepts requests.
    AttachedProcess,
    /// A process accepts no more requests: it was asked to end, or has ended.
    DetachedProcess,
    /// A process could not be started.
    SpawnFailed,
    /// A request was rejected because `passenger_max_request_queue_size` others wait.
    QueueFullError,
    /// A process took longer than `passenger_max_request_time`; it is killed when the program has ended.
    MaxRequestTimeReached,
    /// The daemon is about to start a router; if a program fails, it ends instead.
    BeforeWatchdogInitialization,
    /// The daemon accepts requests.
    AfterWatchdogInitialization,
    /// The daemon was asked to end, and serves until the programs have ended.
    BeforeWatchdogShutdown,
    /// Requests and processes have ended, and the daemon is about to.
    AfterWatchdogShutdown,
}

impl Hook {
    /// All hooks.
    pub const ALL: [Self; 9] = [
        Self::AttachedProcess,
        Self::DetachedProcess,
        Self::SpawnFailed,
        Self::QueueFullError,
        Self::MaxRequestTimeReached,
        Self::BeforeWatchdogInitialization,
        Self::AfterWatchdogInitialization,
        Self::BeforeWatchdogShutdown,
        Self::AfterWatchdogShutdown,
    ];

    /// Returns its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::AttachedProcess => "attached_process",
            Self::DetachedProcess => "detached_process",
            Self::SpawnFailed => "spawn_failed",
            Self::QueueFullError => "queue_full_error",
            Self::MaxRequestTimeReached => "max_request_time_reached",
            Self::BeforeWatchdogInitialization => "before_watchdog_initialization",
            Self::AfterWatchdogInitialization => "after_watchdog_initialization",
            Self::BeforeWatchdogShutdown => "before_watchdog_shutdown",
            Self::AfterWatchdogShutdown => "after_watchdog_shutdown",
        }
    }

    /// Whether it concerns the daemon and not an app: the router cannot trigger it.
    pub fn is_of_the_daemon(self) -> bool {
        match self {
            Self::BeforeWatchdogInitialization
            | Self::AfterWatchdogInitialization
            | Self::BeforeWatchdogShutdown
            | Self::AfterWatchdogShutdown => true,
            Self::AttachedProcess
            | Self::DetachedProcess
            | Self::SpawnFailed
            | Self::QueueFullError
            | Self::MaxRequestTimeReached => false,
        }
    }

    fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|hook| hook.name() == name)
    }
}

/// The programs of each hook, in the order in which they are run.
pub type Hooks = BTreeMap<Hook, Vec<PathBuf>>;

/// The beginning of an option of `--ctl` that names a hook.
pub(super) const PREFIX: &str = "hook_";

/// The flag for hooks.
pub(super) const HOOKS_FLAG: &str = "--hook";

/// Reads `--hook NAME=PROGRAM` and `--ctl hook_NAME=PROGRAM`. Given twice, both programs are run. Flags for a hook take
/// precedence over the file.
pub(super) fn hooks(arguments: &Arguments, file: &File, errors: &mut ConfigErrors) -> Hooks {
    let by_flag = arguments.hook.iter().map(|word| (HOOKS_FLAG, word.as_str()));
    let by_ctl = arguments.ctl.iter().filter_map(|word| Some(("--ctl", word.strip_prefix(PREFIX)?)));
    let mut hooks = Hooks::new();
    for (option, word) in by_flag.chain(by_ctl) {
        if let Some((hook, programs)) = errors.note(read(word).map_err(|why| ConfigError::new(option, why))) {
            hooks.entry(hook).or_default().extend(programs);
        }
    }
    let given: Vec<_> = hooks.keys().copied().collect();
    for FileValue { text, line } in &file.hooks {
        let read = errors.note(read(text).map_err(|why| ConfigError::new("", why).at(line)));
        if let Some((hook, programs)) = read.filter(|(hook, _)| !given.contains(hook)) {
            hooks.entry(hook).or_default().extend(programs);
        }
    }
    hooks
}

/// Parses `NAME=PROGRAM`, or several programs separated by `;`.
fn read(word: &str) -> Result<(Hook, Vec<PathBuf>), String> {
    let (name, programs) = word.split_once('=').ok_or_else(|| format!("\"{word}\" must be NAME=PROGRAM"))?;
    let names = || Hook::ALL.map(Hook::name).into_iter();
    let unknown = || format!("unknown hook \"{name}\"{}", suggestion(name, names(), "the hooks are"));
    let hook = Hook::of_name(name).ok_or_else(unknown)?;
    let programs = programs.split(';').map(str::trim).filter(|program| !program.is_empty());
    let programs: Vec<_> = programs.map(program).collect::<Result<_, _>>()?;
    if programs.is_empty() {
        return Err(format!("{name}: no program is specified"));
    }
    Ok((hook, programs))
}

fn program(written: &str) -> Result<PathBuf, String> {
    let path = std::path::absolute(written).map_err(|why| format!("{written}: {why}"))?;
    if path.is_dir() {
        return Err(format!("{} is a directory, not a program", path.display()));
    }
    unistd::access(&path, AccessFlags::X_OK)
        .map_err(|why| format!("{} cannot be run: {}", path.display(), why.desc()))?;
    trusted(&path, unistd::geteuid()).map_err(|why| format!("{} {why}", path.display()))?;
    Ok(path)
}
