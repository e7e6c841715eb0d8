//! Receiver of the roster (the configured apps) that nginx sends on a connection. A complete roster is registered in
//! [`crate::apps`] until this is dropped.

use std::collections::HashSet;
use std::rc::Rc;

use protocol::PayloadError;
use protocol::limits::MAX_ROSTER_ENTRIES;
use protocol::roster;
use tracing::warn;

use crate::apps::{Roster, RosterId};
use crate::state::RouterState;

/// Maximum size of the names of all rosters that are being received or registered, and of those of one, in bytes.
const MOST: usize = 32 << 20;
const MOST_OF_ONE: usize = MOST / 2;
/// Additional size counted for each name and for each roster: rosters are compared with each other.
const EACH: usize = 64;
const EACH_ROSTER: usize = 16 * 1024;
/// Maximum length of an app's name: a path and a few words.
const LONGEST_NAME: usize = 8 * 1024;

/// A roster that is being received or registered.
#[derive(Debug)]
pub(crate) struct RosterReceiver {
    router: Rc<RouterState>,
    /// The name of this nginx; empty from an older module.
    name: String,
    apps: HashSet<String>,
    /// Size of its names, in bytes.
    bytes: usize,
    entered: Option<RosterId>,
}

impl RosterReceiver {
    pub(crate) fn new(router: Rc<RouterState>) -> Self {
        Self { router, name: String::new(), apps: HashSet::new(), bytes: 0, entered: None }
    }

    /// Sets the name of this nginx.
    pub(crate) fn set_name(&mut self, name: String) {
        self.name = name;
    }

    /// Adds a frame; `is_end` marks the last one.
    ///
    /// # Errors
    ///
    /// If the frame is malformed, or there are too many apps in all. The connection is then unusable.
    pub(crate) fn take(
        &mut self,
        payload: &[u8],
        configured_ms: u64,
        is_end: bool,
    ) -> Result<(), PayloadError> {
        let part = roster::Roster::decode(payload)?;
        if self.apps.len() + part.entries.len() > MAX_ROSTER_ENTRIES {
            return Err(PayloadError::TooLong("roster"));
        }
        if !self.holds(&part) {
            return Err(PayloadError::TooLong("roster"));
        }
        let routes = &self.router.routes;
        for entry in &part.entries {
            self.apps.insert(String::from_utf8_lossy(entry.group).into_owned());
            if let Some(start) = &entry.start {
                routes.prestart(start, configured_ms, &self.router.dispatcher)?;
            }
        }
        if is_end {
            let roster = Roster {
                instance: part.instance.to_vec(),
                name: self.name.clone(),
                master: part.master,
                configured_ms,
                is_complete: part.is_complete,
                apps: std::mem::take(&mut self.apps),
            };
            self.enter(roster);
        }
        Ok(())
    }

    /// Counts the names; false when they are too many or too long.
    fn holds(&mut self, part: &roster::Roster<'_>) -> bool {
        let names = part.entries.iter().map(|entry| entry.group.len());
        let all = &self.router.routes.announced;
        let first = if self.bytes == 0 { EACH_ROSTER } else { 0 };
        let bytes = first + names.clone().map(|len| len + EACH).sum::<usize>();
        self.bytes += bytes;
        all.set(all.get() + bytes);
        let fits = self.bytes <= MOST_OF_ONE && all.get() <= MOST;
        fits && names.chain([part.instance.len()]).all(|len| len <= LONGEST_NAME)
    }

    fn enter(&mut self, roster: Roster) {
        if let Some(before) = self.entered.take() {
            warn!("an nginx announces its apps twice on one connection");
            self.router.routes.remove_roster(before, &self.router.dispatcher);
        }
        self.entered = Some(self.router.routes.add_roster(roster, &self.router.dispatcher));
    }
}

impl Drop for RosterReceiver {
    fn drop(&mut self) {
        if let Some(roster) = self.entered.take() {
            self.router.routes.remove_roster(roster, &self.router.dispatcher);
        }
        let all = &self.router.routes.announced;
        all.set(all.get().saturating_sub(self.bytes));
    }
}
