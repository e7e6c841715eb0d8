//! Which connections from nginx are wanted: new ones until the daemon is about to end, idle ones unless others wait for their
//! descriptors, and all of them at the socket that was made last.

use std::cell::Cell;

use tokio::sync::Notify;

/// What the tasks of connections look at and wait for.
#[derive(Debug, Default)]
pub(crate) struct ConnectionTracker {
    /// Connections that there are.
    connections: Cell<u64>,
    /// How many times the socket was made anew.
    socket_number: Cell<u32>,
    scarce: Cell<bool>,
    closing: Cell<bool>,
    /// Told when one of these changes that is waited for.
    changed: Notify,
}

/// One connection, as long as this lives.
pub(crate) struct ConnectionGuard<'d>(&'d ConnectionTracker);

impl Drop for ConnectionGuard<'_> {
    fn drop(&mut self) {
        self.0.connections.set(self.0.connections.get() - 1);
        if self.0.closing.get() {
            self.0.changed.notify_waiters();
        }
    }
}

impl ConnectionTracker {
    /// One connection more, before its task has begun.
    pub(crate) fn opened(&self) {
        self.connections.set(self.connections.get() + 1);
    }

    /// To be held by the task of a connection that has entered.
    pub(crate) fn guard(&self) -> ConnectionGuard<'_> {
        ConnectionGuard(self)
    }

    pub(crate) fn count(&self) -> u64 {
        self.connections.get()
    }

    /// The daemon is about to end; false when that is no news.
    pub(crate) fn close(&self) -> bool {
        let news = !self.closing.replace(true);
        self.changed.notify_waiters();
        news
    }

    /// Resolves when the doors are closed and nobody is inside any more.
    pub(crate) async fn all_closed(&self) {
        while !self.closing.get() || self.connections.get() > 0 {
            self.changed.notified().await;
        }
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.get()
    }

    /// Resolves when the daemon is about to end.
    pub(crate) async fn closing(&self) {
        while !self.closing.get() {
            self.changed.notified().await;
        }
    }

    /// Has idle connections closed until it is told otherwise.
    pub(crate) fn set_scarce(&self, scarce: bool) {
        self.scarce.set(scarce);
        self.changed.notify_waiters();
    }

    /// Resolves when a connection that waits for a request is to be closed: the daemon is about to end, or others wait
    /// for the descriptor of one that has `served`.
    pub(crate) async fn idle_unwanted(&self, served: bool) {
        while !(self.closing.get() || served && self.scarce.get()) {
            self.changed.notified().await;
        }
    }

    /// The number of the socket that was made last.
    pub(crate) fn socket_number(&self) -> u32 {
        self.socket_number.get()
    }

    /// The socket was made anew.
    pub(crate) fn socket_replaced(&self) {
        self.socket_number.set(self.socket_number.get() + 1);
        self.changed.notify_waiters();
    }

    /// Resolves when the socket with this number is not the last one any more.
    pub(crate) async fn socket_replaced_since(&self, number: u32) {
        while self.socket_number.get() == number {
            self.changed.notified().await;
        }
    }
}
