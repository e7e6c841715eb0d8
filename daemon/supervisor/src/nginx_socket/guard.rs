//! Looking after the socket for nginx while the daemon runs: one that somebody has removed is made anew, and what keeps it
//! from being made is told until it is gone.
//!
//! The kernel tells at once; looks in between are for what it does not tell, as when a file system is mounted over.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use super::Found;
use crate::Supervisor;
use common::link::{Notice, Trouble};

/// How often to look at a socket that is there, in a wake-up that happens anyway.
const USUAL: Duration = Duration::from_secs(30);
/// How much later, when there is no other wake-up.
const SLACK: Duration = Duration::from_secs(15);
/// How often to try while it is missing.
const MISSING: Duration = Duration::from_secs(1);

/// When to look.
#[derive(Debug)]
pub(crate) struct SocketCare {
    looked: Instant,
    missing: bool,
}

impl SocketCare {
    pub(crate) fn new(now: Instant) -> Self {
        Self { looked: now, missing: false }
    }

    /// When to wake up for it.
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
        // At the end it is about to be removed anyway.
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
