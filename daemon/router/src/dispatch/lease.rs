//! Guards for what a request holds in the pool: its place in a queue, then its session.

use std::rc::Rc;

use super::super::pool::{GroupId, Waiter};
use super::Dispatcher;
use super::probing;
use super::session::Session;
use super::slot_probe::Abandoned;
use super::worker::Worker;
use crate::sys::stream::Stream;

/// One session of a process, held by a request. Dropping it gives the session back.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(super) dispatcher: Rc<Dispatcher>,
    pub(crate) worker: Rc<Worker>,
    pub(crate) session: Rc<Session>,
}

impl Lease {
    /// Records that the process asks for out-of-band work, between requests.
    pub(crate) fn request_out_of_band(&self) {
        self.dispatcher.update(|pool, now| pool.request_out_of_band(self.worker.slot, now));
    }

    /// Returns a connection for the request, idle or new; true with it when it was used before.
    pub(crate) async fn connection(&self) -> std::io::Result<(Stream, bool)> {
        let connection = self.worker.connection().await?;
        self.session.set_connected(true);
        Ok(connection)
    }

    /// Keeps the request's connection for the next one.
    pub(crate) fn keep(&self, stream: Stream) {
        self.session.set_connected(false);
        self.worker.keep(stream);
    }

    /// Gives the session back once the process has finished it: the client has disconnected, but a loader may still
    /// process the request.
    pub(crate) fn release_when_free(self) {
        self.session.set_connected(false);
        if self.worker.speaks_session() && self.has_slot() {
            probing::add_abandoned(&self.worker.clone(), Box::new(self));
        }
    }
}

impl Abandoned for Lease {
    fn has_slot(&self) -> bool {
        self.session.has_slot()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let slot = self.worker.slot;
        let has_slot = self.session.end();
        self.dispatcher.update(|pool, now| {
            if has_slot { pool.release(slot, now) } else { pool.release_hijacked(slot, now) }
        });
    }
}

/// A request's place in a queue. Dropping it gives the place up.
pub(super) struct QueueEntry<'a> {
    pub(super) dispatcher: &'a Dispatcher,
    pub(super) group: GroupId,
    pub(super) waiter: Waiter,
}

impl Drop for QueueEntry<'_> {
    fn drop(&mut self) {
        // If the answer was already sent, this finds nothing; dropping the answer gives back the lease in it.
        self.dispatcher.waiting.borrow_mut().remove(&self.waiter);
        self.dispatcher.update(|pool, now| pool.cancel(self.group, self.waiter, now));
    }
}
