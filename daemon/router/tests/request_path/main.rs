//! What one request costs the router, and a client that leaves while its app is busy: a router in this process.
//!
//! With `REQUESTS`, each count is of that many requests: the difference of two runs under `valgrind --tool=callgrind
//! --separate-threads=yes`, divided by the difference of the numbers, is the number of instructions of a request.

#![allow(clippy::unwrap_used, reason = "tests say what they expect by unwrapping")]

mod apps;
#[path = "../../src/sys/counting_allocator.rs"]
mod counting_allocator;
mod stage;

use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};

use protocol::app_kind::AppKind;

use counting_allocator::{Counting, allocations};
use stage::{Nginx, PATIENCE, Stage};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Requests before the count, in which buffers grow to their usual size.
const WARM_UP: usize = 200;
/// Allocations that periodic tasks may make during a test, whatever the number of requests.
const PERIODIC: u64 = 100;

/// Allocations of all threads are counted, so one test runs at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn requests() -> usize {
    std::env::var("REQUESTS").ok().and_then(|requests| requests.parse().ok()).unwrap_or(2_000)
}

/// Returns the number of allocations in `requests` requests, `at_once` of them at the same time.
fn count(kind: AppKind, at_once: usize, requests: usize) -> u64 {
    let stage = Stage::new(kind, move |stream| apps::hello(stream, kind));
    let mut connections: Vec<_> = (0..at_once).map(|_| stage.nginx(b"GET")).collect();
    let mut round = || {
        connections.iter_mut().for_each(Nginx::send);
        connections.iter_mut().for_each(Nginx::receive);
    };
    (0..WARM_UP / at_once).for_each(|_| round());
    let before = allocations();
    (0..requests / at_once).for_each(|_| round());
    let count = allocations() - before;
    connections.into_iter().for_each(Nginx::close);
    count
}

fn check(kind: AppKind, at_once: usize) {
    let _alone = alone();
    let requests = requests();
    let count = count(kind, at_once, requests);
    println!("{kind:?}, {at_once} at a time: {count} allocations in {requests} requests");
    assert!(count <= PERIODIC, "{count} allocations in {requests} requests, {PERIODIC} are allowed");
}

#[test]
fn a_request_to_a_loader_allocates_nothing() {
    check(AppKind::Ruby, 1);
}

#[test]
fn a_request_over_http_allocates_nothing() {
    check(AppKind::Generic, 1);
}

#[test]
fn a_request_in_the_queue_allocates_nothing() {
    check(AppKind::Ruby, 8);
}

#[test]
fn allocations_are_counted() {
    let _alone = alone();
    let before = allocations();
    drop(std::hint::black_box(Box::new(7)));
    assert!(allocations() > before);
}

#[test]
fn a_client_that_leaves_a_body_without_end_frees_the_process() {
    let _alone = alone();
    let (ended, has_ended) = mpsc::channel();
    let stage = Stage::new(AppKind::Ruby, move |stream| apps::endless(stream, &ended));
    // The body of a response to HEAD is not passed on: no failed write shows that the client has left.
    let mut nginx = stage.nginx(b"HEAD");
    nginx.send();
    assert!(!nginx.receive_some().is_empty());
    assert!(has_ended.try_recv().is_err());
    nginx.close();
    has_ended.recv_timeout(PATIENCE).expect("the router reads no further");
}
