//! JSON list of active requests: app, process, client, request line, phase and age.

use std::collections::BTreeMap;

use serde::Serialize;

use super::caller::{Caller, Scope};
use super::times::Times;
use crate::metrics::active_requests::RequestSnapshot;
use crate::state::RouterState;

/// The body of `/requests.json`.
#[derive(Debug, Serialize)]
pub(super) struct Requests {
    version: &'static str,
    instance: String,
    /// Whether `requests` lists all requests, or only those of the caller's apps.
    scope: Scope,
    /// Oldest first.
    requests: Vec<RequestSnapshot>,
    /// The apps of these requests.
    apps: Vec<AppView>,
}

/// An app and its latencies.
#[derive(Debug, Serialize)]
struct AppView {
    name: String,
    times: Times,
}

impl Requests {
    /// Returns the requests of the apps that the caller may see.
    pub(super) fn take(router: &RouterState, caller: Caller) -> Self {
        let requests = visible(router, caller);
        let apps: BTreeMap<_, _> = requests.iter().map(|seen| (seen.app.clone(), seen.group)).collect();
        let times = |group| Times::of(&router.dispatcher.metrics(group));
        Self {
            version: env!("CARGO_PKG_VERSION"),
            instance: router.config.instance_name.clone(),
            scope: caller.scope(),
            requests,
            apps: apps.into_iter().map(|(name, group)| AppView { name, times: times(group) }).collect(),
        }
    }
}

/// Returns the active requests of the apps that the caller may see, the oldest first.
pub(super) fn visible(router: &RouterState, caller: Caller) -> Vec<RequestSnapshot> {
    let mut all = router.active_requests.snapshot();
    all.retain(|request| caller.sees_group(router, request.group));
    all
}
