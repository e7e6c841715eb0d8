//! Restarts: every process of a group is replaced.

use std::time::Instant;

use super::{GroupId, Pool, State};

impl Pool {
    /// A blocking restart: every process is replaced; requests wait for the new ones.
    pub(crate) fn restart(&mut self, id: GroupId, now: Instant) {
        let group = &mut self.groups[id.0];
        group.generation += 1;
        group.failures = 0;
        group.not_before = None;
        for slot in group.members.clone() {
            match self.processes.get(&slot).map(|p| p.state) {
                Some(State::Serving) => self.retire(slot),
                Some(State::Starting) => self.abandon(slot),
                _ => {}
            }
        }
        self.balance(id, now);
    }
}
