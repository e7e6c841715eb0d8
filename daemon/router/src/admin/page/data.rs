//! Data of the status page, as one JSON document: a snapshot of the pool, the counters and the requests. Counters are
//! cumulative; the page computes rates from differences. App settings are left out, since some are secrets.

use serde::Serialize;

use super::super::pool::{GroupView, ProcessView, Snapshot};
use super::super::requests::{RequestView, Requests};
use crate::admin::caller::Caller;
use crate::metrics::counters::{AppMetrics, BOUNDS, Histogram};
use crate::pool::GroupId;
use crate::state::RouterState;

/// Maximum number of requests listed of each kind. A longer list is not useful, and would make the document too large.
const MOST_REQUESTS: usize = 100;

/// The document.
#[derive(Debug, Serialize)]
pub(super) struct Data {
    version: &'static str,
    instance: String,
    /// Number of routers before this one; the counters start at 0 with each router.
    router_generation: u32,
    /// Milliseconds from the start of this router to the snapshot.
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
    /// Maximum number of requests in the queue; 0 for no limit.
    max_queue: usize,
    spawning: usize,
    restarts: u64,
    deployment: &'static str,
    mode: &'static str,
    processes: Vec<ProcessView>,
    /// Finished requests, whatever their outcome.
    finished: u64,
    /// Time from the request to the start of its response.
    answers: SpansView,
    /// Time that requests waited for a process.
    waits: SpansView,
    failed_starts: u64,
    /// The report of the last failed start.
    last_error_id: Option<String>,
    crashes: u64,
    rejected: RejectedView,
}

/// A summary of durations.
#[derive(Debug, Serialize)]
struct SpansView {
    count: u64,
    /// Sum of all durations.
    seconds: f64,
    /// Number of durations up to each bound.
    within: [u64; BOUNDS.len()],
}

/// Requests that no process answered.
#[derive(Debug, Serialize)]
struct RejectedView {
    queue_full: u64,
    queued_too_long: u64,
    no_process: u64,
    /// Rejected because an administrator set the app to maintenance.
    maintenance: u64,
}

/// The active requests.
#[derive(Debug, Serialize)]
struct RequestsView {
    /// Requests whose response has not begun: they may hang.
    waiting: Share,
    /// Requests whose response has begun: downloads and WebSockets may take hours.
    responding: Share,
}

/// Number of requests of one kind, and the oldest of them.
#[derive(Debug, Serialize)]
struct Share {
    count: usize,
    oldest: Vec<RequestView>,
}

impl Data {
    /// Returns the data that the caller may see.
    pub(super) fn take(router: &RouterState, caller: Caller) -> Self {
        let snapshot = Snapshot::without_settings(router, caller);
        let groups = snapshot.groups.into_iter().zip(snapshot.ids);
        Self {
            version: snapshot.version,
            instance: snapshot.instance,
            router_generation: router.config.generation,
            router_ms: u64::try_from(router.page_cache.uptime().as_millis()).unwrap_or(u64::MAX),
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
            answers: SpansView::of(&metrics.response_time),
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
    /// `all` is sorted, oldest first.
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
