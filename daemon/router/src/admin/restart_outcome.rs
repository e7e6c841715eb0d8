//! Outcome of a restart, determined by the version it created.

use serde_json::{Value, json};

use crate::dispatch::Dispatcher;
use crate::pool::{Deployment, GroupId};

/// Waits until the restart that created this version of the group has finished; returns its outcome.
pub(super) async fn wait(dispatcher: &Dispatcher, group: GroupId, generation: u64) -> Value {
    dispatcher.wait_for(|dispatcher| outcome(dispatcher, group, generation)).await
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
        let is_done = pool.outdated(id) == 0 && group.starting == 0 && !group.is_below_minimum();
        is_done.then(|| json!({ "outcome": "done" }))
    })
}
