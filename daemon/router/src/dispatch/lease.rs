//! Guard for a session of a process that a request holds.

use std::ops::Deref;
use std::sync::Arc;

use super::Dispatcher;
use super::probing;
use super::session::Session;
use super::slot_probe::Abandoned;
use super::worker::Worker;
use crate::sys::stream::Stream;

/// One session of a process, held by a request. Dropping it gives the session back.
#[derive(Debug)]
pub(crate) struct Lease {
    session: Session,
}

impl Deref for Lease {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl Lease {
    /// Holds a session that the pool has counted.
    pub(super) fn new(dispatcher: Arc<Dispatcher>, worker: Arc<Worker>) -> Self {
        Self { session: Session::new(dispatcher, worker) }
    }

    /// Records that the process asks for out-of-band work, between requests.
    pub(crate) fn request_out_of_band(&self) {
        self.dispatcher.update(|pool, now| pool.request_out_of_band(self.worker.slot, now));
    }

    /// Returns a connection for the request, idle or new; true with it when it was used before.
    pub(crate) async fn connection(&self) -> std::io::Result<(Stream, bool)> {
        let connection = self.worker.connection().await?;
        self.session.connect();
        Ok(connection)
    }

    /// Returns the connection that [`Self::connection`] would return at once, if there is one: it was used before. Nearly
    /// every request gets one, without a future.
    pub(crate) fn idle_connection(&self) -> Option<std::io::Result<Stream>> {
        let connection = self.worker.idle_connection()?;
        if connection.is_ok() {
            self.session.connect();
        }
        Some(connection)
    }

    /// Keeps the request's connection for the next one.
    pub(crate) fn keep(&self, stream: Stream) {
        self.worker.keep(stream, self.session.take_connected());
    }

    /// Gives the session back once the process has finished it: the client has disconnected, but a loader may still
    /// process the request.
    pub(crate) fn release_when_free(self) {
        self.session.disconnect();
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
        self.session.end();
    }
}
