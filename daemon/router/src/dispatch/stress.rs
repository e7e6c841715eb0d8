//! The dispatcher under threads that take, give back and cancel sessions while processes start, end and are replaced: a
//! process has never more sessions than slots, and every request is answered.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;

use tokio::task::{spawn_local, yield_now};

use super::worker::Worker;
use super::{Dispatcher, Lease, ProcessOrder};
use crate::app::route::Route;
use crate::lock::Lock;
use crate::pool::{Concurrency, GroupId, GroupOptions, Limits, RestartHow, Slot};
use common::link::{Address, AppUser, ProcessId, ProcessRecord};

const THREADS: usize = 4;
const CLIENTS: usize = 8;
const REQUESTS: usize = 400;
const SLOTS: usize = 2;
const PROCESSES: usize = 3;

/// A generator of numbers that look random.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// Everything that the threads share.
struct Setup {
    dispatcher: Arc<Dispatcher>,
    groups: [GroupId; 2],
    /// Sessions of each process.
    sessions: Lock<HashMap<Slot, usize>>,
    /// Clients that have not finished.
    clients: AtomicUsize,
    answered: AtomicUsize,
}

impl Setup {
    fn new() -> Arc<Self> {
        let limits = Limits { max_processes: PROCESSES, max_per_group: 0, max_starting: 2, idle_after: None };
        let dispatcher = Dispatcher::new(limits);
        let groups = [(); 2].map(|()| {
            let group = dispatcher.add_group(GroupOptions::default());
            let mut route = Route::for_test("ruby");
            route.group = group;
            dispatcher.set_route(group, Arc::new(route));
            group
        });
        let clients = AtomicUsize::new(THREADS * CLIENTS);
        Arc::new(Self {
            dispatcher,
            groups,
            sessions: Lock::default(),
            clients,
            answered: AtomicUsize::new(0),
        })
    }

    async fn use_session(&self, lease: Lease, numbers: &mut Numbers) {
        let slot = lease.worker.slot;
        {
            let mut sessions = self.sessions.lock();
            let count = sessions.entry(slot).or_default();
            *count += 1;
            assert!(*count <= SLOTS, "{slot:?} has {count} sessions");
        }
        for _ in 0..numbers.below(3) {
            yield_now().await;
        }
        *self.sessions.lock().entry(slot).or_default() -= 1;
        self.answered.fetch_add(1, SeqCst);
        drop(lease);
    }

    async fn client(&self, mut numbers: Numbers) {
        for _ in 0..REQUESTS {
            let group = self.groups[numbers.below(2) as usize];
            let checkout = self.dispatcher.checkout(group, None, None);
            let patience = if numbers.below(4) == 0 { numbers.below(6) } else { u64::MAX };
            let lease = tokio::select! {
                biased;
                lease = checkout => lease.ok(),
                () = times(patience) => None,
            };
            if let Some(lease) = lease {
                self.use_session(lease, &mut numbers).await;
            }
        }
        self.clients.fetch_sub(1, SeqCst);
    }

    /// What the main thread does: carries out orders, while processes end and apps are restarted.
    fn control(&self) {
        let (mut numbers, mut starting, mut running) = (Numbers(7), BTreeMap::new(), HashSet::new());
        loop {
            let is_last = self.clients.load(SeqCst) == 0;
            let mut was_idle = true;
            while let Some(order) = self.dispatcher.take_order() {
                was_idle = false;
                match order {
                    ProcessOrder::Start(slot, route) => drop(starting.insert(slot, route)),
                    ProcessOrder::Abandon(slot) => {
                        starting.remove(&slot);
                        running.remove(&slot);
                        self.dispatcher.exited(slot);
                    }
                    ProcessOrder::Stop(worker) if running.remove(&worker.slot) => {
                        self.dispatcher.exited(worker.slot);
                    }
                    _ => {}
                }
            }
            if let Some((slot, route)) = starting.pop_first() {
                was_idle = false;
                if numbers.below(10) == 0 {
                    self.dispatcher.exited(slot);
                } else {
                    running.insert(slot);
                    let worker = Arc::new(Worker::new(slot, record(slot), route));
                    self.dispatcher.ready(worker, Concurrency::At(SLOTS));
                }
            }
            if was_idle && is_last {
                return;
            }
            match numbers.below(200) {
                0 => self.dispatcher.restart(self.groups[numbers.below(2) as usize], RestartHow::Rolling),
                1 => self.dispatcher.restart(self.groups[numbers.below(2) as usize], RestartHow::Blocking),
                2 => {
                    if let Some(slot) = running.iter().next().copied() {
                        running.remove(&slot);
                        self.dispatcher.exited(slot);
                    }
                }
                _ => thread::yield_now(),
            }
        }
    }

    fn check_that_nothing_is_left(&self) {
        self.dispatcher.inspect(|pool, workers| {
            for group in self.groups {
                assert_eq!(pool.group(group).waiting(), 0);
            }
            for slot in workers.keys() {
                assert_eq!(pool.process(*slot).map_or(0, |process| process.sessions), 0);
            }
        });
        let tables = self.dispatcher.tables.lock();
        assert!(tables.waiting.is_empty() && tables.orders.is_empty());
        assert!(self.sessions.lock().values().all(|count| *count == 0));
        assert!(self.answered.load(SeqCst) > THREADS * CLIENTS * REQUESTS / 2);
    }
}

/// Resolves when the task has run this many times.
async fn times(count: u64) {
    if count == u64::MAX {
        std::future::pending::<()>().await;
    }
    for _ in 0..count {
        yield_now().await;
    }
}

fn record(slot: Slot) -> ProcessRecord {
    ProcessRecord {
        process: ProcessId(slot.0),
        pid: 1,
        address: Address::Nowhere,
        user: AppUser { uid: 1, gid: 1, name: "app".into() },
        started_ms: 0,
        max_concurrent: Some(SLOTS as u32),
        revision: None,
        native: None,
        environment: BTreeMap::new(),
        handover_data: Vec::new(),
    }
}

#[test]
fn no_session_is_given_twice_and_no_request_is_lost() {
    let setup = Setup::new();
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let setup = setup.clone();
            thread::spawn(move || {
                crate::runtime().unwrap().block_on(async {
                    let clients: Vec<_> = (0..CLIENTS)
                        .map(|client| {
                            let (setup, seed) = (setup.clone(), (thread * CLIENTS + client) as u64);
                            spawn_local(async move { setup.client(Numbers(seed)).await })
                        })
                        .collect();
                    for client in clients {
                        client.await.unwrap();
                    }
                });
            })
        })
        .collect();
    setup.control();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    setup.check_that_nothing_is_left();
}
