//! Finds out when threads of a process are free whose connections were taken over or abandoned.
//!
//! A loader greets a connection when a thread takes it, and the thread stays with it until it ends or the app takes it
//! (`rack.hijack`, a WSGI hijack). So a new greeting shows that one thread has become free, and as many greeted
//! connections as the process has slots show that no thread is with a connection that was taken. An app that takes the
//! connection and stays in its thread (flask-sock) keeps its slot, since nothing shows that the thread is free.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::{Rc, Weak};
use std::time::Duration;

use super::descriptors;
use super::dispatch::{Lease, Session};
use super::pool::Concurrency;
use super::worker::Worker;

/// Pause before a connection is tried again that failed for a passing reason.
const PAUSE: Duration = Duration::from_millis(200);

/// What one process is asked for, and the connections that answer it.
#[derive(Debug, Default)]
pub(crate) struct Probe {
    /// Greeted connections that requests hold.
    connected: Cell<usize>,
    /// Sessions whose connection the app has taken.
    hijacked: RefCell<Vec<Weak<Session>>>,
    /// Sessions whose client has gone while the process may still work for it.
    abandoned: RefCell<Vec<Lease>>,
    at_work: Cell<bool>,
}

impl Probe {
    /// True while it may have a connection that the process has not greeted.
    pub(crate) fn is_at_work(&self) -> bool {
        self.at_work.get()
    }

    pub(crate) fn connected(&self) {
        self.connected.set(self.connected.get() + 1);
    }

    pub(crate) fn disconnected(&self) {
        self.connected.set(self.connected.get().saturating_sub(1));
    }

    /// Frees the session's slot when its thread is free.
    pub(crate) fn add_hijacked(&self, worker: &Rc<Worker>, session: &Rc<Session>) {
        // With an event loop there are no threads to be freed.
        if worker.record.at_once == Some(0) {
            return;
        }
        self.hijacked.borrow_mut().push(Rc::downgrade(session));
        self.start(worker);
    }

    /// Drops the lease when a thread has become free.
    pub(crate) fn add_abandoned(lease: Lease) {
        let worker = lease.worker.clone();
        worker.probe.abandoned.borrow_mut().push(lease);
        worker.probe.start(&worker);
    }

    fn start(&self, worker: &Rc<Worker>) {
        if !self.at_work.replace(true) {
            tokio::task::spawn_local(run(worker.clone()));
        }
    }

    /// Sessions that have ended meanwhile are forgotten.
    fn is_needed(&self) -> bool {
        let awaits = |session: &Weak<Session>| session.upgrade().is_some_and(|s| s.awaits_proof());
        self.hijacked.borrow_mut().retain(awaits);
        !self.hijacked.borrow().is_empty() || !self.abandoned.borrow().is_empty()
    }

    /// One more connection was greeted.
    fn take_greeting(&self) {
        let first = {
            let mut abandoned = self.abandoned.borrow_mut();
            if abandoned.is_empty() { None } else { Some(abandoned.remove(0)) }
        };
        // Outside of the borrow, since the pool may give the slot to another request at once.
        drop(first);
    }

    fn free_hijacked(&self) {
        let free = std::mem::take(&mut *self.hijacked.borrow_mut());
        free.iter().filter_map(Weak::upgrade).for_each(|session| session.free_slot());
        // Nothing is waited for any more by those whose client has gone as well.
        let abandoned = std::mem::take(&mut *self.abandoned.borrow_mut());
        let (left, settled): (Vec<_>, Vec<_>) = abandoned.into_iter().partition(Lease::has_slot);
        self.abandoned.borrow_mut().extend(left);
        drop(settled);
    }

    /// The process has gone, or takes no connection: its sessions end with their requests.
    fn give_up(&self) {
        self.hijacked.borrow_mut().clear();
        let abandoned = std::mem::take(&mut *self.abandoned.borrow_mut());
        drop(abandoned);
    }
}

/// Opens connections to the process, one at a time, until every session is settled.
async fn run(worker: Rc<Worker>) {
    let probe = &worker.probe;
    while probe.is_needed() {
        if probe.connected.get() + worker.count_idle() >= slots(&worker) {
            probe.free_hijacked();
            if probe.abandoned.borrow().is_empty() {
                break;
            }
        }
        match worker.connect().await {
            Ok(stream) => {
                let kept = worker.keep(stream);
                probe.take_greeting();
                if !kept {
                    probe.give_up();
                    break;
                }
            }
            Err(err) if is_passing(&err) => tokio::time::sleep(PAUSE).await,
            Err(_) => {
                probe.give_up();
                break;
            }
        }
    }
    probe.at_work.set(false);
}

/// No descriptor is free, or the process has not taken the connections before.
fn is_passing(err: &io::Error) -> bool {
    descriptors::are_used_up(err) || err.kind() == io::ErrorKind::WouldBlock
}

/// Connections that have to be greeted: one for each request that the pool sends, as far as there are threads.
fn slots(worker: &Worker) -> usize {
    let threads = worker.record.at_once.map_or(1, |threads| threads as usize);
    match worker.route.settings.concurrency(worker.route.kind, worker.record.at_once) {
        Concurrency::At(slots) => slots.min(threads),
        Concurrency::Unlimited => threads,
    }
}
