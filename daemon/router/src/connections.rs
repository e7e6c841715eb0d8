//! A count of the connections from nginx, and the signals for closing them: the daemon shuts down, idle connections
//! hold descriptors that others wait for, or the listening socket was replaced.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::SeqCst};

use tokio::sync::Notify;

/// State and signals shared by the tasks of the connections from nginx, on all threads.
#[derive(Debug, Default)]
pub(crate) struct ConnectionTracker {
    /// Number of open connections.
    connections: AtomicU64,
    /// How many times the listening socket was replaced.
    socket_number: AtomicU32,
    scarce: AtomicBool,
    closing: AtomicBool,
    /// Notified when one of these fields changes and tasks may wait for it.
    changed: Notify,
}

/// Counts one connection while it lives.
pub(crate) struct ConnectionGuard<'d>(&'d ConnectionTracker);

impl Drop for ConnectionGuard<'_> {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, SeqCst);
        if self.0.closing.load(SeqCst) {
            self.0.changed.notify_waiters();
        }
    }
}

impl ConnectionTracker {
    /// Counts one more connection, before its task starts.
    pub(crate) fn opened(&self) {
        self.connections.fetch_add(1, SeqCst);
    }

    /// Returns a guard for the task of a connection that was counted by [`Self::opened`].
    pub(crate) fn guard(&self) -> ConnectionGuard<'_> {
        ConnectionGuard(self)
    }

    pub(crate) fn count(&self) -> u64 {
        self.connections.load(SeqCst)
    }

    /// Starts closing all connections, as the daemon shuts down; false when closing has already started.
    pub(crate) fn close(&self) -> bool {
        let is_first = !self.closing.swap(true, SeqCst);
        self.changed.notify_waiters();
        is_first
    }

    /// Resolves when [`Self::close`] was called and no connection is left.
    pub(crate) async fn all_closed(&self) {
        self.until(|| self.closing.load(SeqCst) && self.connections.load(SeqCst) == 0).await;
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(SeqCst)
    }

    /// Resolves when the daemon starts to shut down.
    pub(crate) async fn closing(&self) {
        self.until(|| self.closing.load(SeqCst)).await;
    }

    /// Sets whether idle connections are closed to free their descriptors.
    pub(crate) fn set_scarce(&self, scarce: bool) {
        self.scarce.store(scarce, SeqCst);
        self.changed.notify_waiters();
    }

    /// Resolves when a connection that waits for a request is to be closed: the daemon shuts down, or the connection
    /// has `served` a request and others wait for its descriptor.
    pub(crate) async fn idle_unwanted(&self, served: bool) {
        self.until(|| self.closing.load(SeqCst) || served && self.scarce.load(SeqCst)).await;
    }

    /// Returns the number of the current listening socket.
    pub(crate) fn socket_number(&self) -> u32 {
        self.socket_number.load(SeqCst)
    }

    /// Records that the listening socket was replaced.
    pub(crate) fn socket_replaced(&self) {
        self.socket_number.fetch_add(1, SeqCst);
        self.changed.notify_waiters();
    }

    /// Resolves when the listening socket with this number has been replaced.
    pub(crate) async fn socket_replaced_since(&self, number: u32) {
        self.until(|| self.socket_number.load(SeqCst) != number).await;
    }

    async fn until(&self, condition: impl Fn() -> bool) {
        loop {
            // Created first: it also resolves when another thread changes a field after the check.
            let changed = self.changed.notified();
            if condition() {
                return;
            }
            changed.await;
        }
    }
}
