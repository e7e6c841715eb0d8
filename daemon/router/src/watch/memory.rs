//! Memory limits: processes that exceed them are replaced after their requests, or killed at once.
//!
//! Nothing is measured while no app has a limit.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use tokio::sync::oneshot;
use tracing::{info, warn};

use crate::app::settings::MemoryLimits;
use crate::dispatch::Dispatcher;
use crate::dispatch::worker::Worker;
use crate::supervisor_link::Supervisor;
use common::link::{Order, ProcessId, Ticket};

/// Receives the number of bytes that each process uses.
type Sender = oneshot::Sender<Vec<(ProcessId, u64)>>;

/// Measures memory through the supervisor, which has the permission.
#[derive(Debug)]
pub(crate) struct MemoryMonitor {
    supervisor: Rc<Supervisor>,
    waiting: RefCell<HashMap<Ticket, Sender>>,
}

impl MemoryMonitor {
    pub(crate) fn new(supervisor: Rc<Supervisor>) -> Self {
        Self { supervisor, waiting: RefCell::default() }
    }

    /// Handles the supervisor's result.
    pub(crate) fn measured(&self, ticket: Ticket, used: Vec<(ProcessId, u64)>) {
        if let Some(sender) = self.waiting.borrow_mut().remove(&ticket) {
            // The task that asked lives until the router ends.
            let _ = sender.send(used);
        }
    }

    async fn measure(&self, processes: Vec<ProcessId>) -> Option<Vec<(ProcessId, u64)>> {
        let ticket = self.supervisor.ticket();
        let (sender, answer) = oneshot::channel();
        self.waiting.borrow_mut().insert(ticket, sender);
        if self.supervisor.order(&Order::Measure { ticket, processes }).is_err() {
            self.waiting.borrow_mut().remove(&ticket);
            return None;
        }
        answer.await.ok()
    }
}

/// Checks all processes whose apps have a limit, until the router ends.
pub(crate) async fn watch(dispatcher: Rc<Dispatcher>, memory_monitor: Rc<MemoryMonitor>) {
    loop {
        let limited = limited(&dispatcher);
        let Some(every) = limited.iter().map(|(_, limits)| limits.every).min() else {
            dispatcher.limits_appear.notified().await;
            continue;
        };
        tokio::time::sleep(every).await;
        let processes = limited.iter().map(|(worker, _)| worker.record.process).collect();
        for (process, used) in memory_monitor.measure(processes).await.into_iter().flatten() {
            let measured = limited.iter().find(|(worker, _)| worker.record.process == process);
            if let Some((worker, limits)) = measured {
                enforce(&dispatcher, worker, *limits, used);
            }
        }
    }
}

/// Returns the processes that take requests, with the current limits of their app.
fn limited(dispatcher: &Dispatcher) -> Vec<(Rc<Worker>, MemoryLimits)> {
    let serving: Vec<_> = dispatcher.inspect(|pool, workers| {
        let serves = |worker: &&Rc<Worker>| pool.serves(worker.slot, worker.route.group);
        workers.values().filter(serves).cloned().collect()
    });
    let limits = |worker: &Rc<Worker>| {
        let route = dispatcher.route(worker.route.group)?;
        Some(route.settings.memory).filter(|limits| limits.is_any())
    };
    serving.into_iter().filter_map(|worker| limits(&worker).map(|limits| (worker, limits))).collect()
}

fn enforce(dispatcher: &Dispatcher, worker: &Worker, limits: MemoryLimits, used: u64) {
    let (name, pid, mib) = (&worker.route.name, worker.record.pid, used >> 20);
    let is_over = |limit: Option<u64>| limit.filter(|limit| used > *limit).map(|limit| limit >> 20);
    if let Some(limit) = is_over(limits.hard) {
        warn!(
            "app {name}: process {pid} holds {mib} MiB, more than {limit} (passenger_hard_memory_limit): killed"
        );
        dispatcher.kill(worker);
    } else if let Some(limit) = is_over(limits.soft) {
        info!(
            "app {name}: process {pid} holds {mib} MiB, more than {limit} (passenger_memory_limit): it is replaced"
        );
        dispatcher.detach_slot(worker.slot);
    }
}
