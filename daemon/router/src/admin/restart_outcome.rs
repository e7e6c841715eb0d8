//! Outcome of a restart, determined by the version it created.

use serde_json::{Value, json};

use crate::dispatch::Dispatcher;
use crate::pool::{Deployment, GroupId};

/// The outcome of a restart after which the required processes serve.
const DONE: &str = "done";

/// Waits until the restart that created this version of the group has finished; returns its outcome. Where no process of
/// the group is left, one is started, so that the outcome says whether the version starts.
pub(super) async fn wait(dispatcher: &Dispatcher, group: GroupId, generation: u64) -> Value {
    let finished = || dispatcher.wait_for(|dispatcher| outcome(dispatcher, group, generation));
    let first = finished().await;
    if first["outcome"] == DONE && starts_one(dispatcher, group) { finished().await } else { first }
}

/// Starts a process if the group has none; returns whether one is starting, for which there may be no room.
fn starts_one(dispatcher: &Dispatcher, id: GroupId) -> bool {
    dispatcher.update(|pool, now| {
        if pool.group(id).capacity_used() > 0 {
            return false;
        }
        pool.keep_running(id, now);
        pool.group(id).starting > 0
    })
}

fn outcome(dispatcher: &Dispatcher, id: GroupId, generation: u64) -> Option<Value> {
    let failed = |message: &str| Some(json!({ "outcome": "failed", "message": message }));
    let failure = dispatcher.deployments.failure_of(id, generation);
    dispatcher.inspect(|pool, _| {
        let group = pool.group(id);
        if group.generation != generation {
            return failed("another restart replaced this one");
        }
        if let Some(failure) = failure {
            return Some(json!({ "outcome": "failed", "message": failure.summary, "error_id": failure.id }));
        }
        if group.deployment == Deployment::Resisting {
            return failed("the new processes exit soon after they have started");
        }
        // No process of an older version is left, and the required processes serve.
        let is_done = pool.outdated(id) == 0 && group.starting == 0 && !pool.lacks_processes(id);
        is_done.then(|| json!({ "outcome": DONE }))
    })
}
