//! One session of a process: whether it occupies a slot, and whether it holds one of the greeted connections that the
//! probe is counted.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::SeqCst};
use std::sync::{Arc, Weak};

use super::Dispatcher;
use super::probing;
use super::slot_probe::Hijacked;
use super::worker::Worker;

/// What a session occupies in its process: a slot.
const SLOT: u8 = 0;
/// A slot that is freed as soon as its thread is known to be free: the app has hijacked the connection.
const HIJACKED: u8 = 1;
/// No slot, only the connection that the app has hijacked.
const FREED: u8 = 2;
/// Nothing: it has ended.
const ENDED: u8 = 3;

/// A session. [`super::Lease`] owns it. What frees its slot, on another thread possibly, does so under the dispatcher's
/// lock, as its end does.
#[derive(Debug)]
pub(crate) struct Session {
    dispatcher: Arc<Dispatcher>,
    worker: Arc<Worker>,
    state: AtomicU8,
    /// Whether it holds a connection that the process has greeted.
    connected: AtomicBool,
}

impl Session {
    pub(super) fn new(dispatcher: Arc<Dispatcher>, worker: Arc<Worker>) -> Arc<Self> {
        Arc::new(Self { dispatcher, worker, state: AtomicU8::new(SLOT), connected: AtomicBool::default() })
    }

    /// Records that the app has hijacked the connection: the thread that served it may be free.
    pub(crate) fn hijacked(self: &Arc<Self>) {
        if self.state.load(SeqCst) != SLOT {
            return;
        }
        self.disconnect();
        self.state.store(HIJACKED, SeqCst);
        let session: Weak<dyn Hijacked> = Arc::downgrade(&(self.clone() as Arc<dyn Hijacked>));
        probing::add_hijacked(&self.worker, session);
    }

    /// Whether the process serves the connection: false once the app has hijacked it. Then the session ends by itself, as
    /// a WebSocket does.
    pub(crate) fn is_served(&self) -> bool {
        self.state.load(SeqCst) == SLOT
    }

    /// Whether it occupies a slot: true until its slot is freed.
    pub(super) fn has_slot(&self) -> bool {
        self.state.load(SeqCst) != FREED
    }

    /// Records that it holds a connection that the process has greeted and counted.
    pub(super) fn connect(&self) {
        self.connected.store(true, SeqCst);
    }

    /// Records that it holds no such connection any more; true when it did. The caller has it counted no longer.
    pub(super) fn take_connected(&self) -> bool {
        self.connected.swap(false, SeqCst)
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
            if self.state.swap(ENDED, SeqCst) == FREED {
                pool.release_hijacked(slot, now);
            } else {
                pool.release(slot, now);
            }
        });
    }
}

impl Hijacked for Session {
    fn awaits_proof(&self) -> bool {
        self.state.load(SeqCst) == HIJACKED
    }

    fn free_slot(&self) {
        self.dispatcher.update(|pool, now| {
            if self.state.compare_exchange(HIJACKED, FREED, SeqCst, SeqCst).is_ok() {
                pool.free_slot(self.worker.slot, now);
            }
        });
    }
}
