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
