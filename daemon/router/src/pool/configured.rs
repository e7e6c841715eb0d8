//! Apps that are added to or removed from nginx's configuration: their processes start before the first request, or end
//! after the last.

use std::time::Instant;

use super::{Deployment, GroupId, Pool, State};

impl Pool {
    /// Keeps the group's minimum number of processes running from now on, even without a request.
    pub(crate) fn keep_running(&mut self, id: GroupId, now: Instant) {
        self.groups[id.0].kept_running = true;
        self.balance(id, now);
    }

    /// Sets whether nginx's configuration contains the app. If not, the app's processes end after their requests. A
    /// later request, from an nginx worker that is about to exit, starts a process that ends after it.
    pub(crate) fn set_configured(&mut self, id: GroupId, configured: bool, now: Instant) {
        if self.groups[id.0].configured == configured {
            return;
        }
        self.groups[id.0].configured = configured;
        if !configured {
            self.groups[id.0].deployment = Deployment::Settled;
            self.in_state(id, State::Serving).into_iter().for_each(|slot| self.retire(slot));
            if self.groups[id.0].is_obsolete() {
                self.in_state(id, State::Starting).into_iter().for_each(|slot| self.abandon(slot));
            }
        }
        self.balance(id, now);
        self.start_starving_groups(now);
    }

    /// Whether the group has no process and no waiting request.
    pub(crate) fn is_unused(&self, id: GroupId) -> bool {
        let group = &self.groups[id.0];
        group.members.is_empty() && group.waiting() == 0
    }
}
