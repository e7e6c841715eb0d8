//! The daemon's life: start, reload, upgrade, shutdown, and its relations with the service manager and the kernel.

pub mod daemonize;
pub(crate) mod phase;
pub(crate) mod pid_file;
pub(crate) mod reload;
pub(crate) mod rlimits;
pub(crate) mod sd_notify;
pub(crate) mod shutdown;
pub(crate) mod startup;
pub(crate) mod upgrade;

use std::time::Duration;

use nix::sys::signalfd::SignalFd;

use common::config::Options;
use daemonize::Caller;
use pid_file::PidFile;
use sd_notify::ServiceManager;
use shutdown::Shutdown;
use upgrade::Upgrade;

/// How long the daemon waits at its end until its last lines are in the log.
pub(crate) const LAST_LINES: Duration = Duration::from_secs(5);

/// The state of the daemon's life.
#[derive(Debug)]
pub(crate) struct Lifecycle {
    pub(crate) signals: SignalFd,
    pub(crate) shutdown: Shutdown,
    pub(crate) upgrade: Upgrade,
    pub(crate) manager: ServiceManager,
    /// The process that waits for the daemon to be up.
    pub(crate) caller: Option<Caller>,
    pub(crate) pid_file: Option<PidFile>,
    /// The requested limit of open files; 0 for none.
    pub(crate) open_files: u64,
}

impl Lifecycle {
    pub(crate) fn new(
        options: &Options,
        signals: SignalFd,
        manager: ServiceManager,
        pid_file: Option<PidFile>,
        open_files: u64,
    ) -> Self {
        let shutdown = Shutdown::new(options.shutdown_limit);
        let upgrade = Upgrade::new(options.directory());
        Self { signals, shutdown, upgrade, manager, caller: None, pid_file, open_files }
    }
}
