//! The detection of free threads in a process whose connections were hijacked or abandoned.
//!
//! A loader greets a connection when a thread accepts it, and the thread serves it until it ends or the app hijacks it
//! (`rack.hijack`, a WSGI hijack). So a new greeting shows that one thread has become free, and as many greeted
//! connections as the process has slots show that no thread serves a hijacked connection. An app that hijacks the
//! connection and serves it in the same thread (flask-sock) keeps its slot, as nothing shows that the thread is free.
//!
//! This file has the state of one process; `probing.rs` opens the connections.

use std::cell::{Cell, RefCell};
use std::fmt::Debug;
use std::rc::Weak;

/// A session whose connection the app has hijacked.
pub(crate) trait Hijacked: Debug {
    /// Whether it occupies a slot whose thread may already be free.
    fn awaits_proof(&self) -> bool;
    /// Frees the session's slot, as its thread is free.
    fn free_slot(&self);
}

/// A session whose client has disconnected; dropping it gives its slot back.
pub(crate) trait Abandoned: Debug {
    /// False when the app has hijacked the connection and its thread is free.
    fn has_slot(&self) -> bool;
}

/// The sessions of one process that wait for a free thread, and the greeted connections that prove one.
#[derive(Debug, Default)]
pub(crate) struct Probe {
    /// Greeted connections that requests hold.
    pub(super) connected: Cell<usize>,
    /// Sessions whose connection the app has hijacked.
    pub(super) hijacked: RefCell<Vec<Weak<dyn Hijacked>>>,
    /// Sessions whose client has disconnected while the process may still serve them.
    pub(super) abandoned: RefCell<Vec<Box<dyn Abandoned>>>,
    /// Its task runs: it may have a connection that the process has not greeted.
    pub(super) is_running: Cell<bool>,
}

impl Probe {
    /// Whether a session waits for a free thread; removes sessions that have ended.
    pub(super) fn is_needed(&self) -> bool {
        let awaits = |session: &Weak<dyn Hijacked>| session.upgrade().is_some_and(|s| s.awaits_proof());
        self.hijacked.borrow_mut().retain(awaits);
        !self.hijacked.borrow().is_empty() || !self.abandoned.borrow().is_empty()
    }

    /// Drops the first abandoned session, as one more connection was greeted.
    pub(super) fn settle_abandoned(&self) {
        let first = {
            let mut abandoned = self.abandoned.borrow_mut();
            (!abandoned.is_empty()).then(|| abandoned.remove(0))
        };
        // Outside of the borrow, since the pool may give the slot to another request immediately.
        drop(first);
    }

    /// Frees the slots of all hijacked sessions, as no thread serves them.
    pub(super) fn free_hijacked(&self) {
        let free = std::mem::take(&mut *self.hijacked.borrow_mut());
        free.iter().filter_map(Weak::upgrade).for_each(|session| session.free_slot());
        // Sessions whose client has disconnected as well need not wait.
        let abandoned = std::mem::take(&mut *self.abandoned.borrow_mut());
        let (waiting, settled): (Vec<_>, Vec<_>) =
            abandoned.into_iter().partition(|session| session.has_slot());
        self.abandoned.borrow_mut().extend(waiting);
        drop(settled);
    }

    /// Drops all sessions, as the process has ended or accepts no connection: they end with their requests.
    pub(super) fn give_up(&self) {
        self.hijacked.borrow_mut().clear();
        let abandoned = std::mem::take(&mut *self.abandoned.borrow_mut());
        drop(abandoned);
    }
}
