//! What a request holds of the pool, and gives back by itself: its place in a queue, then its session.

use std::rc::Rc;

use super::super::pool::{GroupId, Waiter};
use super::super::worker::Worker;
use super::Dispatcher;

/// A request's right to one session of a process. Dropping it gives the session back.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(super) dispatcher: Rc<Dispatcher>,
    pub(crate) worker: Rc<Worker>,
}

impl Lease {
    /// The process asks for time of its own, between requests.
    pub(crate) fn ask_out_of_band(&self) {
        self.dispatcher.ask_out_of_band(self.worker.slot);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let slot = self.worker.slot;
        self.dispatcher.with_pool(|pool, now| pool.release(slot, now));
        self.dispatcher.fewer.notify_waiters();
    }
}

/// A request's place in a queue. Dropping it gives the place up.
pub(super) struct Place<'a> {
    pub(super) dispatcher: &'a Dispatcher,
    pub(super) group: GroupId,
    pub(super) waiter: Waiter,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        // When the answer has come already, this finds nothing; a lease in it goes back by itself.
        self.dispatcher.waiting.borrow_mut().remove(&self.waiter);
        self.dispatcher.with_pool(|pool, now| pool.cancel(self.group, self.waiter, now));
    }
}
