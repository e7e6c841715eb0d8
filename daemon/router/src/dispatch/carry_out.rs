//! The execution of the pool's actions: starts and ends processes, answers waiting requests.

use tracing::{debug, info};

use super::super::pool::{Action, GroupId, Waiter};
use super::{Dispatcher, Lease, Refused};

impl Dispatcher {
    /// Carries out the pool's actions. A nested call only adds to the list.
    pub(super) fn execute_actions(&self) {
        self.pending.borrow_mut().extend(self.pool.borrow_mut().take_actions());
        if self.pool.borrow_mut().take_sweep_sooner() {
            self.sweep_sooner.notify_one();
        }
        if self.is_busy.replace(true) {
            return;
        }
        loop {
            let next = self.pending.borrow_mut().pop_front();
            let Some(action) = next else { break };
            debug!("pool: {action:?}");
            self.execute(action);
        }
        self.is_busy.set(false);
        self.deployments.look_again();
    }

    fn execute(&self, action: Action) {
        let launch = self.launch.borrow().clone();
        match action {
            Action::Grant(waiter, slot) => {
                if let Some(lease) = self.lease(slot) {
                    self.answer(waiter, Ok(lease));
                }
            }
            Action::Fail(waiter, slot) => {
                let failure = self.failures.borrow().get(&slot).cloned();
                self.answer(waiter, Err(failure.map_or(Refused::ShuttingDown, Refused::SpawnFailed)));
            }
            Action::Spawn(slot, group) => {
                match (launch, self.route(group)) {
                    (Some(launch), Some(route)) => launch.start(slot, route),
                    // The group was forgotten just as a request arrived.
                    _ => self.with_pool(|pool, now| pool.failed(slot, now)),
                }
            }
            Action::Stop(slot) => {
                let worker = self.workers.borrow().get(&slot).cloned();
                if let (Some(launch), Some(worker)) = (launch, worker) {
                    worker.leave();
                    launch.stop(&worker);
                }
            }
            Action::WorkOutOfBand(slot) => {
                let worker = self.workers.borrow().get(&slot).cloned();
                if let (Some(launch), Some(worker)) = (launch, worker) {
                    launch.work_out_of_band(worker);
                }
            }
            Action::Drain(slot) => {
                let worker = self.workers.borrow().get(&slot).cloned();
                if let (Some(launch), Some(worker)) = (launch, worker) {
                    worker.drain();
                    launch.drain(&worker);
                }
            }
            Action::Deployed(group) => self.log_for(group, "every process is replaced"),
            Action::Undeployed(group) => {
                self.log_for(group, "its new version does not start: what is left of the old one serves on");
            }
            Action::Abandon(slot) => {
                if let Some(launch) = launch {
                    launch.abandon(slot);
                }
            }
        }
    }

    fn log_for(&self, group: GroupId, news: &str) {
        let route = self.route(group);
        let name = route.as_ref().map_or("?", |route| route.name.as_str());
        info!("app {name}: {news}");
    }

    pub(super) fn answer(&self, waiter: Waiter, answer: Result<Lease, Refused>) {
        let sender = self.waiting.borrow_mut().remove(&waiter);
        if let Some(sender) = sender {
            // If the request was cancelled, the lease is dropped, which gives the session back.
            drop(sender.send(answer));
        }
    }
}
