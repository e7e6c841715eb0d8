//! The detection of free threads in a process whose connections were hijacked or abandoned.
//!
//! A loader greets a connection when a thread accepts it, and the thread serves it until it ends or the app hijacks it
//! (`rack.hijack`, a WSGI hijack). So a new greeting shows that one thread has become free, and as many greeted
//! connections as the process has slots show that no thread serves a hijacked connection. An app that hijacks the
//! connection and serves it in the same thread (flask-sock) keeps its slot, as nothing shows that the thread is free.
//!
//! This file has the state of one process; `probing.rs` opens the connections.

use std::fmt::Debug;
use std::sync::Weak;

use crate::lock::Lock;

/// A session whose connection the app has hijacked.
pub(crate) trait Hijacked: Debug + Send + Sync {
    /// Whether it occupies a slot whose thread may already be free.
    fn awaits_proof(&self) -> bool;
    /// Frees the session's slot, as its thread is free.
    fn free_slot(&self);
}

/// A session whose client has disconnected; dropping it gives its slot back.
pub(crate) trait Abandoned: Debug + Send {
    /// False when the app has hijacked the connection and its thread is free.
    fn has_slot(&self) -> bool;
}

/// The sessions of one process that wait for a free thread.
#[derive(Debug, Default)]
pub(crate) struct Probe(Lock<Sessions>);

#[derive(Debug, Default)]
struct Sessions {
    /// Sessions whose connection the app has hijacked.
    hijacked: Vec<Weak<dyn Hijacked>>,
    /// Sessions whose client has disconnected while the process may still serve them.
    abandoned: Vec<Box<dyn Abandoned>>,
    /// Its task runs: it may have a connection that the process has not greeted.
    is_running: bool,
}

impl Probe {
    /// Adds a session whose connection the app has hijacked; true when the task must be started.
    pub(super) fn add_hijacked(&self, session: Weak<dyn Hijacked>) -> bool {
        let mut sessions = self.0.lock();
        sessions.hijacked.push(session);
        !std::mem::replace(&mut sessions.is_running, true)
    }

    /// Adds a session whose client has disconnected; true when the task must be started.
    pub(super) fn add_abandoned(&self, session: Box<dyn Abandoned>) -> bool {
        let mut sessions = self.0.lock();
        sessions.abandoned.push(session);
        !std::mem::replace(&mut sessions.is_running, true)
    }

    /// Whether its task runs.
    pub(super) fn is_running(&self) -> bool {
        self.0.lock().is_running
    }

    /// Whether a session waits for a free thread; removes sessions that have ended. If not, the task must end: the next
    /// session starts another.
    pub(super) fn goes_on(&self) -> bool {
        let mut sessions = self.0.lock();
        let awaits = |session: &Weak<dyn Hijacked>| session.upgrade().is_some_and(|s| s.awaits_proof());
        sessions.hijacked.retain(awaits);
        sessions.is_running = !sessions.hijacked.is_empty() || !sessions.abandoned.is_empty();
        sessions.is_running
    }

    /// Returns the number of hijacked sessions.
    pub(super) fn count_hijacked(&self) -> usize {
        self.0.lock().hijacked.len()
    }

    /// Drops the first abandoned session, as one more connection was greeted.
    pub(super) fn settle_abandoned(&self) {
        let first = {
            let mut sessions = self.0.lock();
            (!sessions.abandoned.is_empty()).then(|| sessions.abandoned.remove(0))
        };
        // Without the lock, since the pool may give the slot to another request immediately.
        drop(first);
    }

    /// Frees the slots of the first `count` hijacked sessions, as no thread serves them.
    pub(super) fn free_hijacked(&self, count: usize) {
        let free: Vec<_> = {
            let mut sessions = self.0.lock();
            let count = count.min(sessions.hijacked.len());
            sessions.hijacked.drain(..count).collect()
        };
        free.iter().filter_map(Weak::upgrade).for_each(|session| session.free_slot());
        // Sessions whose client has disconnected as well need not wait.
        let settled = {
            let mut sessions = self.0.lock();
            let all = std::mem::take(&mut sessions.abandoned);
            let (waiting, settled): (Vec<_>, Vec<_>) =
                all.into_iter().partition(|session| session.has_slot());
            sessions.abandoned = waiting;
            settled
        };
        drop(settled);
    }

    /// Drops all sessions, as the process has ended or accepts no connection: they end with their requests. The task must
    /// end.
    pub(super) fn give_up(&self) {
        let sessions = std::mem::take(&mut *self.0.lock());
        drop(sessions);
    }
}
