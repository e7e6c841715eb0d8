//! One request, from its head to the end of its response.
//!
//! The stages are: route → restart files → checkout → connection → `relay_both` → `finish`. Each is in its own file;
//! this file only decides what a failure of each means. `ask_process` sends an administrator's request to one process.

pub(crate) mod ask_process;
pub(crate) mod finish;
pub(crate) mod relay_both;

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use protocol::frame::HEADER_LEN;
use protocol::request::{AppKind, BodyLength, Request};
use protocol::{PayloadError, pairs};
use tracing::info;

use super::app::route::Route;
use super::app::settings::AppSettings;
use super::app_protocol::request_body::{Body, Framing};
use super::app_protocol::{http, session};
use super::dispatch::worker::Worker;
use super::dispatch::{Lease, Refused};
use super::metrics::active_requests::Phase;
use super::metrics::counters::{AppMetrics, count};
use super::nginx_conn::descriptors;
use super::nginx_conn::{KeepAlive, NginxConn};
use super::response::relay::{Decoder, Relay};
use super::spawn::hooks::SlowRequest;
use super::state::RouterState;
use finish::{fail, fail_before_response, finish, send_refusal};
use relay_both::{ExchangeError, LeaveReason, must_leave_queue, relay_within};

/// Maximum number of attempts of one request at processes that end before they have read any of it.
const MAX_ATTEMPTS: usize = 5;

/// The properties of a request that are needed after its head was written to the app's buffer.
struct RequestInfo {
    route: Rc<Route>,
    /// The metrics of its app.
    metrics: Rc<AppMetrics>,
    to_head_request: bool,
    upgrade: bool,
    /// Sending it twice has the same effect as once, and it has no body.
    is_idempotent: bool,
    sent_json: bool,
    /// Its `Host`, for the hook; empty unless the app's time is limited.
    host: String,
    https: bool,
    /// The process that served the client before, for sticky sessions.
    sticky: Option<u32>,
    /// The protocol in which it is encoded, identified by the framing of a body without a length.
    encoded: Cell<Framing>,
    /// Length of its encoded head.
    head_len: Cell<usize>,
}

/// How an attempt at a process ended.
enum Attempt {
    /// With a response, or with a failure that was reported to the client.
    Done(KeepAlive),
    /// The process ended before it could read anything: another process may take the request.
    Retry(String),
}

/// Serves the request whose frame is at the front of the input and ends at `payload_end`.
///
/// # Errors
///
/// When the frame is not a request. The connection cannot be used further.
pub(crate) async fn run(
    router: &Rc<RouterState>,
    nginx: &mut NginxConn<'_>,
    payload_end: usize,
) -> Result<KeepAlive, PayloadError> {
    let request = Request::decode(&nginx.input.unread()[HEADER_LEN..payload_end])?;
    let route = router.routes.find(&request, nginx.configured_ms(), &router.dispatcher)?;
    let mut body = Body::new(request.head.body, chunked_framing(route.kind))
        .with_min_rate(router.config.min_upload_rate);
    let metrics = router.dispatcher.metrics(route.group);
    let info = RequestInfo::of(&request, route, metrics);
    nginx.to_app.clear();
    write_head(&request, info.route.kind, &info.route.settings, &mut nginx.to_app);
    info.head_len.set(nginx.to_app.len());
    let refused = check_request(router, &info, request.head.method);
    nginx.line.clear();
    write_request_line(&request, &mut nginx.line);
    let request_slot = nginx.request_slot.clone();
    let arrived = Instant::now();
    let _active = request_slot.begin(&info.route, &nginx.line, request.head.remote_addr, arrived);
    nginx.request.clear();
    nginx.request.extend_from_slice(&nginx.input.unread()[HEADER_LEN..payload_end]);
    nginx.input.consume(payload_end);
    nginx.frames.hides_version = !router.globals.show_version();

    let _counted = router.dispatcher.count_request();
    if let Some(refused) = refused {
        return Ok(send_refusal(router, nginx, &info, &mut body, &refused).await);
    }
    let mut tunnel = None;
    if info.upgrade {
        // A system call: only tunnels need the number.
        let descriptors = descriptors::maximum(router);
        tunnel = router.tunnels.open(info.route.group, descriptors);
        if tunnel.is_none() {
            let refused = Refused::TunnelsFull(descriptors);
            return Ok(send_refusal(router, nginx, &info, &mut body, &refused).await);
        }
    }
    router.restarts.look(&info.route, &router.dispatcher).await;
    let after = attempt_all(router, nginx, &info, &mut body).await;
    info.metrics.request_time.add(arrived.elapsed());
    drop(tunnel);
    Ok(after)
}

/// Returns why a request is refused regardless of the app's processes.
fn check_request(router: &RouterState, info: &RequestInfo, method: &[u8]) -> Option<Refused> {
    if method == session::OUT_OF_BAND_METHOD.as_bytes() {
        return Some(Refused::OwnMethod);
    }
    router.routes.other_kind(&info.route).map(Refused::OtherKind)
}

fn count_refusal(metrics: &AppMetrics, refused: &Refused) {
    match refused {
        Refused::QueueFull => count(&metrics.queue_full),
        Refused::QueuedTooLong(_) => count(&metrics.queued_too_long),
        Refused::SpawnFailed(_) => count(&metrics.without_process),
        Refused::Maintenance(_) => count(&metrics.under_maintenance),
        Refused::NoDescriptors
        | Refused::TunnelsFull(_)
        | Refused::OtherKind(_)
        | Refused::OwnMethod
        | Refused::SlowUpload(_)
        | Refused::ShuttingDown => {}
    }
}

async fn attempt_all(
    router: &Rc<RouterState>,
    nginx: &mut NginxConn<'_>,
    info: &RequestInfo,
    body: &mut Body,
) -> KeepAlive {
    let arrived = Instant::now();
    for attempts_left in (0..MAX_ATTEMPTS).rev() {
        nginx.request_slot.enter(Phase::Queued);
        let granted = match router.app_modes.check(&info.route, &router.dispatcher) {
            Some(refused) => Some(Err(refused)),
            None => checkout(router, nginx, info, body).await,
        };
        let lease = match granted {
            Some(Ok(lease)) => lease,
            Some(Err(refused)) => {
                count_refusal(&info.metrics, &refused);
                return send_refusal(router, nginx, info, body, &refused).await;
            }
            None => return KeepAlive::Close,
        };
        let pid = lease.worker.record.pid;
        let waited = arrived.elapsed();
        info.metrics.queue_time.add(waited);
        match attempt(router, nginx, info, body, lease, waited, attempts_left > 0).await {
            Attempt::Done(after) => return after,
            Attempt::Retry(why) => {
                info!("app {}: process {pid} did not accept a request ({why}); retrying", info.route.name);
            }
        }
    }
    KeepAlive::Close
}

/// Checks out a process for the request; `None` when the client disconnected while it waited.
async fn checkout(
    router: &RouterState,
    nginx: &mut NginxConn<'_>,
    info: &RequestInfo,
    body: &Body,
) -> Option<Result<Lease, Refused>> {
    let route = &info.route;
    let others_wait = || router.dispatcher.inspect(|pool, _| pool.has_a_queue(route.group));
    tokio::select! {
        biased;
        lease = router.dispatcher.checkout(route.group, info.sticky, route.settings.max_queue_time) => Some(lease),
        left = must_leave_queue(nginx.stream, &mut nginx.input, body, others_wait) => match left {
            LeaveReason::ClientGone => None,
            LeaveReason::SlowUpload(slow) => Some(Err(Refused::SlowUpload(slow))),
        },
    }
}

/// Sends the request to one process and its response to nginx.
async fn attempt(
    router: &Rc<RouterState>,
    nginx: &mut NginxConn<'_>,
    info: &RequestInfo,
    body: &mut Body,
    lease: Lease,
    waited: Duration,
    may_retry: bool,
) -> Attempt {
    let pid = lease.worker.record.pid;
    if !reencode_for(&lease.worker, nginx, info, body) {
        let why = "the app was replaced by one of another type while the request was queued";
        return Attempt::Done(fail_before_response(nginx, info, body, pid, why).await);
    }
    let connection = descriptors::retry(router, async || lease.connection().await).await;
    let (app, used_before) = match connection {
        Ok(connection) => connection,
        Err(err) if descriptors::are_used_up(&err) => {
            return Attempt::Done(send_refusal(router, nginx, info, body, &Refused::NoDescriptors).await);
        }
        Err(err) => {
            router.dispatcher.detach_slot(lease.worker.slot);
            let why = format!("cannot connect to it: {err}");
            if may_retry {
                return Attempt::Retry(why);
            }
            return Attempt::Done(fail_before_response(nginx, info, body, pid, &why).await);
        }
    };
    let sent_at = Instant::now();
    nginx.request_slot.send_to(pid, sent_at);
    add_sticky_cookie(&mut nginx.frames.added, info, lease.worker.sticky_number);
    let decoder = Decoder::new(lease.worker.speaks_session(), info.to_head_request, info.upgrade);
    let mut relay = Relay::new(
        decoder,
        info.to_head_request,
        pid.unsigned_abs(),
        waited,
        sent_at,
        nginx.request_slot.clone(),
        info.metrics.clone(),
    );
    relay.session = Some(lease.session());
    let limit = info.route.settings.max_request_time;
    let options = router.backlog_options();
    let others_wait = || {
        lease.occupies_a_slot() && router.dispatcher.inspect(|pool, _| pool.is_waited_for(lease.worker.slot))
    };
    let ended = relay_within(nginx, &app, body, &mut relay, &options, limit, others_wait).await;
    let may_retry = may_retry && !relay.received;
    match ended {
        Err(ExchangeError::NotSent(err)) if may_retry => Attempt::Retry(err.to_string()),
        // The app closed its idle connection at this very moment. Only an idempotent request is sent again.
        Err(ExchangeError::Response(err))
            if may_retry && used_before && info.is_idempotent && !lease.worker.speaks_session() =>
        {
            Attempt::Retry(err.to_string())
        }
        Ok(complete) => Attempt::Done(finish(nginx, body, &relay, app, lease, complete).await),
        Err(error) => {
            if matches!(error, ExchangeError::TimedOut(_)) {
                router.dispatcher.kill_too_slow(&lease.worker, slow_request(nginx, info));
            }
            drop(app);
            Attempt::Done(fail(router, nginx, info, body, &relay, lease, error).await)
        }
    }
}

/// Encodes the request again if its process is of another kind than its route: the app's type has changed, and the
/// process is of the previous version. False when that is no longer possible.
fn reencode_for(worker: &Worker, nginx: &mut NginxConn<'_>, info: &RequestInfo, body: &mut Body) -> bool {
    let framing = chunked_framing(worker.route.kind);
    if info.encoded.get() == framing {
        return true;
    }
    let Ok(request) = Request::decode(&nginx.request) else { return false };
    if body.has_begun(&nginx.to_app, info.head_len.get()) {
        return false;
    }
    *body = Body::new(request.head.body, framing).with_rate(body.rate());
    nginx.to_app.clear();
    write_head(&request, worker.route.kind, &info.route.settings, &mut nginx.to_app);
    info.encoded.set(framing);
    info.head_len.set(nginx.to_app.len());
    true
}

/// Adds the cookie that sends the client's next requests to this process, unless its cookie already does so.
fn add_sticky_cookie(added: &mut Vec<u8>, info: &RequestInfo, number: u32) {
    added.clear();
    if let Some(sticky) = &info.route.settings.sticky
        && info.sticky != Some(number)
    {
        let cookie = sticky.cookie(number, &info.route.base_uri, info.https);
        pairs::put(added, b"Set-Cookie", cookie.as_bytes());
    }
}

/// Encodes the request for an app of this kind, without a body.
pub(crate) fn write_head(request: &Request<'_>, kind: AppKind, settings: &AppSettings, out: &mut Vec<u8>) {
    match kind {
        AppKind::Ruby | AppKind::Python => session::write_request(request, &settings.env, out),
        AppKind::Node | AppKind::Meteor | AppKind::Generic => {
            http::write_request(request, settings.strips_base_uri, out);
        }
    }
}

/// Writes `GET /path`, for the log.
fn write_request_line(request: &Request<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(request.head.method);
    out.push(b' ');
    out.extend_from_slice(request.head.uri);
}

/// Returns the data for the hook of a request that takes too long.
fn slow_request(nginx: &NginxConn<'_>, info: &RequestInfo) -> SlowRequest {
    let uri = nginx.line.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
    SlowRequest { path: String::from_utf8_lossy(uri).into_owned(), host: info.host.clone() }
}

fn chunked_framing(kind: AppKind) -> Framing {
    match kind {
        AppKind::Ruby | AppKind::Python => Framing::SessionChunks,
        AppKind::Node | AppKind::Meteor | AppKind::Generic => Framing::HttpChunks,
    }
}

impl RequestInfo {
    fn of(request: &Request<'_>, route: Rc<Route>, metrics: Rc<AppMetrics>) -> Self {
        let head = &request.head;
        let sticky = route.settings.sticky.as_ref().and_then(|sticky| sticky.asked(request));
        let host = route.settings.max_request_time.and_then(|_| request.headers.get(b"host"));
        let host = host.map(|host| String::from_utf8_lossy(host).into_owned()).unwrap_or_default();
        let json = request.headers.get(b"content-type").is_some_and(|t| t.starts_with(b"application/json"));
        Self {
            encoded: Cell::new(chunked_framing(route.kind)),
            head_len: Cell::new(0),
            route,
            metrics,
            to_head_request: head.method == b"HEAD",
            upgrade: head.upgrade,
            is_idempotent: head.body == BodyLength::None
                && matches!(head.method, b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE"),
            sent_json: json,
            host,
            https: head.https,
            sticky,
        }
    }
}
