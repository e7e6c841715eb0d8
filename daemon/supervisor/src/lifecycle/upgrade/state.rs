//! The state that one program hands to the next in the same process, as JSON. Descriptors are the numbers under which
//! they were packed.

use std::os::fd::RawFd;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::super::pid_file::PackedPidFile;
use crate::lifecycle::rlimits::Originals;
use crate::log_file::PackedLog;
use crate::nginx_socket::PackedSocket;
use crate::processes::PackedProcess;
use crate::router::maintenance::AppModes;
use common::instance::PackedInstance;
use common::link::OverriddenOption;

/// Changes when one program cannot read the state of the other. New fields have defaults instead.
pub(super) const FORMAT: u32 = 2;

/// The state of a daemon without a router.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct State {
    /// The release that packed it.
    pub(crate) version: String,
    pub(crate) log: PackedLog,
    pub(crate) originals: Originals,
    pub(crate) instance: PackedInstance,
    pub(crate) tools: RawFd,
    pub(crate) nginx: PackedSocket,
    pub(crate) pid_file: Option<PackedPidFile>,
    /// The last ID given to a process.
    pub(crate) last_process: u64,
    pub(crate) processes: Vec<PackedProcess>,
    /// The parent of the control groups.
    pub(crate) cgroups: Option<PathBuf>,
    pub(crate) globals: Vec<u8>,
    #[serde(default)]
    pub(crate) app_prefix: Option<bool>,
    #[serde(rename = "overruled")]
    pub(crate) overridden: Vec<OverriddenOption>,
    pub(crate) app_modes: AppModes,
    /// How many routers have been started.
    pub(crate) routers: u32,
    /// How many upgrades were begun.
    #[serde(default)]
    pub(crate) upgrades: u32,
}
