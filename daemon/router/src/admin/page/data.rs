//! Data of the status page, as one JSON document: a snapshot of the pool, the counters and the requests. Counters are
//! cumulative; the page computes rates from differences. App settings are left out, since some are secrets.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::super::pool::{GroupView, Snapshot};
use super::super::requests;
use crate::admin::caller::Caller;
use crate::metrics::active_requests::{Phase, RequestSnapshot};
use crate::metrics::counters::{BOUNDS, Histogram};
use crate::metrics::problems::CurrentProblem;
use crate::pool::GroupId;
use crate::report::{SpawnFailure, StepResult};
use crate::state::RouterState;

/// Maximum number of requests listed of each kind. A longer list is not useful, and would make the document too large.
const MAX_REQUESTS: usize = 100;

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
    /// Current problems of the daemon itself.
    problems: Vec<CurrentProblem>,
    /// The upper bounds of `cumulative`, in seconds.
    bounds: &'static [f64],
    apps: Vec<AppView>,
    requests: RequestsView,
}

/// An app.
#[derive(Debug, Serialize)]
struct AppView {
    #[serde(flatten)]
    group: GroupView,
    /// Finished requests, whatever their outcome.
    finished: u64,
    /// Time from the request to the start of its response.
    response_time: HistogramView,
    /// Time that requests waited for a process.
    queue_time: HistogramView,
    spawn_failures: u64,
    /// The report of the last failed start.
    last_error_id: Option<String>,
    /// The parts of this report that contain no text of the app, which may be secret.
    last_error: Option<ErrorView>,
    crashes: u64,
    /// Requests without a response of the app, by reason.
    rejected: BTreeMap<&'static str, u64>,
}

/// A failed start.
#[derive(Debug, Serialize)]
struct ErrorView {
    id: String,
    /// Seconds since it failed.
    seconds: u64,
    steps: Vec<StepResult>,
    pid: Option<i32>,
    /// How its process ended.
    end: Option<String>,
    user: Option<String>,
}

/// A histogram.
#[derive(Debug, Serialize)]
struct HistogramView {
    count: u64,
    /// Sum of all durations.
    seconds: f64,
    /// Number of durations up to each bound.
    cumulative: [u64; BOUNDS.len()],
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
    oldest: Vec<RequestSnapshot>,
}

impl Data {
    /// Returns the data that the caller may see.
    pub(super) fn take(router: &RouterState, caller: Caller) -> Self {
        let snapshot = Snapshot::without_settings(router, caller);
        let groups = snapshot.groups.into_iter().zip(snapshot.ids);
        let (responding, waiting) = requests::visible(router, caller)
            .into_iter()
            .partition(|request| request.phase == Phase::Responding);
        Self {
            version: snapshot.version,
            instance: snapshot.instance,
            router_generation: router.config.generation,
            router_ms: u64::try_from(router.page_cache.uptime().as_millis()).unwrap_or(u64::MAX),
            max_pool_size: snapshot.max_pool_size,
            capacity_used: snapshot.capacity_used,
            problems: snapshot.problems,
            bounds: &BOUNDS,
            apps: groups.map(|(group, id)| AppView::of(router, group, id)).collect(),
            requests: RequestsView { waiting: Share::of(waiting), responding: Share::of(responding) },
        }
    }
}

impl AppView {
    fn of(router: &RouterState, group: GroupView, id: GroupId) -> Self {
        let metrics = router.dispatcher.metrics(id);
        let last_failure = router.dispatcher.deployments.last_failure(id);
        let last_error = last_failure.map(|(failure, ago)| ErrorView::of(&failure, ago));
        Self {
            group,
            finished: metrics.request_time.count(),
            response_time: HistogramView::of(&metrics.response_time),
            queue_time: HistogramView::of(&metrics.queue_time),
            spawn_failures: metrics.spawns_failed.get(),
            last_error_id: last_error.as_ref().map(|error| error.id.clone()),
            last_error,
            crashes: metrics.crashed.get(),
            rejected: metrics.rejections().into(),
        }
    }
}

impl ErrorView {
    fn of(failure: &SpawnFailure, ago: Duration) -> Self {
        let (pid, end) = failure.process.clone().unzip();
        Self {
            id: failure.id.clone(),
            seconds: ago.as_secs(),
            steps: failure.steps.clone(),
            pid,
            end: end.flatten(),
            user: failure.user.as_ref().map(|user| user.name.clone()),
        }
    }
}

impl HistogramView {
    fn of(histogram: &Histogram) -> Self {
        Self { count: histogram.count(), seconds: histogram.sum(), cumulative: histogram.cumulative() }
    }
}

impl Share {
    fn of(mut requests: Vec<RequestSnapshot>) -> Self {
        let count = requests.len();
        requests.truncate(MAX_REQUESTS);
        Self { count, oldest: requests }
    }
}
