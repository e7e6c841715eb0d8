//! The execution of the pool's actions: starts and ends processes, answers waiting requests.

use tracing::{debug, info};

use super::super::pool::{Action, GroupId, Waiter};
use super::{Dispatcher, Lease, ProcessControl, Refused};

impl Dispatcher {
    /// Executes the pool's actions. A nested call only adds to the list.
    pub(super) fn execute_actions(&self) {
        self.report_evictions();
        self.pending.borrow_mut().extend(self.pool.borrow_mut().take_actions());
        if self.pool.borrow_mut().take_sweep_sooner() {
            self.sweep_sooner.notify_one();
        }
        let Some(control) = self.process_control.get() else { return };
        if self.is_executing.replace(true) {
            return;
        }
        loop {
            let next = self.pending.borrow_mut().pop_front();
            let Some(action) = next else { break };
            debug!("pool: {action:?}");
            self.execute(action, &**control);
        }
        self.is_executing.set(false);
        self.changed.notify_waiters();
    }

    fn execute(&self, action: Action, control: &dyn ProcessControl) {
        let worker = |slot| self.workers.borrow().get(&slot).cloned();
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
            Action::Spawn(slot, group) => match self.route(group) {
                Some(route) => control.start(slot, route),
                // The group was removed just as a request arrived.
                None => self.update(|pool, now| pool.failed(slot, now)),
            },
            Action::Stop(slot) => worker(slot).iter().for_each(|worker| control.stop(worker)),
            Action::WorkOutOfBand(slot) => {
                worker(slot).iter().for_each(|worker| control.work_out_of_band(worker))
            }
            Action::Drain(slot) => worker(slot).iter().for_each(|worker| control.drain(worker)),
            Action::Abandon(slot) => control.abandon(slot),
            Action::Deployed(group) => self.log(group, "every process is replaced"),
            Action::Undeployed(group) => {
                self.log(
                    group,
                    "the new version does not start; processes of the old version continue to serve",
                );
            }
        }
    }

    fn log(&self, group: GroupId, message: &str) {
        let route = self.route(group);
        let name = route.as_ref().map_or("?", |route| route.name.as_str());
        info!("app {name}: {message}");
    }

    pub(super) fn answer(&self, waiter: Waiter, answer: Result<Lease, Refused>) {
        let sender = self.waiting.borrow_mut().remove(&waiter);
        if let Some(sender) = sender {
            // If the request was cancelled, the lease is dropped, which gives the session back.
            drop(sender.send(answer));
        }
    }
}
