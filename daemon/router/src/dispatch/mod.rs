//! The dispatcher: gives requests leases on processes, as the pool decides.
//!
//! All threads share it. Everything that changes together is in [`tables`], under one lock, which a request takes when it
//! is given a session and when it gives it back. What follows from a change happens after the lock is released:
//! [`effects`] wakes requests and logs, and the main thread carries out the [`ProcessOrder`]s.

pub(crate) mod deployments;
mod effects;
mod evictions;
mod lease;
pub(crate) mod out_of_band;
mod probing;
mod process_control;
mod queue;
mod refused;
mod session;
pub(crate) mod slot_probe;
#[cfg(test)]
mod stress;
mod tables;
pub(crate) mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::app::route::Route;
use super::lock::Lock;
use super::metrics::counters::{AppMetrics, count};
use super::pool::{ByNumber, Concurrency, GroupId, GroupOptions, Limits, Pool, RestartHow, Slot, State};
use super::report::SpawnFailure;
use super::spawn::hooks::SlowRequest;
use common::sys::clock;
use deployments::Deployments;
use effects::Effects;
pub(crate) use lease::Lease;
pub(crate) use process_control::ProcessOrder;
pub(crate) use refused::Refused;
pub(crate) use session::Session;
use tables::Tables;
use worker::Worker;

/// The pool, and the routes, processes and waiting requests that its IDs identify.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    tables: Lock<Tables>,
    /// Notified when there are orders for the main thread.
    ordered: Notify,
    /// Notified when the pool or the number of requests has changed and a task waits for that.
    changed: Notify,
    /// Number of tasks that wait for a change.
    observers: AtomicUsize,
    /// Notified when the next sweep may be due earlier than the last one returned.
    pub(crate) sweep_sooner: Notify,
    /// Notified when there is a new process or route, to which periodic checks may apply.
    pub(crate) check_sooner: Notify,
    requests: AtomicUsize,
    /// Notified when a request waits.
    pub(crate) queued: Notify,
    pub(crate) deployments: Deployments,
}

impl Dispatcher {
    pub(crate) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            tables: Lock::new(Tables::new(Pool::new(limits))),
            ordered: Notify::new(),
            changed: Notify::new(),
            observers: AtomicUsize::new(0),
            sweep_sooner: Notify::new(),
            check_sooner: Notify::new(),
            requests: AtomicUsize::new(0),
            queued: Notify::new(),
            deployments: Deployments::default(),
        })
    }

    /// Changes the tables in one step for all threads; what follows from it happens before this returns, except for the
    /// orders.
    fn change<T>(&self, change: impl FnOnce(&mut Tables, Instant, &mut Effects) -> T) -> T {
        let mut effects = Effects::default();
        let result = {
            let mut tables = self.tables.lock();
            let result = change(&mut tables, Instant::now(), &mut effects);
            tables.settle(&mut effects);
            result
        };
        if effects.has_orders {
            self.ordered.notify_one();
        }
        if effects.sweep_sooner {
            self.sweep_sooner.notify_one();
        }
        effects.apply();
        self.notify_observers();
        result
    }

    /// Changes the pool; what the pool requires follows. `change` must not use the dispatcher.
    pub(crate) fn update<T>(&self, change: impl FnOnce(&mut Pool, Instant) -> T) -> T {
        self.change(|tables, now, _| change(&mut tables.pool, now))
    }

    /// Calls `inspect` with the pool and its processes. It must not use the dispatcher.
    pub(crate) fn inspect<T>(&self, inspect: impl FnOnce(&Pool, &ByNumber<Slot, Arc<Worker>>) -> T) -> T {
        let tables = self.tables.lock();
        inspect(&tables.pool, &tables.workers)
    }

    /// Returns the next order for the main thread.
    pub(crate) fn take_order(&self) -> Option<ProcessOrder> {
        self.tables.lock().orders.pop_front()
    }

    /// Resolves when there may be orders.
    pub(crate) async fn ordered(&self) {
        self.ordered.notified().await;
    }

    pub(crate) fn add_group(&self, options: GroupOptions) -> GroupId {
        let mut tables = self.tables.lock();
        let group = tables.pool.add_group(options);
        tables.metrics.insert(group, Arc::default());
        group
    }

    /// Sets whether nginx's configuration contains the app.
    pub(crate) fn set_configured(&self, group: GroupId, configured: bool) {
        self.change(|tables, now, _| {
            if !configured {
                tables.orders.push_back(ProcessOrder::Restarted(group));
            }
            tables.pool.set_configured(group, configured, now);
        });
    }

    /// Answers every request that waits for the group with `refused`.
    pub(crate) fn reject_waiting(&self, group: GroupId, refused: &Refused) {
        self.change(|tables, now, effects| {
            for waiter in tables.pool.reject_waiting(group, now) {
                let _ = tables.answer(waiter, Err(refused.clone()), effects);
            }
        });
    }

    /// Removes the group's route, and the group itself if it has no process and no request.
    pub(crate) fn remove_group(&self, group: GroupId) {
        self.change(|tables, _, _| {
            tables.routes.remove(&group);
            if tables.pool.remove_group(group) {
                tables.metrics.remove(&group);
                tables.evictions.remove_group(group);
                tables.orders.push_back(ProcessOrder::Removed(group));
                self.deployments.remove_group(group);
            }
        });
    }

    pub(crate) fn set_route(&self, group: GroupId, route: Arc<Route>) {
        // The previous one is dropped without the lock.
        let _previous = self.tables.lock().routes.insert(group, route);
        self.check_sooner.notify_waiters();
    }

    /// Returns the routes of apps that have processes.
    pub(crate) fn running(&self) -> Vec<Arc<Route>> {
        let tables = self.tables.lock();
        let runs = |route: &&Arc<Route>| tables.pool.group(route.group).capacity_used() > 0;
        tables.routes.values().filter(runs).cloned().collect()
    }

    /// Returns the routes of those whose restart files are checked regularly without a request.
    pub(crate) fn watched(&self) -> Vec<Arc<Route>> {
        let mut running = self.running();
        running.retain(|route| route.settings.router.watch_restart_files);
        running
    }

    /// Returns the route that a group's next process is started with.
    pub(crate) fn route(&self, group: GroupId) -> Option<Arc<Route>> {
        self.tables.lock().routes.get(&group).cloned()
    }

    /// Returns the group's metrics.
    pub(crate) fn metrics(&self, group: GroupId) -> Arc<AppMetrics> {
        self.tables.lock().metrics(group)
    }

    /// Returns a session of one process for an administrator, if one is free, even when its app is paused.
    pub(crate) fn take(self: &Arc<Self>, pid: i32) -> Option<Lease> {
        let worker = self.change(|tables, now, _| {
            let worker = tables.find(|worker| worker.record.pid == pid)?.clone();
            tables.pool.take(worker.slot, now).then_some(worker)
        });
        worker.map(|worker| Lease::new(self.clone(), worker))
    }

    /// Adds a process that is ready to serve.
    pub(crate) fn ready(&self, worker: Arc<Worker>, concurrency: Concurrency) {
        let slot = worker.slot;
        let took = clock::steady_ms().saturating_sub(worker.record.started_ms);
        worker.route.metrics.spawn_time.add(Duration::from_millis(took));
        self.change(|tables, now, _| {
            tables.workers.insert(slot, worker);
            tables.pool.ready(slot, concurrency, now);
        });
        self.check_sooner.notify_waiters();
    }

    /// Takes over a process from an earlier router. `make` must not use the dispatcher.
    pub(crate) fn adopt(&self, group: GroupId, concurrency: Concurrency, make: impl FnOnce(Slot) -> Worker) {
        self.change(|tables, now, _| {
            let slot = tables.pool.adopt(group, concurrency, now);
            tables.workers.insert(slot, Arc::new(make(slot)));
        });
        self.check_sooner.notify_waiters();
    }

    /// Returns the process in this slot.
    pub(crate) fn worker(&self, slot: Slot) -> Option<Arc<Worker>> {
        self.tables.lock().workers.get(&slot).cloned()
    }

    /// Returns the group of a process that did not start, and the last failure of the same version.
    pub(crate) fn failed_before(&self, slot: Slot) -> (Option<GroupId>, Option<Arc<SpawnFailure>>) {
        let version = self.inspect(|pool, _| pool.process(slot).map(|p| (p.group, p.generation)));
        let earlier = version.and_then(|(group, generation)| self.deployments.failure_of(group, generation));
        (version.map(|(group, _)| group), earlier)
    }

    /// Returns when a process of the group is started again although no request waits.
    pub(crate) fn next_start(&self, group: GroupId) -> Option<Duration> {
        let at = self.inspect(|pool, _| pool.group(group).next_start())?;
        Some(at.saturating_duration_since(Instant::now()))
    }

    /// Records that a process did not start.
    pub(crate) fn failed(&self, slot: Slot, failure: Arc<SpawnFailure>) {
        self.change(|tables, now, effects| {
            if let Some(process) = tables.pool.process(slot) {
                let (group, generation) = (process.group, process.generation);
                self.deployments.failed(group, generation, failure.clone());
                count(&tables.metrics(group).spawns_failed);
            }
            effects.failure = Some(failure);
            tables.pool.failed(slot, now);
        });
    }

    /// Removes a process that has ended; counts a crash when it was not asked to end.
    pub(crate) fn exited(&self, slot: Slot) {
        let worker = self.change(|tables, now, _| {
            let process = tables.pool.process(slot);
            if let Some(process) = process.filter(|process| process.state == State::Serving) {
                count(&tables.metrics(process.group).crashed);
            }
            let worker = tables.workers.remove(&slot);
            tables.orders.extend(worker.clone().map(ProcessOrder::Detached));
            tables.pool.exited(slot, now);
            worker
        });
        worker.iter().for_each(|worker| worker.close());
    }

    pub(crate) fn restart(&self, group: GroupId, how: RestartHow) {
        self.change(|tables, now, _| {
            tables.orders.push_back(ProcessOrder::Restarted(group));
            tables.pool.restart(group, how, now);
        });
    }

    /// Takes a process out of service; false when no serving process has this process ID.
    pub(crate) fn detach(&self, pid: i32) -> bool {
        self.change(|tables, now, _| {
            let slot = tables.find(|worker| worker.record.pid == pid).map(|worker| worker.slot);
            slot.is_some_and(|slot| tables.pool.detach(slot, now))
        })
    }

    /// Kills a process, for `slow` if that request takes too long, and aborts all requests that it serves.
    pub(crate) fn kill(&self, worker: &Arc<Worker>, slow: Option<SlowRequest>) {
        self.update(|pool, now| pool.detach(worker.slot, now));
        self.change(|tables, _, _| tables.orders.push_back(ProcessOrder::Kill(worker.clone(), slow)));
    }

    /// Stops starting processes and accepting requests; each process ends after its last session.
    pub(crate) fn close(&self) {
        self.change(|tables, _, effects| {
            tables.closing = true;
            tables.pool.close();
            tables.settle(effects);
            tables.refuse_all(effects);
        });
    }

    /// Returns the number of active and waiting requests.
    pub(crate) fn requests(&self) -> usize {
        self.requests.load(SeqCst)
    }

    /// Counts a request until the guard is dropped.
    pub(crate) fn count_request(&self) -> RequestCount<'_> {
        self.requests.fetch_add(1, SeqCst);
        RequestCount(self)
    }

    /// Waits until `check` returns a value; calls it after each change of the pool or of the number of requests.
    pub(crate) async fn wait_for<T>(&self, check: impl Fn(&Self) -> Option<T>) -> T {
        // Counted before the first check, which sees what changed earlier.
        let _observer = Observer::new(&self.observers);
        loop {
            let changed = self.changed.notified();
            if let Some(found) = check(self) {
                return found;
            }
            changed.await;
        }
    }

    fn notify_observers(&self) {
        if self.observers.load(SeqCst) > 0 {
            self.changed.notify_waiters();
        }
    }

    /// Ends the connections that switched protocols, unless the app's settings keep them.
    pub(crate) fn abort_tunnels(&self) {
        self.workers().iter().for_each(|worker| worker.drain());
    }

    /// Returns all processes that were ready and have not ended.
    pub(crate) fn workers(&self) -> Vec<Arc<Worker>> {
        self.tables.lock().workers.values().cloned().collect()
    }
}

/// Counts one task that waits for a change.
struct Observer<'a>(&'a AtomicUsize);

impl<'a> Observer<'a> {
    fn new(observers: &'a AtomicUsize) -> Self {
        observers.fetch_add(1, SeqCst);
        Self(observers)
    }
}

impl Drop for Observer<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

/// Counts one request while it lives.
#[derive(Debug)]
pub(crate) struct RequestCount<'a>(&'a Dispatcher);

impl Drop for RequestCount<'_> {
    fn drop(&mut self) {
        self.0.requests.fetch_sub(1, SeqCst);
        self.0.notify_observers();
    }
}
