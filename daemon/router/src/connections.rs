//! A count of the connections from nginx, and the signals for closing them: the daemon shuts down, idle connections
//! hold descriptors that others wait for, or the listening socket was replaced.

use std::cell::Cell;

use tokio::sync::Notify;

/// State and signals shared by the tasks of the connections from nginx.
#[derive(Debug, Default)]
pub(crate) struct ConnectionTracker {
    /// Number of open connections.
    connections: Cell<u64>,
    /// How many times the listening socket was replaced.
    socket_number: Cell<u32>,
    scarce: Cell<bool>,
    closing: Cell<bool>,
    /// Notified when one of these fields changes and tasks may wait for it.
    changed: Notify,
}

/// Counts one connection while it lives.
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
    /// Counts one more connection, before its task starts.
    pub(crate) fn opened(&self) {
        self.connections.set(self.connections.get() + 1);
    }

    /// Returns a guard for the task of a connection that was counted by [`Self::opened`].
    pub(crate) fn guard(&self) -> ConnectionGuard<'_> {
        ConnectionGuard(self)
    }

    pub(crate) fn count(&self) -> u64 {
        self.connections.get()
    }

    /// Starts closing all connections, as the daemon shuts down; false when closing has already started.
    pub(crate) fn close(&self) -> bool {
        let is_first = !self.closing.replace(true);
        self.changed.notify_waiters();
        is_first
    }

    /// Resolves when [`Self::close`] was called and no connection is left.
    pub(crate) async fn all_closed(&self) {
        self.until(|| self.closing.get() && self.connections.get() == 0).await;
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.get()
    }

    /// Resolves when the daemon starts to shut down.
    pub(crate) async fn closing(&self) {
        self.until(|| self.closing.get()).await;
    }

    /// Sets whether idle connections are closed to free their descriptors.
    pub(crate) fn set_scarce(&self, scarce: bool) {
        self.scarce.set(scarce);
        self.changed.notify_waiters();
    }

    /// Resolves when a connection that waits for a request is to be closed: the daemon shuts down, or the connection
    /// has `served` a request and others wait for its descriptor.
    pub(crate) async fn idle_unwanted(&self, served: bool) {
        self.until(|| self.closing.get() || served && self.scarce.get()).await;
    }

    /// Returns the number of the current listening socket.
    pub(crate) fn socket_number(&self) -> u32 {
        self.socket_number.get()
    }

    /// Records that the listening socket was replaced.
    pub(crate) fn socket_replaced(&self) {
        self.socket_number.set(self.socket_number.get() + 1);
        self.changed.notify_waiters();
    }

    /// Resolves when the listening socket with this number has been replaced.
    pub(crate) async fn socket_replaced_since(&self, number: u32) {
        self.until(|| self.socket_number.get() != number).await;
    }

    async fn until(&self, condition: impl Fn() -> bool) {
        while !condition() {
            self.changed.notified().await;
        }
    }
}
