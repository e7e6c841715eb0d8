//! JSON list of active requests: app, process, client, request line, phase and age.

use std::collections::BTreeMap;

use serde::Serialize;

use super::caller::Caller;
use super::times::Times;
use crate::metrics::active_requests::{Phase, RequestSnapshot};
use crate::state::RouterState;

/// The body of `/requests.json`.
#[derive(Debug, Serialize)]
pub(super) struct Requests {
    version: &'static str,
    instance: String,
    /// Oldest first.
    pub(super) requests: Vec<RequestView>,
    /// The apps of these requests.
    apps: Vec<AppView>,
}

/// An app and its latencies.
#[derive(Debug, Serialize)]
struct AppView {
    name: String,
    times: Times,
}

/// One request.
#[derive(Debug, Serialize)]
pub(super) struct RequestView {
    app: String,
    /// The PID of the process; `null` while the request waits for one.
    pid: Option<i32>,
    method: String,
    /// With the query; at most 1,024 bytes including the method.
    path: String,
    /// The client's address, as sent by nginx.
    client: String,
    /// `queued`, `sending`, `app` or `responding`.
    phase: &'static str,
    /// Milliseconds since the request arrived.
    age_ms: u64,
    /// Milliseconds since the current phase began.
    phase_ms: u64,
}

impl Requests {
    /// Returns the requests of the apps that the caller may see.
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
    /// Whether the response has begun.
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
