//! The check of the socket for nginx while the daemon runs: a socket that was removed is created again, and a failure
//! to do so is reported until it is resolved.
//!
//! The kernel reports changes at once; periodic checks find what it does not, such as a mount over the directory.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use super::Found;
use crate::Supervisor;
use common::link::{Notice, Trouble};

/// Interval of the checks while the socket is there, if the supervisor wakes up anyway.
const USUAL: Duration = Duration::from_secs(30);
/// Additional time if there is no other wake-up.
const SLACK: Duration = Duration::from_secs(15);
/// Interval of the attempts to create a missing socket.
const MISSING: Duration = Duration::from_secs(1);

/// The time of the last check, and its result.
#[derive(Debug)]
pub(crate) struct SocketCare {
    looked: Instant,
    missing: bool,
}

impl SocketCare {
    pub(crate) fn new(now: Instant) -> Self {
        Self { looked: now, missing: false }
    }

    /// When the supervisor has to wake up for the check.
    pub(crate) fn due(&self) -> Instant {
        self.looked + if self.missing { MISSING } else { USUAL + SLACK }
    }

    fn is_due(&self, now: Instant) -> bool {
        self.looked + if self.missing { MISSING } else { USUAL } <= now
    }
}

impl Supervisor {
    pub(crate) fn socket_due(&mut self, now: Instant) {
        if self.socket_care.is_due(now) {
            self.look_after_socket();
        }
    }

    pub(crate) fn look_after_socket(&mut self) {
        self.socket_care.looked = Instant::now();
        let found = self.nginx.look();
        // During shutdown it is about to be removed anyway.
        if found == Found::NotOurs && self.shutdown.is_serving() {
            self.restore_socket();
        }
    }

    fn restore_socket(&mut self) {
        let path = self.options.socket.path.display().to_string();
        match self.nginx.make_anew(&self.options.socket) {
            Ok(()) => {
                tracing::warn!("somebody has removed {path}, which is made anew: nginx finds it again");
                self.socket_care.missing = false;
                if let Some(router) = self.routers.running_mut()
                    && let Err(why) = router.tell(&Notice::Socket, &[self.nginx.as_fd()])
                {
                    tracing::error!("the router is replaced, as it cannot be told of the socket: {why}");
                    router.kill();
                }
                self.note_trouble(Trouble::Socket, None);
            }
            Err(why) => {
                self.socket_care.missing = true;
                let what = format!("nginx cannot find {path}, which somebody has removed: {why}");
                if self.note_trouble(Trouble::Socket, Some(&what)) {
                    tracing::error!("{what}");
                }
            }
        }
    }
}
