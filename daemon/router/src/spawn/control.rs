//! The orders of the dispatcher to start and end processes, carried out on the main thread.
//!
//! Another thread may have given an order before an event of the same process was handled here, and after: an order about
//! a process that has ended has no effect.

use std::rc::Weak;
use std::sync::Arc;

use tokio::time::Instant;
use tracing::{info, warn};

use super::super::dispatch::worker::Worker;
use super::super::dispatch::{Dispatcher, ProcessOrder, out_of_band};
use super::hooks::SlowRequest;
use super::{Lifecycle, Spawner};
use crate::app::route::Route;
use crate::pool::Slot;
use common::link::{Order, StopHow};

/// Carries out orders as long as the spawner exists.
pub(super) async fn carry_out_orders(spawner: Weak<Spawner>, dispatcher: Arc<Dispatcher>) {
    loop {
        dispatcher.ordered().await;
        let Some(spawner) = spawner.upgrade() else { return };
        spawner.carry_out_orders();
    }
}

impl Spawner {
    /// Carries out all orders, in sequence. What the supervisor reports is handled after the orders that precede it.
    pub(super) fn carry_out_orders(&self) {
        if self.is_carrying_out.replace(true) {
            return;
        }
        while let Some(order) = self.dispatcher.take_order() {
            self.carry_out(order);
        }
        self.is_carrying_out.set(false);
    }

    fn carry_out(&self, order: ProcessOrder) {
        match order {
            ProcessOrder::Start(slot, route) => self.start(slot, route),
            ProcessOrder::Drain(worker) => self.drain(worker),
            ProcessOrder::WorkOutOfBand(worker) => self.work_out_of_band(worker),
            ProcessOrder::Stop(worker) => self.stop(&worker),
            ProcessOrder::Kill(worker, slow) => self.kill(&worker, slow),
            ProcessOrder::Abandon(slot) => self.abandon(slot),
            ProcessOrder::Detached(worker) => self.hooks.detached(&worker),
            ProcessOrder::Removed(group) => self.preloaders.remove_group(group),
            ProcessOrder::Restarted(group) => self.preloaders.end_of(group),
        }
    }

    fn start(&self, slot: Slot, route: Arc<Route>) {
        if self.may_log(&route.name, &self.starts) {
            info!(
                event = "process_starting",
                app_name = route.name,
                "app {}: starting a process",
                route.name
            );
        }
        let until = Instant::now() + route.settings.router.start_timeout;
        if route.settings.is_smart(route.kind) {
            self.start_smart(slot, route, until);
        } else {
            // There may be a preloader from before the configuration changed.
            self.preloaders.end_of(route.group);
            self.start_directly(slot, route, until);
        }
    }

    fn drain(&self, worker: Arc<Worker>) {
        worker.drain();
        self.hooks.detached(&worker);
        let Some(me) = self.me.upgrade() else { return };
        tokio::task::spawn_local(async move {
            tokio::time::sleep(me.drain_limit).await;
            if me.is_serving(worker.slot) {
                let (name, pid, limit) = (&worker.route.name, worker.record.pid, me.drain_limit.as_secs());
                warn!(
                    "app {name}: process {pid} has not finished its requests within {limit} s and is stopped"
                );
                me.stop(&worker);
            }
        });
    }

    fn work_out_of_band(&self, worker: Arc<Worker>) {
        let dispatcher = self.dispatcher.clone();
        tokio::task::spawn_local(async move {
            out_of_band::work(&worker).await;
            dispatcher.update(|pool, now| pool.end_out_of_band(worker.slot, now));
        });
    }

    fn stop(&self, worker: &Worker) {
        self.hooks.detached(worker);
        worker.close();
        if !self.is_serving(worker.slot) {
            return;
        }
        let (process, pid) = (worker.record.process, worker.record.pid);
        self.set_stopping(worker.slot, process);
        self.supervisor.send(&Order::Stop(process, StopHow::Gracefully));
        self.kill_when_overdue(worker.slot, process, worker.route.name.clone(), pid);
    }

    fn kill(&self, worker: &Worker, slow: Option<SlowRequest>) {
        let has_hook = slow.is_some_and(|request| self.hooks.too_slow(worker, request));
        self.hooks.detached(worker);
        worker.close();
        if !self.processes.borrow().contains_key(&worker.slot) {
            return;
        }
        self.set_stopping(worker.slot, worker.record.process);
        // With a hook, the supervisor kills the process when the hook's programs have ended.
        if !has_hook {
            self.supervisor.send(&Order::Stop(worker.record.process, StopHow::Kill));
        }
    }

    fn abandon(&self, slot: Slot) {
        // It has become ready meanwhile.
        if self.is_serving(slot) {
            return self.dispatcher.worker(slot).iter().for_each(|worker| self.stop(worker));
        }
        let mut processes = self.processes.borrow_mut();
        match processes.get_mut(&slot) {
            Some(Lifecycle::Ordered { wanted, .. }) => *wanted = false,
            Some(Lifecycle::Preloading { ended }) => ended.abandon(),
            Some(Lifecycle::Starting { process, ended }) => {
                let process = *process;
                ended.abandon();
                self.supervisor.send(&Order::Stop(process, StopHow::Kill));
            }
            _ => {}
        }
    }

    fn is_serving(&self, slot: Slot) -> bool {
        matches!(self.processes.borrow().get(&slot), Some(Lifecycle::Serving { .. }))
    }
}
