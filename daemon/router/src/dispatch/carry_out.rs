//! The execution of the pool's actions: starts and ends processes, answers waiting requests.

use tracing::{debug, info};

use super::super::pool::{Action, GroupId, Waiter};
use super::{Dispatcher, Lease, Refused};

impl Dispatcher {
    /// Carries out the pool's actions. A nested call only adds to the list.
    pub(super) fn carry_out(&self) {
        self.todo.borrow_mut().extend(self.pool.borrow_mut().take_actions());
        if self.pool.borrow_mut().take_sweep_sooner() {
            self.sweep_sooner.notify_one();
        }
        if self.at_work.replace(true) {
            return;
        }
        loop {
            let next = self.todo.borrow_mut().pop_front();
            let Some(action) = next else { break };
            debug!("pool: {action:?}");
            self.carry_out_one(action);
        }
        self.at_work.set(false);
        self.deployments.look_again();
    }

    fn carry_out_one(&self, action: Action) {
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
                    (Some(launch), Some(route)) => launch.launch(slot, route),
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
            Action::Deployed(group) => self.tell_of(group, "every process is replaced"),
            Action::Undeployed(group) => {
                self.tell_of(group, "its new version does not start: what is left of the old one serves on");
            }
            Action::Abandon(slot) => {
                if let Some(launch) = launch {
                    launch.abandon(slot);
                }
            }
        }
    }

    fn tell_of(&self, group: GroupId, news: &str) {
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
