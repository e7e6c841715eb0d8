//! Outcome of a restart, determined by the version it created.

use std::rc::Rc;

use serde_json::{Value, json};

use crate::dispatch::Dispatcher;
use crate::pool::{Deployment, GroupId};
use crate::report::SpawnFailure;

/// The outcome of a restart.
#[derive(Debug, Clone)]
pub(super) enum Outcome {
    /// No process of an older version is left, and the required processes serve.
    Done,
    /// The new version fails to start.
    Failed(Rc<SpawnFailure>),
    /// The new version starts, but its processes exit soon after.
    Unstable,
    /// Another restart began before this one finished.
    Superseded,
}

impl Outcome {
    pub(super) fn to_json(&self) -> Value {
        match self {
            Self::Done => json!({ "outcome": "done" }),
            Self::Failed(failure) => {
                json!({ "outcome": "failed", "message": failure.summary, "error_id": failure.id })
            }
            Self::Unstable => {
                json!({ "outcome": "failed", "message": "its processes end soon after they have started" })
            }
            Self::Superseded => {
                json!({ "outcome": "failed", "message": "another restart came in between" })
            }
        }
    }
}

/// Waits until the restart that created this version of the group has finished.
pub(super) async fn of(dispatcher: &Dispatcher, group: GroupId, generation: u64) -> Outcome {
    dispatcher.wait_for(|dispatcher| seen(dispatcher, group, generation)).await
}

fn seen(dispatcher: &Dispatcher, id: GroupId, generation: u64) -> Option<Outcome> {
    let failure = dispatcher.deployments.failure_of(id, generation);
    dispatcher.inspect(|pool, _| {
        let group = pool.group(id);
        if group.generation != generation {
            return Some(Outcome::Superseded);
        }
        if let Some(failure) = failure {
            return Some(Outcome::Failed(failure));
        }
        if group.deployment == Deployment::Resisting {
            return Some(Outcome::Unstable);
        }
        (pool.outdated(id) == 0 && group.starting == 0 && !group.is_below_minimum()).then_some(Outcome::Done)
    })
}
