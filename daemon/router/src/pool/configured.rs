//! Apps that come into nginx's configuration and go out of it: processes are there before the first request, or end after
//! the last.

use std::time::Instant;

use super::{Deployment, GroupId, Pool, State};

impl Pool {
    /// From now on there are as many processes as the group's settings want, although none was asked for.
    pub(crate) fn keep(&mut self, id: GroupId, now: Instant) {
        self.groups[id.0].kept = true;
        self.balance(id, now);
    }

    /// nginx's configuration holds the app again, or no more. Then its processes end after the requests they have. One
    /// that comes after all, from a worker of nginx that is about to end, gets a process of its own, which ends with it.
    pub(crate) fn set_configured(&mut self, id: GroupId, configured: bool, now: Instant) {
        if self.groups[id.0].configured == configured {
            return;
        }
        self.groups[id.0].configured = configured;
        if !configured {
            self.groups[id.0].deployment = Deployment::Settled;
            self.in_state(id, State::Serving).into_iter().for_each(|slot| self.retire(slot));
            if self.groups[id.0].is_superfluous() {
                self.in_state(id, State::Starting).into_iter().for_each(|slot| self.abandon(slot));
            }
        }
        self.balance(id, now);
        self.feed_the_starving(now);
    }

    /// No process and no request is left of it.
    pub(crate) fn is_deserted(&self, id: GroupId) -> bool {
        let group = &self.groups[id.0];
        group.members.is_empty() && group.waiting() == 0
    }
}
