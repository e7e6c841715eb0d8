//! What one connection from nginx announces: the frames of a roster come in; when they are complete, the roster counts,
//! for as long as this lives.

use std::collections::HashSet;
use std::rc::Rc;

use protocol::PayloadError;
use protocol::limits::MAX_ROSTER_ENTRIES;
use protocol::roster;
use tracing::warn;

use super::routes::{Roster, RosterId};
use super::wiring::Router;

/// A roster that is being read, or counts.
#[derive(Debug)]
pub(crate) struct Announcement {
    router: Rc<Router>,
    /// The name of this nginx; empty from an older module.
    name: String,
    apps: HashSet<String>,
    entered: Option<RosterId>,
}

impl Announcement {
    pub(crate) fn new(router: Rc<Router>) -> Self {
        Self { router, name: String::new(), apps: HashSet::new(), entered: None }
    }

    /// Sets the name of this nginx.
    pub(super) fn set_name(&mut self, name: String) {
        self.name = name;
    }

    /// Takes a frame in; `is_end` tells that it is the last.
    ///
    /// # Errors
    ///
    /// When it is none, or there are too many apps in all. The connection is then of no further use.
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
        let routes = &self.router.routes;
        for entry in &part.entries {
            self.apps.insert(String::from_utf8_lossy(entry.group).into_owned());
            if let Some(start) = &entry.start {
                routes.prepare(start, configured_ms, &self.router.dispatcher)?;
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

    fn enter(&mut self, roster: Roster) {
        if let Some(before) = self.entered.take() {
            warn!("an nginx announces its apps twice on one connection");
            self.router.routes.leave(before, &self.router.dispatcher);
        }
        self.entered = Some(self.router.routes.enter(roster, &self.router.dispatcher));
    }
}

impl Drop for Announcement {
    fn drop(&mut self) {
        if let Some(roster) = self.entered.take() {
            self.router.routes.leave(roster, &self.router.dispatcher);
        }
    }
}
