//! Everything that one program hands to the next in the same process, as JSON: descriptors by the numbers under which they
//! were packed.

use std::io;
use std::os::fd::RawFd;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::super::pid_file::{PackedPidFile, PidFile};
use crate::instance::PackedInstance;
use crate::link::Overruled;
use crate::supervisor::Supervisor;
use crate::supervisor::lifecycle::rlimits::Originals;
use crate::supervisor::log_file::PackedLog;
use crate::supervisor::nginx_socket::PackedSocket;
use crate::supervisor::processes::PackedProcess;
use crate::supervisor::router::maintenance::Standings;
use crate::sys::fd_handover::Luggage;

/// Changes when an older program could not be understood any more. What is only added has a default instead.
pub(super) const FORMAT: u32 = 1;

/// The state of a daemon without a router.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct State {
    /// The release that has packed it.
    pub(in crate::supervisor) version: String,
    pub(in crate::supervisor) log: PackedLog,
    pub(in crate::supervisor) originals: Originals,
    pub(in crate::supervisor) instance: PackedInstance,
    pub(in crate::supervisor) tools: RawFd,
    pub(in crate::supervisor) nginx: PackedSocket,
    pub(in crate::supervisor) pid_file: Option<PackedPidFile>,
    /// The last name that was given to a process.
    pub(in crate::supervisor) last_process: u64,
    pub(in crate::supervisor) processes: Vec<PackedProcess>,
    /// The group that control groups are below.
    pub(in crate::supervisor) cgroups: Option<PathBuf>,
    pub(in crate::supervisor) globals: Vec<u8>,
    #[serde(default)]
    pub(in crate::supervisor) app_prefix: Option<bool>,
    pub(in crate::supervisor) overruled: Vec<Overruled>,
    pub(in crate::supervisor) standings: Standings,
    /// How many routers there have been.
    pub(in crate::supervisor) routers: u32,
}

impl State {
    pub(super) fn pack(supervisor: &Supervisor, luggage: &mut Luggage) -> io::Result<Self> {
        let pid_file: Option<&PidFile> = supervisor.pid_file.as_ref();
        let (last_process, processes) = supervisor.processes.pack(luggage)?;
        Ok(Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            log: supervisor.log.pack(luggage)?,
            originals: supervisor.launcher.originals.clone(),
            instance: supervisor.instance.pack(luggage)?,
            tools: luggage.pack(&supervisor.tools)?,
            nginx: supervisor.nginx.pack(luggage)?,
            pid_file: pid_file.map(|file| file.pack(luggage)).transpose()?,
            last_process,
            processes,
            cgroups: supervisor.launcher.cgroups.as_ref().map(|cgroups| cgroups.own().to_path_buf()),
            globals: supervisor.globals.clone(),
            app_prefix: Some(supervisor.app_prefix),
            overruled: supervisor.overruled.clone(),
            standings: supervisor.standings.clone(),
            routers: supervisor.routers.count(),
        })
    }
}
