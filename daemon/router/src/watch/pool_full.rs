//! The problem of a pool that stays full while requests wait for room. It costs nothing while no request waits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::warn;

use crate::dispatch::Dispatcher;
use crate::metrics::problems::Problems;
use common::link::Problem;

/// Pause between two checks, from the first request that waits until none does.
const PAUSE: Duration = Duration::from_secs(1);
/// Number of checks in a row that find waiting requests, before it is a problem: a short queue is none.
const LASTING: u32 = 3;
/// Least time between two log lines.
const LOG_PAUSE: Duration = Duration::from_secs(60);

/// Checks until the router ends.
pub(crate) async fn run(dispatcher: Arc<Dispatcher>, problems: Arc<Problems>) {
    let mut logged: Option<Instant> = None;
    loop {
        dispatcher.queued.notified().await;
        let mut times = 0;
        while let Some(what) = shortage(&dispatcher) {
            times += 1;
            if times >= LASTING {
                if logged.is_none_or(|at| at.elapsed() >= LOG_PAUSE) {
                    warn!("{what}");
                    logged = Some(Instant::now());
                }
                problems.show(Problem::PoolFull, what);
            }
            tokio::time::sleep(PAUSE).await;
        }
        problems.set(Problem::PoolFull, None);
        // The next request that waits does not have to be noticed sooner.
        tokio::time::sleep(PAUSE).await;
    }
}

fn shortage(dispatcher: &Dispatcher) -> Option<String> {
    let (shortage, used, max) = dispatcher
        .inspect(|pool, _| Some((pool.shortage()?, pool.capacity_used(), pool.limits().max_processes)))?;
    let plural = |count: usize, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
    Some(format!(
        "the pool is full: {used} of {max} processes, and {} of {} wait for room; raise passenger_max_pool_size if the \
         machine has enough memory",
        plural(shortage.requests, "request"),
        plural(shortage.groups, "app")
    ))
}
