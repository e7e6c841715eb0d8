//! The check of the socket for nginx while the daemon runs: a socket that was removed is created again, and a failure
//! to do so is reported until it is resolved.
//!
//! The kernel reports changes at once; periodic checks find what it does not, such as a mount over the directory.

use std::time::{Duration, Instant};

use super::{Found, NginxSocket};
use common::config::SocketOptions;

/// Interval of the checks while the socket is there, if the supervisor wakes up anyway.
const USUAL: Duration = Duration::from_secs(30);
/// Additional time if there is no other wake-up.
const SLACK: Duration = Duration::from_secs(15);
/// Interval of the attempts to create a missing socket.
const MISSING: Duration = Duration::from_secs(1);

/// The socket, the time of its last check, and the result.
#[derive(Debug)]
pub(crate) struct SocketGuard {
    pub(crate) socket: NginxSocket,
    checked_at: Instant,
    missing: bool,
}

/// A change of the socket.
#[derive(Debug)]
pub(crate) enum SocketEvent {
    /// It was created again.
    Restored,
    /// It is not at its path and cannot be created, as described.
    Missing(String),
}

impl SocketGuard {
    pub(crate) fn new(socket: NginxSocket) -> Self {
        Self { socket, checked_at: Instant::now(), missing: false }
    }

    /// When the supervisor has to wake up for the check.
    pub(crate) fn due(&self) -> Instant {
        self.checked_at + if self.missing { MISSING } else { USUAL + SLACK }
    }

    /// Whether a check is useful at this time.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.checked_at + if self.missing { MISSING } else { USUAL } <= now
    }

    /// Creates the socket again if it was removed. During shutdown it is about to be removed anyway.
    pub(crate) fn check(&mut self, options: &SocketOptions, serving: bool) -> Option<SocketEvent> {
        self.checked_at = Instant::now();
        if self.socket.look() == Found::Ours || !serving {
            return None;
        }
        let path = options.path.display();
        let restored = self.socket.recreate(options);
        self.missing = restored.is_err();
        Some(match restored {
            Ok(()) => {
                tracing::warn!("{path} was removed and is created again");
                SocketEvent::Restored
            }
            Err(why) => SocketEvent::Missing(format!("nginx cannot find {path}, which was removed: {why}")),
        })
    }
}
