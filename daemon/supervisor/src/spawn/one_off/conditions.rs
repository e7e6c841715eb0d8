//! The conditions under which a daemon starts processes, which only the daemon's user can have written: a tool that root
//! runs does not believe the router who an app may run as.

use std::io;
use std::path::PathBuf;

use nix::sys::stat::{self, Mode};
use nix::unistd::Uid;
use serde::{Deserialize, Serialize};

use super::super::{Launcher, Policy};
use common::instance::{EVERYBODY_READS, Found, Instance};

/// The file in the instance directory.
const FILE: &str = "starts.json";

/// The conditions of a daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conditions {
    pub(super) policy: Policy,
    /// The directory in which root may read environment files for apps.
    pub(super) env_dir: PathBuf,
    /// The soft and the hard limit of open files.
    pub(super) open_files: (u64, u64),
    pub(super) umask: u32,
    /// The user of the daemon.
    #[serde(skip)]
    pub(super) daemon: Option<u32>,
}

impl Conditions {
    /// Writes those of this daemon into its instance directory.
    pub(crate) fn publish(launcher: &Launcher, instance: &Instance) -> io::Result<()> {
        // The call that reads it changes it; this process has one thread.
        let umask = stat::umask(Mode::from_bits_truncate(0o077));
        stat::umask(umask);
        let conditions = Self {
            policy: launcher.policy.clone(),
            env_dir: launcher.env_dir.clone(),
            open_files: launcher.originals.open_files(),
            umask: umask.bits(),
            daemon: None,
        };
        instance.publish(FILE, EVERYBODY_READS, &serde_json::to_vec(&conditions)?)
    }

    /// Reads those of a running daemon.
    ///
    /// # Errors
    ///
    /// Returns a sentence for the operator.
    pub fn of(daemon: &Found) -> Result<Self, String> {
        let read = daemon.read(FILE).and_then(|(text, owner)| {
            let conditions: Self = serde_json::from_slice(&text)?;
            Ok(Self { daemon: Some(owner.as_raw()), ..conditions })
        });
        read.map_err(|why| {
            let path = daemon.path.join(FILE);
            format!("cannot read {}: {why}; is the daemon of an older release?", path.display())
        })
    }

    /// Returns the daemon's user.
    pub(super) fn daemon(&self) -> Uid {
        // An unknown user has no rights: 65534 is nobody.
        Uid::from_raw(self.daemon.unwrap_or(65534))
    }
}
