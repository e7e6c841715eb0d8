//! One session of a process: whether it occupies a slot, and whether it holds one of the greeted connections that the
//! probe is counted.

use std::cell::{Cell, OnceCell};
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};
use std::sync::{Arc, Weak};

use super::Dispatcher;
use super::probing;
use super::slot_probe::Hijacked;
use super::worker::Worker;

/// What a session whose connection the app has hijacked occupies in its process: a slot that is freed as soon as its
/// thread is known to be free.
const SLOT: u8 = 0;
/// No slot, only the connection.
const FREED: u8 = 1;
/// Nothing: it has ended.
const ENDED: u8 = 2;

/// A session. [`super::Lease`] owns it.
#[derive(Debug)]
pub(crate) struct Session {
    pub(super) dispatcher: Arc<Dispatcher>,
    pub(crate) worker: Arc<Worker>,
    /// Whether it holds a connection that the process has greeted.
    connected: Cell<bool>,
    /// Present once the app has hijacked the connection, which few do.
    hijacked: OnceCell<Arc<HijackedSlot>>,
}

/// The slot of a session whose connection the app has hijacked. What frees it, on another thread possibly, does so under
/// the dispatcher's lock, as the session's end does.
#[derive(Debug)]
struct HijackedSlot {
    dispatcher: Arc<Dispatcher>,
    worker: Arc<Worker>,
    state: AtomicU8,
}

impl Session {
    pub(super) fn new(dispatcher: Arc<Dispatcher>, worker: Arc<Worker>) -> Self {
        Self { dispatcher, worker, connected: Cell::new(false), hijacked: OnceCell::new() }
    }

    /// Records that the app has hijacked the connection: the thread that served it may be free.
    pub(crate) fn hijacked(&self) {
        if !self.is_served() {
            return;
        }
        self.disconnect();
        let (dispatcher, worker) = (self.dispatcher.clone(), self.worker.clone());
        let slot =
            self.hijacked.get_or_init(|| Arc::new(HijackedSlot { dispatcher, worker, state: SLOT.into() }));
        let slot: Weak<dyn Hijacked> = Arc::downgrade(&(slot.clone() as Arc<dyn Hijacked>));
        probing::add_hijacked(&self.worker, slot);
    }

    /// Whether the process serves the connection: false once the app has hijacked it. Then the session ends by itself, as
    /// a WebSocket does.
    pub(crate) fn is_served(&self) -> bool {
        self.hijacked.get().is_none()
    }

    /// Whether it occupies a slot: true until its slot is freed.
    pub(super) fn has_slot(&self) -> bool {
        self.hijacked.get().is_none_or(|slot| slot.state.load(SeqCst) != FREED)
    }

    /// Records that it holds a connection that the process has greeted and counted.
    pub(super) fn connect(&self) {
        self.connected.set(true);
    }

    /// Records that it holds no such connection any more; true when it did. The caller has it counted no longer.
    pub(super) fn take_connected(&self) -> bool {
        self.connected.replace(false)
    }

    /// Has the connection that it holds counted no longer.
    pub(super) fn disconnect(&self) {
        if self.take_connected() {
            self.worker.uncount();
        }
    }

    /// Ends the session and gives back what it occupies.
    pub(super) fn end(&self) {
        self.disconnect();
        let slot = self.worker.slot;
        self.dispatcher.update(|pool, now| {
            let before = self.hijacked.get().map(|slot| slot.state.swap(ENDED, SeqCst));
            if before == Some(FREED) {
                pool.release_hijacked(slot, now);
            } else {
                pool.release(slot, now);
            }
        });
    }
}

impl Hijacked for HijackedSlot {
    fn awaits_proof(&self) -> bool {
        self.state.load(SeqCst) == SLOT
    }

    fn free_slot(&self) {
        self.dispatcher.update(|pool, now| {
            if self.state.compare_exchange(SLOT, FREED, SeqCst, SeqCst).is_ok() {
                pool.free_slot(self.worker.slot, now);
            }
        });
    }
}
