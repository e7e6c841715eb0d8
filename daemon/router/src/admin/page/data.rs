//! What the status page shows, as one JSON document: the pool, the counters and the requests at one moment. Counters only
//! grow; the page makes rates of their differences. No setting of an app is in it: some are secrets.

use serde::Serialize;

use super::super::pool::{GroupView, ProcessView, Snapshot};
use super::super::requests::{RequestView, Requests};
use crate::admin::caller::Caller;
use crate::metrics::counters::{AppMetrics, BOUNDS, Histogram};
use crate::pool::GroupId;
use crate::state::RouterState;

/// Most requests of each kind that are told one by one. Nobody reads more, and a flood of them must not become one of JSON.
const MOST_REQUESTS: usize = 100;

/// The document.
#[derive(Debug, Serialize)]
pub(super) struct Data {
    version: &'static str,
    instance: String,
    /// How many routers there were before this one; with each the counters begin anew.
    router_generation: u32,
    /// Milliseconds since this router began, at the moment of which everything is.
    router_ms: u64,
    max_pool_size: usize,
    capacity_used: usize,
    /// The upper bounds of `within`, in seconds.
    bounds: &'static [f64],
    apps: Vec<AppView>,
    requests: RequestsView,
}

/// An app.
#[derive(Debug, Serialize)]
struct AppView {
    name: String,
    app_root: String,
    app_type: &'static str,
    environment: String,
    queue: usize,
    /// How many requests may wait in the queue; 0 for any number.
    max_queue: usize,
    spawning: usize,
    restarts: u64,
    deployment: &'static str,
    mode: &'static str,
    processes: Vec<ProcessView>,
    /// Requests that are over, whatever became of them.
    finished: u64,
    /// How long requests took until their answer began.
    answers: SpansView,
    /// How long they waited for a process.
    waits: SpansView,
    failed_starts: u64,
    /// The report of the last of them.
    last_error_id: Option<String>,
    crashes: u64,
    rejected: RejectedView,
}

/// Spans of time.
#[derive(Debug, Serialize)]
struct SpansView {
    count: u64,
    /// Of all together.
    seconds: f64,
    /// How many were at most as long as each of the bounds.
    within: [u64; BOUNDS.len()],
}

/// Requests that no process answered.
#[derive(Debug, Serialize)]
struct RejectedView {
    queue_full: u64,
    queued_too_long: u64,
    no_process: u64,
    /// As an administrator wants it.
    maintenance: u64,
}

/// The requests under way.
#[derive(Debug, Serialize)]
struct RequestsView {
    /// Those whose answer has not begun: they may hang.
    waiting: Share,
    /// Those whose answer is on its way: downloads and WebSockets may be so for hours.
    responding: Share,
}

/// The oldest of them, and how many there are.
#[derive(Debug, Serialize)]
struct Share {
    count: usize,
    oldest: Vec<RequestView>,
}

impl Data {
    /// What the caller may see.
    pub(super) fn take(router: &RouterState, caller: Caller) -> Self {
        let snapshot = Snapshot::without_settings(router, caller);
        let groups = snapshot.groups.into_iter().zip(snapshot.ids);
        Self {
            version: snapshot.version,
            instance: snapshot.instance,
            router_generation: router.config.generation,
            router_ms: u64::try_from(router.page_cache.age().as_millis()).unwrap_or(u64::MAX),
            max_pool_size: snapshot.max_pool_size,
            capacity_used: snapshot.capacity_used,
            bounds: &BOUNDS,
            apps: groups.map(|(view, id)| AppView::of(router, view, id)).collect(),
            requests: RequestsView::of(Requests::take(router, caller).requests),
        }
    }
}

impl AppView {
    fn of(router: &RouterState, view: GroupView, id: GroupId) -> Self {
        let metrics = router.dispatcher.metrics(id);
        Self {
            name: view.name,
            app_root: view.app_root,
            app_type: view.app_type,
            environment: view.environment,
            queue: view.queue,
            max_queue: view.max_request_queue_size,
            spawning: view.spawning,
            restarts: view.restarts,
            deployment: view.deployment,
            mode: view.mode,
            processes: view.processes,
            finished: metrics.request_time.count(),
            answers: SpansView::of(&metrics.answer_time),
            waits: SpansView::of(&metrics.queue_time),
            failed_starts: metrics.spawns_failed.get(),
            last_error_id: router.dispatcher.deployments.last_error_id(id),
            crashes: metrics.crashed.get(),
            rejected: RejectedView::of(&metrics),
        }
    }
}

impl SpansView {
    fn of(histogram: &Histogram) -> Self {
        Self { count: histogram.count(), seconds: histogram.sum(), within: histogram.cumulative() }
    }
}

impl RejectedView {
    fn of(metrics: &AppMetrics) -> Self {
        Self {
            queue_full: metrics.queue_full.get(),
            queued_too_long: metrics.queued_too_long.get(),
            no_process: metrics.without_process.get(),
            maintenance: metrics.under_maintenance.get(),
        }
    }
}

impl RequestsView {
    /// `all` are sorted, the oldest first.
    fn of(all: Vec<RequestView>) -> Self {
        let (responding, waiting) = all.into_iter().partition(RequestView::is_responding);
        Self { waiting: Share::of(waiting), responding: Share::of(responding) }
    }
}

impl Share {
    fn of(mut all: Vec<RequestView>) -> Self {
        let count = all.len();
        all.truncate(MOST_REQUESTS);
        Self { count, oldest: all }
    }
}
