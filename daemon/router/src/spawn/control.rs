//! The orders of the dispatcher to start and end processes.

use std::rc::Rc;

use tokio::time::Instant;
use tracing::{info, warn};

use super::super::dispatch::ProcessControl;
use super::super::dispatch::out_of_band;
use super::super::dispatch::worker::Worker;
use super::hooks::SlowRequest;
use super::{Lifecycle, Spawner};
use crate::app::route::Route;
use crate::pool::{GroupId, Slot};
use common::link::{Order, StopHow};

impl ProcessControl for Spawner {
    fn start(&self, slot: Slot, route: Rc<Route>) {
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

    fn drain(&self, worker: &Rc<Worker>) {
        worker.drain();
        self.hooks.detached(worker);
        let Some(me) = self.me.upgrade() else { return };
        let worker = worker.clone();
        tokio::task::spawn_local(async move {
            tokio::time::sleep(me.drain_limit).await;
            if matches!(me.processes.borrow().get(&worker.slot), Some(Lifecycle::Serving { .. })) {
                let (name, pid, limit) = (&worker.route.name, worker.record.pid, me.drain_limit.as_secs());
                warn!(
                    "app {name}: process {pid} has not finished its requests within {limit} s and is stopped"
                );
                me.stop(&worker);
            }
        });
    }

    fn work_out_of_band(&self, worker: &Rc<Worker>) {
        let (dispatcher, worker) = (self.dispatcher.clone(), worker.clone());
        tokio::task::spawn_local(async move {
            out_of_band::work(&worker).await;
            dispatcher.update(|pool, now| pool.end_out_of_band(worker.slot, now));
        });
    }

    fn stop(&self, worker: &Worker) {
        self.hooks.detached(worker);
        worker.close();
        if matches!(self.processes.borrow().get(&worker.slot), Some(Lifecycle::Stopping { .. })) {
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
        self.set_stopping(worker.slot, worker.record.process);
        // With a hook, the supervisor kills the process when the hook's programs have ended.
        if !has_hook {
            self.supervisor.send(&Order::Stop(worker.record.process, StopHow::Kill));
        }
    }

    fn detached(&self, worker: &Worker) {
        self.hooks.detached(worker);
    }

    fn queue_full(&self, route: &Route) {
        self.hooks.queue_full(route);
    }

    fn abandon(&self, slot: Slot) {
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

    fn removed(&self, group: GroupId) {
        self.preloaders.remove_group(group);
    }

    fn restarted(&self, group: GroupId) {
        self.preloaders.end_of(group);
    }
}
