//! The task that opens connections to a process until it is known which of its threads are free: see `slot_probe.rs`.

use std::io;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::super::pool::Concurrency;
use super::slot_probe::{Abandoned, Hijacked};
use super::worker::Worker;
use common::sys::descriptors::are_used_up;

/// Pause before a connection is tried again after a temporary error.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// Frees the session's slot when its thread is free.
pub(super) fn add_hijacked(worker: &Arc<Worker>, session: Weak<dyn Hijacked>) {
    // A process with an event loop has no threads that could become free.
    if worker.record.max_concurrent != Some(0) && worker.probe.add_hijacked(session) {
        tokio::task::spawn_local(run(worker.clone()));
    }
}

/// Drops the session when a thread has become free.
pub(super) fn add_abandoned(worker: &Arc<Worker>, session: Box<dyn Abandoned>) {
    if worker.probe.add_abandoned(session) {
        tokio::task::spawn_local(run(worker.clone()));
    }
}

/// Opens connections to the process, one at a time, until every session is settled.
async fn run(worker: Arc<Worker>) {
    let probe = &worker.probe;
    while probe.goes_on() {
        // Counted first: the connection of a session that is hijacked later is still among the greeted ones.
        let hijacked = probe.count_hijacked();
        if worker.greeted() >= slots(&worker) {
            probe.free_hijacked(hijacked);
            if !probe.goes_on() {
                return;
            }
        }
        match worker.connect().await {
            Ok(stream) => {
                let kept = worker.keep(stream, false);
                probe.settle_abandoned();
                if !kept {
                    return probe.give_up();
                }
            }
            Err(err) if is_temporary(&err) => tokio::time::sleep(RETRY_PAUSE).await,
            Err(_) => return probe.give_up(),
        }
    }
}

/// Whether the error is temporary: no descriptor is free, or the process has not accepted earlier connections.
fn is_temporary(err: &io::Error) -> bool {
    are_used_up(err) || err.kind() == io::ErrorKind::WouldBlock
}

/// Returns how many connections the process must greet: one for each concurrent request, at most one for each thread.
fn slots(worker: &Worker) -> usize {
    let threads = worker.record.max_concurrent.map_or(1, |threads| threads as usize);
    match worker.route.settings.concurrency(worker.route.kind, worker.record.max_concurrent) {
        Concurrency::At(slots) => slots.min(threads),
        Concurrency::Unlimited => threads,
    }
}
