//! One session of a process: whether it occupies a slot, and whether it holds one of the greeted connections that the
//! probe is counted.

use std::cell::Cell;
use std::rc::{Rc, Weak};

use super::Dispatcher;
use super::probing;
use super::slot_probe::Hijacked;
use super::worker::Worker;

/// What a session occupies in its process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A slot.
    Slot,
    /// A slot that is freed as soon as its thread is known to be free: the app has hijacked the connection.
    Hijacked,
    /// No slot, only the connection that the app has hijacked.
    Freed,
    /// Nothing: it has ended.
    Ended,
}

/// A session. [`super::Lease`] owns it.
#[derive(Debug)]
pub(crate) struct Session {
    dispatcher: Weak<Dispatcher>,
    worker: Weak<Worker>,
    state: Cell<State>,
    connected: Cell<bool>,
}

impl Session {
    pub(super) fn new(dispatcher: Weak<Dispatcher>, worker: &Rc<Worker>) -> Rc<Self> {
        let worker = Rc::downgrade(worker);
        Rc::new(Self { dispatcher, worker, state: Cell::new(State::Slot), connected: Cell::default() })
    }

    /// Records that the app has hijacked the connection: the thread that served it may be free.
    pub(crate) fn hijacked(self: &Rc<Self>) {
        if self.state.get() != State::Slot {
            return;
        }
        self.set_connected(false);
        self.state.set(State::Hijacked);
        if let Some(worker) = self.worker.upgrade() {
            let session: Weak<dyn Hijacked> = Rc::downgrade(&(self.clone() as Rc<dyn Hijacked>));
            probing::add_hijacked(&worker, session);
        }
    }

    /// Whether the process serves the connection: false once the app has hijacked it. Then the session ends by itself, as
    /// a WebSocket does.
    pub(crate) fn is_served(&self) -> bool {
        self.state.get() == State::Slot
    }

    /// Whether it occupies a slot: true until its slot is freed.
    pub(super) fn has_slot(&self) -> bool {
        self.state.get() != State::Freed
    }

    /// Records whether it holds a connection that the process has greeted.
    pub(super) fn set_connected(&self, connected: bool) {
        if self.connected.replace(connected) != connected
            && let Some(worker) = self.worker.upgrade()
        {
            let count = &worker.probe.connected;
            count.set(if connected { count.get() + 1 } else { count.get().saturating_sub(1) });
        }
    }

    /// Ends the session; true when it occupied a slot.
    pub(super) fn end(&self) -> bool {
        self.set_connected(false);
        self.state.replace(State::Ended) != State::Freed
    }
}

impl Hijacked for Session {
    fn awaits_proof(&self) -> bool {
        self.state.get() == State::Hijacked
    }

    fn free_slot(&self) {
        let (Some(dispatcher), Some(worker)) = (self.dispatcher.upgrade(), self.worker.upgrade()) else {
            return;
        };
        if self.awaits_proof() {
            self.state.set(State::Freed);
            dispatcher.update(|pool, now| pool.free_slot(worker.slot, now));
        }
    }
}
