//! Sessions without a slot: the app has taken their connection, and the thread that served them is free.
//!
//! They stay sessions of their process, which is not idle and does not end before they do.

use std::time::Instant;

use super::{Pool, Slot};

impl Pool {
    /// One of the process's sessions does not occupy a slot any more.
    pub(crate) fn free_slot(&mut self, slot: Slot, now: Instant) {
        let Some(process) = self.processes.get_mut(&slot) else {
            return;
        };
        process.hijacked = (process.hijacked + 1).min(process.sessions);
        let id = process.group;
        self.serve_queue(id, now);
    }

    /// A session ends whose slot was freed.
    pub(crate) fn release_hijacked(&mut self, slot: Slot, now: Instant) {
        if let Some(process) = self.processes.get_mut(&slot) {
            process.hijacked = process.hijacked.saturating_sub(1);
        }
        self.release(slot, now);
    }
}
