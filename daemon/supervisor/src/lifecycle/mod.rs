//! The daemon's own life: start, reload, upgrade in place, end, and what the service manager and the kernel know of it.

pub mod daemonize;
pub(crate) mod phase;
pub(crate) mod pid_file;
pub(crate) mod reload;
pub(crate) mod rlimits;
pub(crate) mod sd_notify;
pub(crate) mod shutdown;
pub(crate) mod startup;
pub(crate) mod upgrade;
