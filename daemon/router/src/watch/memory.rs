//! Memory limits: processes that exceed them are replaced after their requests, or killed at once.
//!
//! Nothing is measured while no app has a limit.

use std::sync::Arc;

use tracing::{info, warn};

use crate::app::settings::MemoryLimits;
use crate::dispatch::Dispatcher;
use crate::dispatch::worker::Worker;
use crate::supervisor_link::PendingOrders;
use common::link::{Order, ProcessId};

/// Measures, through the supervisor, which has the permission, the number of bytes that each process uses.
pub(crate) type MemoryMonitor = PendingOrders<Vec<(ProcessId, u64)>>;

/// Checks all processes whose apps have a limit, until the router ends.
pub(crate) async fn watch(dispatcher: Arc<Dispatcher>, monitor: Arc<MemoryMonitor>) {
    loop {
        let limited = limited(&dispatcher);
        let Some(every) = limited.iter().map(|(_, limits)| limits.every).min() else {
            dispatcher.check_sooner.notified().await;
            continue;
        };
        tokio::time::sleep(every).await;
        let processes = limited.iter().map(|(worker, _)| worker.record.process).collect();
        let measured = monitor.result_of(|ticket| Order::Measure { ticket, processes }).await;
        for (process, used) in measured.into_iter().flatten() {
            let measured = limited.iter().find(|(worker, _)| worker.record.process == process);
            if let Some((worker, limits)) = measured {
                enforce(&dispatcher, worker, *limits, used);
            }
        }
    }
}

/// Returns the processes that take requests, with the current limits of their app.
fn limited(dispatcher: &Dispatcher) -> Vec<(Arc<Worker>, MemoryLimits)> {
    let serving: Vec<_> = dispatcher.inspect(|pool, workers| {
        let serves = |worker: &&Arc<Worker>| pool.serves(worker.slot, worker.route.group);
        workers.values().filter(serves).cloned().collect()
    });
    let limits = |worker: &Arc<Worker>| {
        let route = dispatcher.route(worker.route.group)?;
        Some(route.settings.memory_limits()).filter(|limits| limits.is_any())
    };
    serving.into_iter().filter_map(|worker| limits(&worker).map(|limits| (worker, limits))).collect()
}

fn enforce(dispatcher: &Dispatcher, worker: &Arc<Worker>, limits: MemoryLimits, used: u64) {
    let (name, pid, mib) = (&worker.route.name, worker.record.pid, used >> 20);
    let is_over = |limit: Option<u64>| limit.filter(|limit| used > *limit).map(|limit| limit >> 20);
    if let Some(limit) = is_over(limits.hard) {
        warn!(
            "app {name}: process {pid} uses {mib} MiB of memory, more than {limit} (passenger_hard_memory_limit): killing it"
        );
        dispatcher.kill(worker, None);
    } else if let Some(limit) = is_over(limits.soft) {
        info!(
            "app {name}: process {pid} uses {mib} MiB of memory, more than {limit} (passenger_memory_limit): replacing it"
        );
        dispatcher.update(|pool, now| pool.detach(worker.slot, now));
    }
}
