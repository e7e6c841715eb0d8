//! Sessions without a slot: the app has hijacked their connection, and the thread that served them is free.
//!
//! They remain sessions of their process, which is not idle and does not end before they do.

use std::time::Instant;

use super::{Pool, Slot};

impl Pool {
    /// Frees the slot of one of the process's sessions.
    pub(crate) fn free_slot(&mut self, slot: Slot, now: Instant) {
        let Some(process) = self.processes.get_mut(&slot) else {
            return;
        };
        process.hijacked = (process.hijacked + 1).min(process.sessions);
        let id = process.group;
        self.serve_queue(id, now);
    }

    /// Ends a session whose slot was freed.
    pub(crate) fn release_hijacked(&mut self, slot: Slot, now: Instant) {
        if let Some(process) = self.processes.get_mut(&slot) {
            process.hijacked = process.hijacked.saturating_sub(1);
        }
        self.release(slot, now);
    }
}
