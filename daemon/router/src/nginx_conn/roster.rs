//! Receiver of the roster (the configured apps) that nginx sends on a connection. A complete roster is registered in
//! [`crate::apps`] until this is dropped.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use protocol::PayloadError;
use protocol::limits::MAX_ROSTER_ENTRIES;
use protocol::roster;
use tracing::warn;

use crate::apps::{Roster, RosterId};
use crate::state::RouterState;

/// Maximum size of the names of all rosters that are being received or registered, and of those of one, in bytes.
const MAX_BYTES: usize = 32 << 20;
const MAX_BYTES_OF_ONE: usize = MAX_BYTES / 2;
/// Additional size counted for each name and for each roster: rosters are compared with each other.
const BYTES_PER_NAME: usize = 64;
const BYTES_PER_ROSTER: usize = 16 * 1024;
/// Maximum length of an app's name: a path and a few words.
const MAX_NAME: usize = 8 * 1024;

/// A roster that is being received or registered.
#[derive(Debug)]
pub(crate) struct RosterReceiver {
    router: Arc<RouterState>,
    /// The name of this nginx; empty from an older module.
    name: String,
    apps: HashSet<String>,
    /// Size of its names, in bytes.
    bytes: usize,
    registered: Option<RosterId>,
}

impl RosterReceiver {
    pub(crate) fn new(router: Arc<RouterState>) -> Self {
        Self { router, name: String::new(), apps: HashSet::new(), bytes: 0, registered: None }
    }

    /// Sets the name of this nginx.
    pub(crate) fn set_name(&mut self, name: String) {
        self.name = name;
    }

    /// Adds a frame; the last one completes the roster.
    ///
    /// # Errors
    ///
    /// If the frame is malformed, or there are too many apps in all. The connection is then unusable.
    pub(crate) fn add(
        &mut self,
        payload: &[u8],
        configured_ms: u64,
        is_last: bool,
    ) -> Result<(), PayloadError> {
        let part = roster::Roster::decode(payload)?;
        if self.apps.len() + part.entries.len() > MAX_ROSTER_ENTRIES || !self.count_bytes(&part) {
            return Err(PayloadError::TooLong("roster"));
        }
        let routes = &self.router.routes;
        for entry in &part.entries {
            self.apps.insert(String::from_utf8_lossy(entry.group).into_owned());
            if let Some(start) = &entry.start {
                routes.prestart(start, configured_ms, &self.router.dispatcher)?;
            }
        }
        if is_last {
            let roster = Roster {
                instance: part.instance.to_vec(),
                name: self.name.clone(),
                master: part.master,
                configured_ms,
                is_complete: part.is_complete,
                apps: std::mem::take(&mut self.apps),
            };
            self.register(roster);
        }
        Ok(())
    }

    /// Counts the names; false when they are too many or too long.
    fn count_bytes(&mut self, part: &roster::Roster<'_>) -> bool {
        let names = part.entries.iter().map(|entry| entry.group.len());
        let all = &self.router.routes.announced;
        let first = if self.bytes == 0 { BYTES_PER_ROSTER } else { 0 };
        let bytes = first + names.clone().map(|len| len + BYTES_PER_NAME).sum::<usize>();
        self.bytes += bytes;
        let all = all.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let fits = self.bytes <= MAX_BYTES_OF_ONE && all <= MAX_BYTES;
        fits && names.chain([part.instance.len()]).all(|len| len <= MAX_NAME)
    }

    fn register(&mut self, roster: Roster) {
        if let Some(previous) = self.registered.take() {
            warn!("duplicate roster on a connection from nginx: the new one replaces the previous one");
            self.router.routes.remove_roster(previous, &self.router.dispatcher);
        }
        self.registered = Some(self.router.routes.add_roster(roster, &self.router.dispatcher));
    }
}

impl Drop for RosterReceiver {
    fn drop(&mut self) {
        if let Some(roster) = self.registered.take() {
            self.router.routes.remove_roster(roster, &self.router.dispatcher);
        }
        self.router.routes.announced.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
