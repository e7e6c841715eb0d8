//! The pool put to work: requests in, leases on processes out; what the pool decides is carried out in [`carry_out`].
//!
//! Everything runs on one thread, so the pool needs no lock. Decisions are collected while it is borrowed and carried
//! out afterwards: a lease that comes back while one is carried out finds the pool free.

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
pub(crate) use launch::Launch;
pub(crate) use lease::Lease;
use lease::Place;
pub(crate) use refused::Refused;
pub(crate) use session::Session;
use worker::Worker;

/// The pool with the world around it.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    me: Weak<Self>,
    pool: RefCell<Pool>,
    /// The route each group was last asked for with: what its next process is started with.
    routes: RefCell<HashMap<GroupId, Rc<Route>>>,
    /// What is counted for each group.
    metrics: RefCell<HashMap<GroupId, Rc<AppMetrics>>>,
    workers: RefCell<HashMap<Slot, Rc<Worker>>>,
    waiting: RefCell<HashMap<Waiter, oneshot::Sender<Result<Lease, Refused>>>>,
    failures: RefCell<HashMap<Slot, Rc<SpawnFailure>>>,
    todo: RefCell<VecDeque<Action>>,
    at_work: Cell<bool>,
    closing: Cell<bool>,
    /// A group was forgotten since somebody asked.
    forgot: Cell<bool>,
    launch: RefCell<Option<Rc<dyn Launch>>>,
    /// Told when processes, sessions or requests become fewer.
    fewer: Notify,
    /// Told when the next sweep may be due earlier than thought.
    pub(crate) sweep_sooner: Notify,
    /// Told when a process may have come under a limit.
    pub(crate) limits_appear: Notify,
    /// Told when there may be an app whose restart files are to be watched.
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
            todo: RefCell::default(),
            at_work: Cell::new(false),
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

    /// Names who starts and stops processes.
    pub(crate) fn set_launch(&self, launch: Rc<dyn Launch>) {
        *self.launch.borrow_mut() = Some(launch);
    }

    /// Takes changed bounds of the pool over.
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

    /// nginx's configuration holds the app, or no more.
    pub(crate) fn set_configured(&self, group: GroupId, configured: bool) {
        if !configured && let Some(launch) = self.launch.borrow().clone() {
            launch.restarted(group);
        }
        self.with_pool(|pool, now| pool.set_configured(group, configured, now));
        self.sweep_sooner.notify_one();
    }

    /// The group's processes are to be there without a request.
    pub(crate) fn keep(&self, group: GroupId) {
        self.with_pool(|pool, now| pool.keep(group, now));
        self.sweep_sooner.notify_one();
    }

    /// Its requests wait from here on, or no more.
    pub(crate) fn set_paused(&self, group: GroupId, paused: bool) {
        if self.pool.borrow().group(group).paused != paused {
            self.with_pool(|pool, now| pool.set_paused(group, paused, now));
        }
    }

    /// Answers every request that waits for the group with this.
    pub(crate) fn turn_away(&self, group: GroupId, refused: &Refused) {
        let waiters = self.with_pool(|pool, now| pool.turn_away(group, now));
        for waiter in waiters {
            self.answer(waiter, Err(refused.clone()));
        }
    }

    /// No process and no request is left of the group.
    pub(crate) fn is_deserted(&self, group: GroupId) -> bool {
        self.pool.borrow().is_deserted(group)
    }

    /// What the group's processes were started with is of no use any more.
    pub(crate) fn forget(&self, group: GroupId) {
        self.routes.borrow_mut().remove(&group);
        if self.pool.borrow_mut().forget(group) {
            self.metrics.borrow_mut().remove(&group);
            self.deployments.forget(group);
            self.forgot.set(true);
            if let Some(launch) = self.launch.borrow().clone() {
                launch.forgotten(group);
            }
        }
    }

    /// True when groups were forgotten since the last call.
    pub(crate) fn take_forgot(&self) -> bool {
        self.forgot.take()
    }

    /// True until the group is forgotten.
    pub(crate) fn knows(&self, group: GroupId) -> bool {
        self.pool.borrow().knows(group)
    }

    pub(crate) fn set_route(&self, group: GroupId, route: Rc<Route>) {
        self.routes.borrow_mut().insert(group, route);
        self.limits_appear.notify_one();
        self.watched_appear.notify_one();
    }

    /// The routes of apps whose restart files are looked at without a request: those that have processes.
    pub(crate) fn watched(&self) -> Vec<Rc<Route>> {
        let pool = self.pool.borrow();
        let routes = self.routes.borrow();
        let watched = routes.values().filter(|route| route.settings.watches_restart_files);
        watched.filter(|route| pool.group(route.group).capacity_used() > 0).cloned().collect()
    }

    /// The route that a group's next process is started with.
    pub(crate) fn route(&self, group: GroupId) -> Option<Rc<Route>> {
        self.routes.borrow().get(&group).cloned()
    }

    /// What is counted for the group.
    pub(crate) fn metrics(&self, group: GroupId) -> Rc<AppMetrics> {
        self.metrics.borrow().get(&group).cloned().unwrap_or_default()
    }

    /// A session of one of the group's processes, waiting for one if need be, at the `longest` for this time. `wanted`
    /// is the number of the process that served the client before.
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
                self.turned_away(group);
                return Err(Refused::QueueFull);
            }
            Checkout::Queued(waiter) => waiter,
        };
        let (answer, asked) = oneshot::channel();
        self.waiting.borrow_mut().insert(waiter, answer);
        let _place = Place { dispatcher: self, group, waiter };
        self.carry_out();
        let asked = async { asked.await.unwrap_or(Err(Refused::ShuttingDown)) };
        match longest {
            None => asked.await,
            Some(limit) => {
                tokio::time::timeout(limit, asked).await.unwrap_or(Err(Refused::QueuedTooLong(limit)))
            }
        }
    }

    /// A session of one process, if one is free, for an administrator: even when its app is paused.
    pub(crate) fn take(&self, pid: i32) -> Option<Lease> {
        let slot = self.workers.borrow().values().find(|w| w.record.pid == pid).map(|w| w.slot)?;
        let taken = self.pool.borrow_mut().take(slot, Instant::now());
        taken.then(|| self.lease(slot)).flatten()
    }

    fn turned_away(&self, group: GroupId) {
        let launch = self.launch.borrow().clone();
        if let (Some(launch), Some(route)) = (launch, self.route(group)) {
            launch.turned_away(&route);
        }
    }

    /// A process is ready.
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

    /// A process of an earlier router is taken over.
    pub(crate) fn adopt(&self, group: GroupId, concurrency: Concurrency, make: impl FnOnce(Slot) -> Worker) {
        let slot = self.pool.borrow_mut().adopt(group, concurrency, Instant::now());
        self.workers.borrow_mut().insert(slot, Rc::new(make(slot)));
        self.carry_out();
        self.sweep_sooner.notify_one();
        self.limits_appear.notify_one();
        self.watched_appear.notify_one();
    }

    /// A process did not start.
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

    /// A process has ended.
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

    /// A process that served, or was about to, was not told to end.
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

    /// Takes a process out of service; false when there is none with this process ID.
    pub(crate) fn detach(&self, pid: i32) -> bool {
        let slot = self.workers.borrow().values().find(|w| w.record.pid == pid).map(|w| w.slot);
        slot.is_some_and(|slot| self.with_pool(|pool, now| pool.detach(slot, now)))
    }

    fn ask_out_of_band(&self, slot: Slot) {
        self.with_pool(|pool, now| pool.ask_out_of_band(slot, now));
        self.sweep_sooner.notify_one();
    }

    /// It has had that.
    pub(crate) fn end_out_of_band(&self, slot: Slot) {
        self.with_pool(|pool, now| pool.end_out_of_band(slot, now));
    }

    /// Takes a process that does not behave out of service.
    pub(crate) fn detach_slot(&self, slot: Slot) {
        self.with_pool(|pool, now| pool.detach(slot, now));
    }

    /// Kills a process, with all that it is serving.
    pub(crate) fn kill(&self, worker: &Worker) {
        self.detach_slot(worker.slot);
        if let Some(launch) = self.launch.borrow().clone() {
            launch.kill(worker);
        }
    }

    /// Kills a process that takes too long over `request`, with all else that it is serving.
    pub(crate) fn kill_too_slow(&self, worker: &Worker, request: SlowRequest) {
        self.detach_slot(worker.slot);
        if let Some(launch) = self.launch.borrow().clone() {
            launch.kill_too_slow(worker, request);
        }
    }

    fn detached(&self, worker: &Worker) {
        if let Some(launch) = self.launch.borrow().clone() {
            launch.detached(worker);
        }
    }

    /// Ends idle processes; tells when to call again.
    pub(crate) fn sweep(&self) -> Option<Instant> {
        self.with_pool(|pool, now| pool.sweep(now))
    }

    /// No process is started and no request taken any more; processes go with their last session.
    pub(crate) fn close(&self) {
        self.closing.set(true);
        self.with_pool(|pool, _| pool.close());
        self.waiting.borrow_mut().clear();
    }

    /// True when every process has ended.
    pub(crate) fn is_empty(&self) -> bool {
        self.pool.borrow().is_empty()
    }

    /// Requests that are under way or wait.
    pub(crate) fn requests(&self) -> usize {
        self.requests.get()
    }

    /// Waits until this is so.
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

    /// Counts a request from here to the guard's end.
    pub(crate) fn count_request(&self) -> RequestCount<'_> {
        self.requests.set(self.requests.get() + 1);
        RequestCount(self)
    }

    /// Ends the connections that switched protocols, where the app's settings allow it.
    pub(crate) fn abort_tunnels(&self) {
        self.workers.borrow().values().for_each(|worker| worker.drain());
    }

    /// Looks at the pool, for the administrator.
    pub(crate) fn inspect<T>(&self, look: impl FnOnce(&Pool, &HashMap<Slot, Rc<Worker>>) -> T) -> T {
        look(&self.pool.borrow(), &self.workers.borrow())
    }

    fn with_pool<T>(&self, change: impl FnOnce(&mut Pool, Instant) -> T) -> T {
        let result = change(&mut self.pool.borrow_mut(), Instant::now());
        self.carry_out();
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
