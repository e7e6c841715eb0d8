//! The pool with the routes, processes and waiting requests that its IDs identify: everything that changes together,
//! under one lock. The pool's actions are carried out here as far as they concern requests; the others become orders.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use tracing::Level;

use super::Refused;
use super::effects::{Effects, Line};
use super::evictions::EvictionLog;
use super::process_control::ProcessOrder;
use super::worker::Worker;
use crate::app::route::Route;
use crate::metrics::counters::AppMetrics;
use crate::pool::{Action, ByNumber, GroupId, Pool, Slot, Waiter};

/// A request in a queue.
#[derive(Debug)]
pub(super) enum Waiting {
    /// The task to be woken when it is answered.
    For(Waker),
    /// Its process, whose session is counted, or why it gets none.
    Answered(Result<Arc<Worker>, Refused>),
}

/// The tables of the dispatcher.
#[derive(Debug)]
pub(super) struct Tables {
    pub(super) pool: Pool,
    /// The route of each group's last request; the next process is started with it.
    pub(super) routes: ByNumber<GroupId, Arc<Route>>,
    pub(super) metrics: ByNumber<GroupId, Arc<AppMetrics>>,
    pub(super) workers: ByNumber<Slot, Arc<Worker>>,
    pub(super) waiting: ByNumber<Waiter, Waiting>,
    /// Orders that the main thread has not carried out yet.
    pub(super) orders: VecDeque<ProcessOrder>,
    pub(super) evictions: EvictionLog,
    pub(super) closing: bool,
    /// Empty; kept for its memory.
    actions: Vec<Action>,
}

impl Tables {
    pub(super) fn new(pool: Pool) -> Self {
        Self {
            pool,
            routes: ByNumber::default(),
            metrics: ByNumber::default(),
            workers: ByNumber::default(),
            waiting: ByNumber::default(),
            orders: VecDeque::new(),
            evictions: EvictionLog::default(),
            closing: false,
            actions: Vec::new(),
        }
    }

    pub(super) fn metrics(&self, group: GroupId) -> Arc<AppMetrics> {
        self.metrics.get(&group).cloned().unwrap_or_default()
    }

    /// Returns the process for which `is_wanted`.
    pub(super) fn find(&self, is_wanted: impl Fn(&Worker) -> bool) -> Option<&Arc<Worker>> {
        self.workers.values().find(|worker| is_wanted(worker))
    }

    /// Returns the group's process with this sticky number.
    pub(super) fn wanted(&self, group: GroupId, number: Option<u32>) -> Option<Slot> {
        let number = number?;
        let is_wanted = |worker: &Worker| worker.route.group == group && worker.sticky_number == number;
        self.find(is_wanted).map(|worker| worker.slot)
    }

    /// Carries out the pool's actions.
    pub(super) fn settle(&mut self, effects: &mut Effects) {
        self.report_evictions(effects);
        let now = Instant::now;
        let mut actions = std::mem::take(&mut self.actions);
        loop {
            self.pool.swap_actions(&mut actions);
            if actions.is_empty() {
                break;
            }
            for action in actions.drain(..) {
                if tracing::enabled!(Level::DEBUG) {
                    effects.log(Line::Debug(format!("pool: {action:?}")));
                }
                self.execute(action, effects, now);
            }
        }
        self.actions = actions;
        effects.sweep_sooner |= self.pool.take_sweep_sooner();
        effects.has_orders = !self.orders.is_empty();
    }

    fn execute(&mut self, action: Action, effects: &mut Effects, now: impl Fn() -> Instant) {
        match action {
            Action::Grant(waiter, slot) => {
                let worker = self.workers.get(&slot).cloned();
                if !self.answer(waiter, worker.ok_or(Refused::ShuttingDown), effects) {
                    self.pool.release(slot, now());
                }
            }
            Action::Fail(waiter, _) => {
                let failure = effects.failure.clone();
                let refused = failure.map_or(Refused::ShuttingDown, Refused::SpawnFailed);
                let _ = self.answer(waiter, Err(refused), effects);
            }
            Action::Spawn(slot, group) => match self.routes.get(&group) {
                Some(route) => self.orders.push_back(ProcessOrder::Start(slot, route.clone())),
                // The group was removed just as a request arrived.
                None => self.pool.failed(slot, now()),
            },
            Action::Stop(slot) => self.order(slot, ProcessOrder::Stop),
            Action::WorkOutOfBand(slot) => self.order(slot, ProcessOrder::WorkOutOfBand),
            Action::Drain(slot) => self.order(slot, ProcessOrder::Drain),
            Action::Abandon(slot) => self.orders.push_back(ProcessOrder::Abandon(slot)),
            Action::Deployed(group) => self.log(group, "every process is replaced", effects),
            Action::Undeployed(group) => {
                let what = "the new version does not start; processes of the old version continue to serve";
                self.log(group, what, effects);
            }
        }
    }

    fn order(&mut self, slot: Slot, order: impl FnOnce(Arc<Worker>) -> ProcessOrder) {
        self.orders.extend(self.workers.get(&slot).cloned().map(order));
    }

    fn log(&self, group: GroupId, message: &str, effects: &mut Effects) {
        effects.log(Line::Info(format!("app {}: {message}", self.name(group))));
    }

    pub(super) fn name(&self, group: GroupId) -> &str {
        self.routes.get(&group).map_or("?", |route| route.name.as_str())
    }

    /// Answers a request that waits; the task of its connection fetches the answer. False when it waits no longer.
    pub(super) fn answer(
        &mut self,
        waiter: Waiter,
        answer: Result<Arc<Worker>, Refused>,
        effects: &mut Effects,
    ) -> bool {
        let Some(waiting) = self.waiting.get_mut(&waiter) else { return false };
        if let Waiting::For(waker) = std::mem::replace(waiting, Waiting::Answered(answer)) {
            effects.wake(waker);
        }
        true
    }

    /// Answers all requests that wait with a refusal.
    pub(super) fn refuse_all(&mut self, effects: &mut Effects) {
        for waiting in self.waiting.values_mut().filter(|waiting| matches!(waiting, Waiting::For(_))) {
            let refused = Waiting::Answered(Err(Refused::ShuttingDown));
            if let Waiting::For(waker) = std::mem::replace(waiting, refused) {
                effects.wake(waker);
            }
        }
    }
}
