//! The requests under way, as JSON: which app and process, who asks for what, and since when.

use std::collections::BTreeMap;

use serde::Serialize;

use super::caller::Caller;
use super::times::Times;
use crate::metrics::active_requests::{Phase, RequestSnapshot};
use crate::state::RouterState;

/// What `/requests.json` answers.
#[derive(Debug, Serialize)]
pub(super) struct Requests {
    version: &'static str,
    instance: String,
    /// The oldest first.
    pub(super) requests: Vec<RequestView>,
    /// The apps that these are for.
    apps: Vec<AppView>,
}

/// An app, and how long things take there.
#[derive(Debug, Serialize)]
struct AppView {
    name: String,
    times: Times,
}

/// One request.
#[derive(Debug, Serialize)]
pub(super) struct RequestView {
    app: String,
    /// The process; `null` while it waits for one.
    pid: Option<i32>,
    method: String,
    /// With its query, at most 1,024 bytes with the method.
    path: String,
    /// The client's address, as nginx says.
    client: String,
    /// `queued`, `sending`, `app` or `responding`.
    phase: &'static str,
    /// Milliseconds since it came.
    age_ms: u64,
    /// Milliseconds since it is in this phase.
    phase_ms: u64,
}

impl Requests {
    /// Those of the apps that the caller may see.
    pub(super) fn take(router: &RouterState, caller: Caller) -> Self {
        let seen = router.active_requests.snapshot().into_iter();
        let mine: Vec<_> = seen.filter(|seen| caller.sees_group(router, seen.route.group)).collect();
        let apps: BTreeMap<_, _> =
            mine.iter().map(|seen| (seen.route.name.clone(), seen.route.group)).collect();
        let times = |group| Times::of(&router.dispatcher.metrics(group));
        Self {
            version: env!("CARGO_PKG_VERSION"),
            instance: router.config.instance_name.clone(),
            requests: mine.into_iter().map(RequestView::of).collect(),
            apps: apps.into_iter().map(|(name, group)| AppView { name, times: times(group) }).collect(),
        }
    }
}

impl RequestView {
    /// Its answer is on its way.
    pub(super) fn is_responding(&self) -> bool {
        self.phase == Phase::Responding.name()
    }

    fn of(seen: RequestSnapshot) -> Self {
        let milliseconds = |span: std::time::Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        Self {
            app: seen.route.name.clone(),
            pid: seen.pid,
            method: seen.method,
            path: seen.path,
            client: seen.client,
            phase: seen.phase.name(),
            age_ms: milliseconds(seen.age),
            phase_ms: milliseconds(seen.in_phase),
        }
    }
}
