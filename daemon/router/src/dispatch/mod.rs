//! The dispatcher: gives requests leases on processes, as the pool decides; [`execute`] executes the pool's actions.
//!
//! Everything runs on one thread, so the pool needs no lock. Actions are collected while the pool is borrowed and
//! executed afterwards: a lease that is dropped meanwhile can borrow the pool.

pub(crate) mod deployments;
mod evictions;
mod execute;
mod lease;
pub(crate) mod out_of_band;
mod probing;
mod process_control;
mod refused;
mod session;
pub(crate) mod slot_probe;
pub(crate) mod worker;

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot};

use super::app::route::Route;
use super::metrics::counters::{AppMetrics, count};
use super::pool::{
    Action, Checkout, Concurrency, GroupId, GroupOptions, Limits, Pool, RestartHow, Slot, State, Waiter,
};
use super::report::SpawnFailure;
use super::spawn::hooks::SlowRequest;
use common::sys::clock;
use deployments::Deployments;
use evictions::EvictionLog;
pub(crate) use lease::Lease;
use lease::QueueEntry;
pub(crate) use process_control::ProcessControl;
pub(crate) use refused::Refused;
pub(crate) use session::Session;
use worker::Worker;

/// The pool, and the routes, processes and waiting requests that its IDs identify.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    me: Weak<Self>,
    pool: RefCell<Pool>,
    /// The route of each group's last request; the next process is started with it.
    routes: RefCell<HashMap<GroupId, Rc<Route>>>,
    /// The metrics of each group.
    metrics: RefCell<HashMap<GroupId, Rc<AppMetrics>>>,
    workers: RefCell<HashMap<Slot, Rc<Worker>>>,
    waiting: RefCell<HashMap<Waiter, oneshot::Sender<Result<Lease, Refused>>>>,
    failures: RefCell<HashMap<Slot, Rc<SpawnFailure>>>,
    /// Actions of the pool that are not executed yet.
    pending: RefCell<VecDeque<Action>>,
    is_executing: Cell<bool>,
    closing: Cell<bool>,
    process_control: OnceCell<Rc<dyn ProcessControl>>,
    /// Notified when the pool or the number of requests has changed.
    changed: Notify,
    /// Notified when the next sweep may be due earlier than the last one returned.
    pub(crate) sweep_sooner: Notify,
    /// Notified when there is a new process or route, to which periodic checks may apply.
    pub(crate) check_sooner: Notify,
    requests: Cell<usize>,
    /// Notified when a request waits.
    pub(crate) queued: Notify,
    pub(crate) deployments: Deployments,
    evictions: EvictionLog,
}

impl Dispatcher {
    pub(crate) fn new(limits: Limits) -> Rc<Self> {
        Rc::new_cyclic(|me| Self {
            me: me.clone(),
            pool: RefCell::new(Pool::new(limits)),
            routes: RefCell::default(),
            metrics: RefCell::default(),
            workers: RefCell::default(),
            waiting: RefCell::default(),
            failures: RefCell::default(),
            pending: RefCell::default(),
            is_executing: Cell::new(false),
            closing: Cell::new(false),
            process_control: OnceCell::new(),
            changed: Notify::new(),
            sweep_sooner: Notify::new(),
            check_sooner: Notify::new(),
            requests: Cell::new(0),
            queued: Notify::new(),
            deployments: Deployments::default(),
            evictions: EvictionLog::default(),
        })
    }

    /// Sets what starts and ends processes.
    pub(crate) fn set_process_control(&self, control: Rc<dyn ProcessControl>) {
        // Called once, by the constructor of the only implementation.
        let _ = self.process_control.set(control);
    }

    /// Changes the pool and executes the actions that follow.
    pub(crate) fn update<T>(&self, change: impl FnOnce(&mut Pool, Instant) -> T) -> T {
        let result = change(&mut self.pool.borrow_mut(), Instant::now());
        self.execute_actions();
        result
    }

    /// Calls `inspect` with the pool and its processes.
    pub(crate) fn inspect<T>(&self, inspect: impl FnOnce(&Pool, &HashMap<Slot, Rc<Worker>>) -> T) -> T {
        inspect(&self.pool.borrow(), &self.workers.borrow())
    }

    pub(crate) fn add_group(&self, options: GroupOptions) -> GroupId {
        let group = self.pool.borrow_mut().add_group(options);
        self.metrics.borrow_mut().insert(group, Rc::default());
        group
    }

    /// Sets whether nginx's configuration contains the app.
    pub(crate) fn set_configured(&self, group: GroupId, configured: bool) {
        if !configured && let Some(control) = self.process_control.get() {
            control.restarted(group);
        }
        self.update(|pool, now| pool.set_configured(group, configured, now));
    }

    /// Answers every request that waits for the group with `refused`.
    pub(crate) fn reject_waiting(&self, group: GroupId, refused: &Refused) {
        for waiter in self.update(|pool, now| pool.reject_waiting(group, now)) {
            self.answer(waiter, Err(refused.clone()));
        }
    }

    /// Removes the group's route, and the group itself if it has no process and no request.
    pub(crate) fn remove_group(&self, group: GroupId) {
        self.routes.borrow_mut().remove(&group);
        if self.pool.borrow_mut().remove_group(group) {
            self.metrics.borrow_mut().remove(&group);
            self.deployments.remove_group(group);
            self.evictions.remove_group(group);
            if let Some(control) = self.process_control.get() {
                control.removed(group);
            }
        }
    }

    pub(crate) fn set_route(&self, group: GroupId, route: Rc<Route>) {
        self.routes.borrow_mut().insert(group, route);
        self.check_sooner.notify_waiters();
    }

    /// Returns the routes of apps that have processes.
    pub(crate) fn running(&self) -> Vec<Rc<Route>> {
        let pool = self.pool.borrow();
        let routes = self.routes.borrow();
        routes.values().filter(|route| pool.group(route.group).capacity_used() > 0).cloned().collect()
    }

    /// Returns the routes of those whose restart files are checked regularly without a request.
    pub(crate) fn watched(&self) -> Vec<Rc<Route>> {
        let mut running = self.running();
        running.retain(|route| route.settings.router.watch_restart_files);
        running
    }

    /// Returns the route that a group's next process is started with.
    pub(crate) fn route(&self, group: GroupId) -> Option<Rc<Route>> {
        self.routes.borrow().get(&group).cloned()
    }

    /// Returns the group's metrics.
    pub(crate) fn metrics(&self, group: GroupId) -> Rc<AppMetrics> {
        self.metrics.borrow().get(&group).cloned().unwrap_or_default()
    }

    /// Returns a session of one of the group's processes; waits for it if necessary, but not longer than `longest`.
    /// `wanted` is the sticky number of the process that served the client before.
    pub(crate) async fn checkout(
        &self,
        group: GroupId,
        wanted: Option<u32>,
        longest: Option<Duration>,
    ) -> Result<Lease, Refused> {
        if self.closing.get() {
            return Err(Refused::ShuttingDown);
        }
        let checkout = {
            let is_wanted =
                |worker: &Worker, number| worker.route.group == group && worker.sticky_number == number;
            let wanted = wanted.and_then(|number| self.slot_of(|worker| is_wanted(worker, number)));
            self.pool.borrow_mut().checkout(group, wanted, Instant::now())
        };
        let waiter = match checkout {
            Checkout::Granted(slot) => return self.lease(slot).ok_or(Refused::ShuttingDown),
            Checkout::Full => {
                if let (Some(control), Some(route)) = (self.process_control.get(), self.route(group)) {
                    control.queue_full(&route);
                }
                return Err(Refused::QueueFull);
            }
            Checkout::Queued(waiter) => waiter,
        };
        self.queued.notify_one();
        let (sender, answer) = oneshot::channel();
        self.waiting.borrow_mut().insert(waiter, sender);
        let _entry = QueueEntry { dispatcher: self, group, waiter };
        self.execute_actions();
        let answer = async { answer.await.unwrap_or(Err(Refused::ShuttingDown)) };
        match longest {
            None => answer.await,
            Some(limit) => {
                tokio::time::timeout(limit, answer).await.unwrap_or(Err(Refused::QueuedTooLong(limit)))
            }
        }
    }

    /// Returns a session of one process for an administrator, if one is free, even when its app is paused.
    pub(crate) fn take(&self, pid: i32) -> Option<Lease> {
        let slot = self.slot_of(|worker| worker.record.pid == pid)?;
        let taken = self.pool.borrow_mut().take(slot, Instant::now());
        taken.then(|| self.lease(slot)).flatten()
    }

    /// Adds a process that is ready to serve.
    pub(crate) fn ready(&self, worker: Rc<Worker>, concurrency: Concurrency) {
        let slot = worker.slot;
        let took = clock::steady_ms().saturating_sub(worker.record.started_ms);
        self.metrics(worker.route.group).spawn_time.add(Duration::from_millis(took));
        self.workers.borrow_mut().insert(slot, worker);
        self.update(|pool, now| pool.ready(slot, concurrency, now));
        self.check_sooner.notify_waiters();
    }

    /// Takes over a process from an earlier router.
    pub(crate) fn adopt(&self, group: GroupId, concurrency: Concurrency, make: impl FnOnce(Slot) -> Worker) {
        let slot = self.pool.borrow_mut().adopt(group, concurrency, Instant::now());
        self.workers.borrow_mut().insert(slot, Rc::new(make(slot)));
        self.execute_actions();
        self.check_sooner.notify_waiters();
    }

    /// Returns the group of a process that did not start, and the last failure of the same version.
    pub(crate) fn failed_before(&self, slot: Slot) -> (Option<GroupId>, Option<Rc<SpawnFailure>>) {
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
    pub(crate) fn failed(&self, slot: Slot, failure: Rc<SpawnFailure>) {
        let version = self.inspect(|pool, _| pool.process(slot).map(|p| (p.group, p.generation)));
        if let Some((group, generation)) = version {
            self.deployments.failed(group, generation, failure.clone());
            count(&self.metrics(group).spawns_failed);
        }
        self.failures.borrow_mut().insert(slot, failure);
        self.update(|pool, now| pool.failed(slot, now));
        self.failures.borrow_mut().remove(&slot);
    }

    /// Removes a process that has ended; counts a crash when it was not asked to end.
    pub(crate) fn exited(&self, slot: Slot) {
        let state = self.inspect(|pool, _| pool.process(slot).map(|process| (process.group, process.state)));
        if let Some((group, State::Serving)) = state {
            count(&self.metrics(group).crashed);
        }
        let worker = self.workers.borrow_mut().remove(&slot);
        if let (Some(control), Some(worker)) = (self.process_control.get(), worker) {
            worker.close();
            control.detached(&worker);
        }
        self.update(|pool, now| pool.exited(slot, now));
    }

    pub(crate) fn restart(&self, group: GroupId, how: RestartHow) {
        if let Some(control) = self.process_control.get() {
            control.restarted(group);
        }
        self.update(|pool, now| pool.restart(group, how, now));
    }

    /// Takes a process out of service; false when no serving process has this process ID.
    pub(crate) fn detach(&self, pid: i32) -> bool {
        let slot = self.slot_of(|worker| worker.record.pid == pid);
        slot.is_some_and(|slot| self.update(|pool, now| pool.detach(slot, now)))
    }

    /// Kills a process, for `slow` if that request takes too long, and aborts all requests that it serves.
    pub(crate) fn kill(&self, worker: &Worker, slow: Option<SlowRequest>) {
        self.update(|pool, now| pool.detach(worker.slot, now));
        if let Some(control) = self.process_control.get() {
            control.kill(worker, slow);
        }
    }

    /// Stops starting processes and accepting requests; each process ends after its last session.
    pub(crate) fn close(&self) {
        self.closing.set(true);
        self.update(|pool, _| pool.close());
        self.waiting.borrow_mut().clear();
    }

    /// Returns the number of active and waiting requests.
    pub(crate) fn requests(&self) -> usize {
        self.requests.get()
    }

    /// Counts a request until the guard is dropped.
    pub(crate) fn count_request(&self) -> RequestCount<'_> {
        self.requests.set(self.requests.get() + 1);
        RequestCount(self)
    }

    /// Waits until `check` returns a value; calls it after each change of the pool or of the number of requests.
    pub(crate) async fn wait_for<T>(&self, check: impl Fn(&Self) -> Option<T>) -> T {
        loop {
            let changed = self.changed.notified();
            if let Some(found) = check(self) {
                return found;
            }
            changed.await;
        }
    }

    /// Ends the connections that switched protocols, unless the app's settings keep them.
    pub(crate) fn abort_tunnels(&self) {
        self.workers.borrow().values().for_each(|worker| worker.drain());
    }

    fn slot_of(&self, is_wanted: impl Fn(&Worker) -> bool) -> Option<Slot> {
        self.workers.borrow().values().find(|worker| is_wanted(worker)).map(|worker| worker.slot)
    }

    fn lease(&self, slot: Slot) -> Option<Lease> {
        let worker = self.workers.borrow().get(&slot).cloned()?;
        let session = Session::new(self.me.clone(), &worker);
        Some(Lease { dispatcher: self.me.upgrade()?, worker, session })
    }
}

/// Counts one request while it lives.
#[derive(Debug)]
pub(crate) struct RequestCount<'a>(&'a Dispatcher);

impl Drop for RequestCount<'_> {
    fn drop(&mut self) {
        self.0.requests.set(self.0.requests.get() - 1);
        self.0.changed.notify_waiters();
    }
}
