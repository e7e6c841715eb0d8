//! The dispatcher: gives requests leases on processes, as the pool decides; [`carry_out`] executes the pool's actions.
//!
//! Everything runs on one thread, so the pool needs no lock. Actions are collected while the pool is borrowed and
//! carried out afterwards: a lease that is dropped meanwhile can borrow the pool.

mod carry_out;
pub(crate) mod deployments;
mod launch;
mod lease;
pub(crate) mod out_of_band;
mod probing;
mod refused;
mod session;
pub(crate) mod slot_probe;
pub(crate) mod worker;

use std::cell::{Cell, RefCell};
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
pub(crate) use launch::ProcessControl;
pub(crate) use lease::Lease;
use lease::QueueEntry;
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
    pending: RefCell<VecDeque<Action>>,
    is_busy: Cell<bool>,
    closing: Cell<bool>,
    /// A group was forgotten since the last `take_forgot`.
    forgot: Cell<bool>,
    launch: RefCell<Option<Rc<dyn ProcessControl>>>,
    /// Notified when the number of processes, sessions or requests decreases.
    fewer: Notify,
    /// Notified when the next sweep may be due earlier than the last one returned.
    pub(crate) sweep_sooner: Notify,
    /// Notified when a memory limit may apply to a further process.
    pub(crate) limits_appear: Notify,
    /// Notified when there may be a further app whose restart files are watched.
    pub(crate) watched_appear: Notify,
    requests: Cell<usize>,
    pub(crate) deployments: Deployments,
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
            is_busy: Cell::new(false),
            closing: Cell::new(false),
            forgot: Cell::new(false),
            launch: RefCell::default(),
            fewer: Notify::new(),
            sweep_sooner: Notify::new(),
            limits_appear: Notify::new(),
            watched_appear: Notify::new(),
            requests: Cell::new(0),
            deployments: Deployments::default(),
        })
    }

    /// Sets what starts and stops processes.
    pub(crate) fn set_process_control(&self, launch: Rc<dyn ProcessControl>) {
        *self.launch.borrow_mut() = Some(launch);
    }

    /// Applies changed limits of the pool.
    pub(crate) fn set_limits(&self, limits: Limits) {
        self.with_pool(|pool, now| pool.set_limits(limits, now));
        self.sweep_sooner.notify_one();
    }

    pub(crate) fn add_group(&self, options: GroupOptions) -> GroupId {
        let group = self.pool.borrow_mut().add_group(options);
        self.metrics.borrow_mut().insert(group, Rc::default());
        group
    }

    pub(crate) fn set_group_options(&self, group: GroupId, options: GroupOptions) {
        self.with_pool(|pool, now| pool.set_options(group, options, now));
    }

    /// Sets whether nginx's configuration contains the app.
    pub(crate) fn set_configured(&self, group: GroupId, configured: bool) {
        if !configured && let Some(launch) = self.launch.borrow().clone() {
            launch.restarted(group);
        }
        self.with_pool(|pool, now| pool.set_configured(group, configured, now));
        self.sweep_sooner.notify_one();
    }

    /// Keeps the group's processes running without a request.
    pub(crate) fn keep(&self, group: GroupId) {
        self.with_pool(|pool, now| pool.keep_running(group, now));
        self.sweep_sooner.notify_one();
    }

    /// Sets whether the group's requests wait.
    pub(crate) fn set_paused(&self, group: GroupId, paused: bool) {
        if self.pool.borrow().group(group).paused != paused {
            self.with_pool(|pool, now| pool.set_paused(group, paused, now));
        }
    }

    /// Answers every request that waits for the group with `refused`.
    pub(crate) fn reject_waiting(&self, group: GroupId, refused: &Refused) {
        let waiters = self.with_pool(|pool, now| pool.reject_waiting(group, now));
        for waiter in waiters {
            self.answer(waiter, Err(refused.clone()));
        }
    }

    /// Whether the group has no process and no waiting request.
    pub(crate) fn is_unused(&self, group: GroupId) -> bool {
        self.pool.borrow().is_unused(group)
    }

    /// Removes the group's route, and the group itself once it is deserted.
    pub(crate) fn forget(&self, group: GroupId) {
        self.routes.borrow_mut().remove(&group);
        if self.pool.borrow_mut().remove_group(group) {
            self.metrics.borrow_mut().remove(&group);
            self.deployments.forget(group);
            self.forgot.set(true);
            if let Some(launch) = self.launch.borrow().clone() {
                launch.forgotten(group);
            }
        }
    }

    /// Whether a group was forgotten since the last call.
    pub(crate) fn take_forgot(&self) -> bool {
        self.forgot.take()
    }

    /// Whether the group exists: true until it is forgotten.
    pub(crate) fn contains(&self, group: GroupId) -> bool {
        self.pool.borrow().contains(group)
    }

    pub(crate) fn set_route(&self, group: GroupId, route: Rc<Route>) {
        self.routes.borrow_mut().insert(group, route);
        self.limits_appear.notify_one();
        self.watched_appear.notify_one();
    }

    /// Returns the routes of apps whose restart files are checked without a request: those that have processes.
    pub(crate) fn watched(&self) -> Vec<Rc<Route>> {
        let pool = self.pool.borrow();
        let routes = self.routes.borrow();
        let watched = routes.values().filter(|route| route.settings.watches_restart_files);
        watched.filter(|route| pool.group(route.group).capacity_used() > 0).cloned().collect()
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
            let wanted = wanted.and_then(|number| self.slot_of(group, number));
            self.pool.borrow_mut().checkout(group, wanted, Instant::now())
        };
        let waiter = match checkout {
            Checkout::Granted(slot) => return self.lease(slot).ok_or(Refused::ShuttingDown),
            Checkout::Full => {
                self.queue_full(group);
                return Err(Refused::QueueFull);
            }
            Checkout::Queued(waiter) => waiter,
        };
        let (answer, asked) = oneshot::channel();
        self.waiting.borrow_mut().insert(waiter, answer);
        let _entry = QueueEntry { dispatcher: self, group, waiter };
        self.execute_actions();
        let asked = async { asked.await.unwrap_or(Err(Refused::ShuttingDown)) };
        match longest {
            None => asked.await,
            Some(limit) => {
                tokio::time::timeout(limit, asked).await.unwrap_or(Err(Refused::QueuedTooLong(limit)))
            }
        }
    }

    /// Returns a session of one process for an administrator, if one is free, even when its app is paused.
    pub(crate) fn take(&self, pid: i32) -> Option<Lease> {
        let slot = self.workers.borrow().values().find(|w| w.record.pid == pid).map(|w| w.slot)?;
        let taken = self.pool.borrow_mut().take(slot, Instant::now());
        taken.then(|| self.lease(slot)).flatten()
    }

    fn queue_full(&self, group: GroupId) {
        let launch = self.launch.borrow().clone();
        if let (Some(launch), Some(route)) = (launch, self.route(group)) {
            launch.queue_full(&route);
        }
    }

    /// Adds a process that is ready to serve.
    pub(crate) fn ready(&self, worker: Rc<Worker>, concurrency: Concurrency) {
        let slot = worker.slot;
        let took = clock::steady_ms().saturating_sub(worker.record.started_ms);
        self.metrics(worker.route.group).spawn_time.add(Duration::from_millis(took));
        self.workers.borrow_mut().insert(slot, worker);
        self.with_pool(|pool, now| pool.ready(slot, concurrency, now));
        self.sweep_sooner.notify_one();
        self.limits_appear.notify_one();
        self.watched_appear.notify_one();
    }

    /// Takes over a process from an earlier router.
    pub(crate) fn adopt(&self, group: GroupId, concurrency: Concurrency, make: impl FnOnce(Slot) -> Worker) {
        let slot = self.pool.borrow_mut().adopt(group, concurrency, Instant::now());
        self.workers.borrow_mut().insert(slot, Rc::new(make(slot)));
        self.execute_actions();
        self.sweep_sooner.notify_one();
        self.limits_appear.notify_one();
        self.watched_appear.notify_one();
    }

    /// Records that a process did not start.
    pub(crate) fn failed(&self, slot: Slot, failure: Rc<SpawnFailure>) {
        if let Some((group, generation)) = self.version_of(slot) {
            self.deployments.failed(group, generation, failure.clone());
            count(&self.metrics(group).spawns_failed);
        }
        self.failures.borrow_mut().insert(slot, failure);
        self.with_pool(|pool, now| pool.failed(slot, now));
        self.failures.borrow_mut().remove(&slot);
        self.fewer.notify_waiters();
        self.sweep_sooner.notify_one();
    }

    /// Removes a process that has ended.
    pub(crate) fn exited(&self, slot: Slot) {
        self.count_crash(slot);
        if let Some(worker) = self.workers.borrow_mut().remove(&slot) {
            worker.leave();
            self.detached(&worker);
        }
        self.with_pool(|pool, now| pool.exited(slot, now));
        self.fewer.notify_waiters();
        self.sweep_sooner.notify_one();
    }

    /// Counts a crash when the process was not told to end.
    fn count_crash(&self, slot: Slot) {
        let pool = self.pool.borrow();
        let untold = pool.process(slot).filter(|process| process.state == State::Serving);
        if let Some(process) = untold {
            count(&self.metrics(process.group).crashed);
        }
    }

    pub(crate) fn restart(&self, group: GroupId, how: RestartHow) {
        if let Some(launch) = self.launch.borrow().clone() {
            launch.restarted(group);
        }
        self.with_pool(|pool, now| pool.restart(group, how, now));
    }

    /// Takes a process out of service; false when no serving process has this process ID.
    pub(crate) fn detach(&self, pid: i32) -> bool {
        let slot = self.workers.borrow().values().find(|w| w.record.pid == pid).map(|w| w.slot);
        slot.is_some_and(|slot| self.with_pool(|pool, now| pool.detach(slot, now)))
    }

    fn request_out_of_band(&self, slot: Slot) {
        self.with_pool(|pool, now| pool.request_out_of_band(slot, now));
        self.sweep_sooner.notify_one();
    }

    /// Records that the process has ended its out-of-band work.
    pub(crate) fn end_out_of_band(&self, slot: Slot) {
        self.with_pool(|pool, now| pool.end_out_of_band(slot, now));
    }

    /// Takes a misbehaving process out of service.
    pub(crate) fn detach_slot(&self, slot: Slot) {
        self.with_pool(|pool, now| pool.detach(slot, now));
    }

    /// Kills a process and aborts the requests it serves.
    pub(crate) fn kill(&self, worker: &Worker) {
        self.detach_slot(worker.slot);
        if let Some(launch) = self.launch.borrow().clone() {
            launch.kill(worker);
        }
    }

    /// Kills a process that takes too long for `request`, and aborts all other requests it serves.
    pub(crate) fn kill_slow(&self, worker: &Worker, request: SlowRequest) {
        self.detach_slot(worker.slot);
        if let Some(launch) = self.launch.borrow().clone() {
            launch.kill_slow(worker, request);
        }
    }

    fn detached(&self, worker: &Worker) {
        if let Some(launch) = self.launch.borrow().clone() {
            launch.detached(worker);
        }
    }

    /// Ends idle processes; returns when to call again.
    pub(crate) fn sweep(&self) -> Option<Instant> {
        self.with_pool(|pool, now| pool.sweep(now))
    }

    /// Stops starting processes and accepting requests; each process ends after its last session.
    pub(crate) fn close(&self) {
        self.closing.set(true);
        self.with_pool(|pool, _| pool.close());
        self.waiting.borrow_mut().clear();
    }

    /// Whether every process has ended.
    pub(crate) fn is_empty(&self) -> bool {
        self.pool.borrow().is_empty()
    }

    /// Returns the number of active and waiting requests.
    pub(crate) fn requests(&self) -> usize {
        self.requests.get()
    }

    /// Waits until `done` returns true.
    pub(crate) async fn until(&self, done: impl Fn(&Self) -> bool) {
        loop {
            let fewer = self.fewer.notified();
            tokio::pin!(fewer);
            fewer.as_mut().enable();
            if done(self) {
                return;
            }
            fewer.await;
        }
    }

    /// Counts a request until the guard is dropped.
    pub(crate) fn count_request(&self) -> RequestCount<'_> {
        self.requests.set(self.requests.get() + 1);
        RequestCount(self)
    }

    /// Ends the connections that switched protocols, unless the app's settings keep them.
    pub(crate) fn abort_tunnels(&self) {
        self.workers.borrow().values().for_each(|worker| worker.drain());
    }

    /// Calls `look` with the pool and its processes, for the admin API.
    pub(crate) fn inspect<T>(&self, look: impl FnOnce(&Pool, &HashMap<Slot, Rc<Worker>>) -> T) -> T {
        look(&self.pool.borrow(), &self.workers.borrow())
    }

    fn with_pool<T>(&self, change: impl FnOnce(&mut Pool, Instant) -> T) -> T {
        let result = change(&mut self.pool.borrow_mut(), Instant::now());
        self.execute_actions();
        result
    }

    fn version_of(&self, slot: Slot) -> Option<(GroupId, u64)> {
        let pool = self.pool.borrow();
        pool.process(slot).map(|process| (process.group, process.generation))
    }

    fn slot_of(&self, group: GroupId, sticky_number: u32) -> Option<Slot> {
        let (pool, workers) = (self.pool.borrow(), self.workers.borrow());
        let is_meant = |slot: &&Slot| workers.get(slot).is_some_and(|w| w.sticky_number == sticky_number);
        pool.group(group).members.iter().find(is_meant).copied()
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
        self.0.fewer.notify_waiters();
    }
}
