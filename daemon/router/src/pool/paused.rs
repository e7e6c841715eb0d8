//! Apps that an administrator has paused: requests wait, processes finish those that they have and stay.

use std::time::Instant;

use super::{GroupId, Pool, Process, Slot, Waiter};

impl Pool {
    /// No request is given to a process from here on; or all that have waited are, as there is room for them.
    pub(crate) fn set_paused(&mut self, id: GroupId, paused: bool, now: Instant) {
        if self.groups[id.0].paused == paused {
            return;
        }
        self.groups[id.0].paused = paused;
        self.note(id);
        if !paused {
            self.serve_queue(id, now);
            self.balance(id, now);
        }
        self.feed_the_starving(now);
    }

    /// A session of this very process for an administrator, whether its app is paused or not, if one is free.
    pub(crate) fn take(&mut self, slot: Slot, now: Instant) -> bool {
        let has_room = self.processes.get(&slot).is_some_and(Process::has_room);
        if has_room {
            self.begin_session(slot, now);
        }
        has_room
    }

    /// Nobody waits for the group any more: those who have are told, and are to be answered otherwise.
    pub(crate) fn turn_away(&mut self, id: GroupId, now: Instant) -> Vec<Waiter> {
        let waiters = self.groups[id.0].waiters();
        for waiter in &waiters {
            self.groups[id.0].forget(*waiter);
        }
        self.note(id);
        self.shrink(id);
        self.feed_the_starving(now);
        waiters
    }
}
