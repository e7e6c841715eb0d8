//! What one request costs the router: memory allocations.
//!
//! With `REQUESTS`, each test sends that many requests: the difference of two runs under `valgrind --tool=callgrind
//! --separate-threads=yes`, divided by the difference of the numbers, is the number of instructions of a request.

#![allow(clippy::unwrap_used, reason = "tests say what they expect by unwrapping")]

#[path = "../../src/sys/counting_allocator.rs"]
mod counting_allocator;
mod stage;

use std::sync::{Mutex, PoisonError};

use protocol::app_kind::AppKind;

use counting_allocator::{Counting, allocations};
use stage::Stage;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations of all threads are counted, so one test runs at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// Requests before the count, in which buffers grow to their usual size.
const WARM_UP: usize = 200;
/// Allocations that periodic tasks may make during a test, whatever the number of requests.
const PERIODIC: u64 = 100;

fn requests() -> usize {
    std::env::var("REQUESTS").ok().and_then(|requests| requests.parse().ok()).unwrap_or(2_000)
}

/// Returns the number of allocations in `requests` requests, `at_once` of them at the same time.
fn allocations_of(kind: AppKind, at_once: usize, requests: usize) -> u64 {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let stage = Stage::new(kind, 1);
    let mut connections: Vec<_> = (0..at_once).map(|_| stage.nginx()).collect();
    let mut round = || {
        connections.iter_mut().for_each(|nginx| nginx.send());
        connections.iter_mut().for_each(|nginx| nginx.receive());
    };
    (0..WARM_UP / at_once).for_each(|_| round());
    let before = allocations();
    (0..requests / at_once).for_each(|_| round());
    let count = allocations() - before;
    connections.into_iter().for_each(stage::Nginx::close);
    count
}

fn check(kind: AppKind, at_once: usize, allowed_each: u64) {
    let requests = requests();
    let count = allocations_of(kind, at_once, requests);
    println!("{kind:?}, {at_once} at a time: {count} allocations in {requests} requests");
    let allowed = allowed_each * requests as u64 + PERIODIC;
    assert!(count <= allowed, "{count} allocations in {requests} requests, {allowed} are allowed");
}

#[test]
fn a_request_to_a_loader_allocates_nothing() {
    check(AppKind::Ruby, 1, 0);
}

#[test]
fn a_request_over_http_allocates_nothing() {
    check(AppKind::Generic, 1, 0);
}

#[test]
fn a_request_that_waits_in_the_queue_allocates_nothing() {
    check(AppKind::Ruby, 8, 0);
}
