//! Apps that an administrator has paused: new requests wait, processes finish those they have and continue to run.

use std::time::Instant;

use super::{GroupId, Pool, Process, Slot, Waiter};

impl Pool {
    /// Pauses the group, so that its requests wait, or resumes it, so that they are served as far as there is room.
    pub(crate) fn set_paused(&mut self, id: GroupId, paused: bool, now: Instant) {
        if self.groups[id.0].paused == paused {
            return;
        }
        self.groups[id.0].paused = paused;
        self.update_starving(id);
        if !paused {
            self.serve_queue(id, now);
            self.balance(id, now);
        }
        self.start_starving_groups(now);
    }

    /// Begins a session of this process for an administrator, even if its app is paused; false when none is free.
    pub(crate) fn take(&mut self, slot: Slot, now: Instant) -> bool {
        let has_room = self.processes.get(&slot).is_some_and(Process::has_room);
        if has_room {
            self.begin_session(slot, now);
        }
        has_room
    }

    /// Removes all requests that wait for the group and returns them; the caller must answer them.
    pub(crate) fn reject_waiting(&mut self, id: GroupId, now: Instant) -> Vec<Waiter> {
        let waiters = self.groups[id.0].waiters();
        for waiter in &waiters {
            self.groups[id.0].forget(*waiter);
        }
        self.update_starving(id);
        self.shrink(id);
        self.start_starving_groups(now);
        waiters
    }
}
