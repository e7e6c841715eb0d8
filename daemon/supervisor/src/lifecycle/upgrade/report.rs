//! The result of the last upgrade, in a file of the instance directory that `passenger-config upgrade-daemon` reads.

use common::instance::{Found, Instance, OWNER_READS};
use serde::{Deserialize, Serialize};

/// The file in the instance directory.
const FILE: &str = "upgrade.json";

/// Only they can read the file, and send the signal.
pub const FORBIDDEN: &str = "only root and the daemon's user may upgrade it; run this command as root";

/// An attempt to upgrade a daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpgradeReport {
    /// Attempts are numbered from 1.
    pub attempt: u32,
    /// How far it came.
    pub result: UpgradeResult,
}

/// How far an upgrade came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpgradeResult {
    /// Requests finish before the new program takes over.
    InProgress,
    /// The new program serves.
    Done {
        /// The previous release.
        from: String,
        /// The new release.
        to: String,
    },
    /// The previous program continues to serve.
    Failed(String),
}

impl UpgradeReport {
    /// Writes it into the instance directory.
    pub(crate) fn publish(&self, instance: &Instance) {
        let written = serde_json::to_vec(self).map_err(Into::into);
        if let Err(why) = written.and_then(|text| instance.publish(FILE, OWNER_READS, &text)) {
            tracing::warn!("cannot write the result of the upgrade into the instance directory: {why}");
        }
    }

    /// Reads that of a running daemon; `None` before its first upgrade.
    ///
    /// # Errors
    ///
    /// Returns a sentence for the operator.
    pub fn of(daemon: &Found) -> Result<Option<Self>, String> {
        let failed = |why: std::io::Error| format!("cannot read {}: {why}", daemon.path.join(FILE).display());
        match daemon.read(FILE) {
            Ok((text, _)) => serde_json::from_slice(&text).map(Some).map_err(|why| failed(why.into())),
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(why) if why.kind() == std::io::ErrorKind::PermissionDenied => Err(FORBIDDEN.to_owned()),
            Err(why) => Err(failed(why)),
        }
    }
}
