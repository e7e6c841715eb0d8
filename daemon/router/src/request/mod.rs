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
use finish::{broken_off, finish, give_up, refuse};
use relay_both::{Broken, Left, converse_in_time, leaves};

/// Most attempts of one request at processes that end before they have read any of it.
const MAX_ATTEMPTS: usize = 5;

/// What is kept of a request once its head was written to the app's buffer.
struct Facts {
    route: Rc<Route>,
    /// The metrics of its app.
    metrics: Rc<AppMetrics>,
    to_head_request: bool,
    upgrade: bool,
    /// Sending it twice has the same effect as once, and it has no body.
    repeatable: bool,
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

/// One of several attempts.
#[derive(Debug, Clone, Copy)]
struct Turn {
    /// How long the request has waited.
    waited: Duration,
    /// Another attempt may follow.
    may_repeat: bool,
}

/// How an attempt at a process ended.
enum Attempt {
    /// With a response, or with a failure that was answered.
    Over(KeepAlive),
    /// The process was gone before it could read anything: another process may take the request.
    Again(String),
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
    let mut body = Body::new(request.head.body, unsized_framing(route.kind))
        .with_least_rate(router.config.min_upload_rate);
    let metrics = router.dispatcher.metrics(route.group);
    let facts = Facts::of(&request, route, metrics);
    nginx.to_app.clear();
    write_head(&request, facts.route.kind, &facts.route.settings, &mut nginx.to_app);
    facts.head_len.set(nginx.to_app.len());
    let refused = refused_at_once(router, &facts, request.head.method);
    nginx.line.clear();
    write_line(&request, &mut nginx.line);
    let request_slot = nginx.request_slot.clone();
    let arrived = Instant::now();
    let _active = request_slot.begin(&facts.route, &nginx.line, request.head.remote_addr, arrived);
    nginx.request.clear();
    nginx.request.extend_from_slice(&nginx.input.unread()[HEADER_LEN..payload_end]);
    nginx.input.consume(payload_end);
    nginx.frames.hides_version = !router.globals.show_version();

    let _counted = router.dispatcher.count_request();
    if let Some(refused) = refused {
        return Ok(refuse(router, nginx, &facts, &mut body, &refused).await);
    }
    let mut tunnel = None;
    if facts.upgrade {
        // A system call: only tunnels need the number.
        let descriptors = descriptors::most(router);
        tunnel = router.tunnels.open(facts.route.group, descriptors);
        if tunnel.is_none() {
            let refused = Refused::TunnelsFull(descriptors);
            return Ok(refuse(router, nginx, &facts, &mut body, &refused).await);
        }
    }
    router.restarts.look(&facts.route, &router.dispatcher).await;
    let after = attempt_until_over(router, nginx, &facts, &mut body).await;
    facts.metrics.request_time.add(arrived.elapsed());
    drop(tunnel);
    Ok(after)
}

/// Returns why a request is refused regardless of the app's processes.
fn refused_at_once(router: &RouterState, facts: &Facts, method: &[u8]) -> Option<Refused> {
    if method == session::OUT_OF_BAND_METHOD.as_bytes() {
        return Some(Refused::OwnMethod);
    }
    router.routes.other_kind(&facts.route).map(Refused::OtherKind)
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

async fn attempt_until_over(
    router: &Rc<RouterState>,
    nginx: &mut NginxConn<'_>,
    facts: &Facts,
    body: &mut Body,
) -> KeepAlive {
    let arrived = Instant::now();
    for attempts_left in (0..MAX_ATTEMPTS).rev() {
        nginx.request_slot.enter(Phase::Queued);
        let granted = match router.app_modes.check(&facts.route, &router.dispatcher) {
            Some(refused) => Some(Err(refused)),
            None => checkout(router, nginx, facts, body).await,
        };
        let lease = match granted {
            Some(Ok(lease)) => lease,
            Some(Err(refused)) => {
                count_refusal(&facts.metrics, &refused);
                return refuse(router, nginx, facts, body, &refused).await;
            }
            None => return KeepAlive::Close,
        };
        let pid = lease.worker.record.pid;
        let waited = arrived.elapsed();
        facts.metrics.queue_time.add(waited);
        let turn = Turn { waited, may_repeat: attempts_left > 0 };
        match attempt(router, nginx, facts, body, lease, turn).await {
            Attempt::Over(after) => return after,
            Attempt::Again(why) => {
                info!("app {}: process {pid} did not take a request ({why}): trying again", facts.route.name);
            }
        }
    }
    KeepAlive::Close
}

/// Checks out a process for the request; `None` when the client disconnected while it waited.
async fn checkout(
    router: &RouterState,
    nginx: &mut NginxConn<'_>,
    facts: &Facts,
    body: &Body,
) -> Option<Result<Lease, Refused>> {
    let route = &facts.route;
    let others_wait = || router.dispatcher.inspect(|pool, _| pool.has_a_queue(route.group));
    tokio::select! {
        biased;
        lease = router.dispatcher.checkout(route.group, facts.sticky, route.settings.max_queue_time) => Some(lease),
        left = leaves(nginx.stream, &mut nginx.input, body, others_wait) => match left {
            Left::Gone => None,
            Left::SlowUpload(slow) => Some(Err(Refused::SlowUpload(slow))),
        },
    }
}

/// Sends the request to one process and its response to nginx.
async fn attempt(
    router: &Rc<RouterState>,
    nginx: &mut NginxConn<'_>,
    facts: &Facts,
    body: &mut Body,
    lease: Lease,
    turn: Turn,
) -> Attempt {
    let Turn { waited, may_repeat } = turn;
    if !speak_as(&lease.worker, nginx, facts, body) {
        let why = "its app was replaced by one of another type while the request waited";
        return Attempt::Over(broken_off(nginx, facts, body, lease.worker.record.pid, why).await);
    }
    let connection = descriptors::patiently(router, async || lease.connection().await).await;
    let (app, used_before) = match connection {
        Ok(connection) => connection,
        Err(err) if descriptors::are_used_up(&err) => {
            return Attempt::Over(refuse(router, nginx, facts, body, &Refused::NoDescriptors).await);
        }
        Err(err) => {
            router.dispatcher.detach_slot(lease.worker.slot);
            let why = format!("it takes no connection: {err}");
            return if may_repeat {
                Attempt::Again(why)
            } else {
                Attempt::Over(broken_off(nginx, facts, body, lease.worker.record.pid, &why).await)
            };
        }
    };
    let pid = lease.worker.record.pid;
    let asked = Instant::now();
    nginx.request_slot.send_to(pid, asked);
    stick(&mut nginx.frames.added, facts, lease.worker.sticky_number);
    let decoder = Decoder::new(lease.worker.speaks_session(), facts.to_head_request, facts.upgrade);
    let mut relay = Relay::new(
        decoder,
        facts.to_head_request,
        pid.unsigned_abs(),
        waited,
        asked,
        nginx.request_slot.clone(),
        facts.metrics.clone(),
    );
    relay.session = Some(lease.session());
    let limit = facts.route.settings.max_request_time;
    let options = router.backlog_options();
    let others_wait = || {
        lease.occupies_a_slot() && router.dispatcher.inspect(|pool, _| pool.is_waited_for(lease.worker.slot))
    };
    let ended = converse_in_time(nginx, &app, body, &mut relay, &options, limit, others_wait).await;
    let unheard = !relay.heard && may_repeat;
    match ended {
        Err(Broken::NotTaken(err)) if unheard => Attempt::Again(err.to_string()),
        // The app closed its idle connection at this very moment. Only a repeatable request is sent again.
        Err(Broken::Answer(err))
            if unheard && used_before && facts.repeatable && !lease.worker.speaks_session() =>
        {
            Attempt::Again(err.to_string())
        }
        Ok(complete) => Attempt::Over(finish(nginx, body, &relay, app, lease, complete).await),
        Err(broken) => {
            if matches!(broken, Broken::TooLong(_)) {
                router.dispatcher.kill_too_slow(&lease.worker, slow_request(nginx, facts));
            }
            drop(app);
            Attempt::Over(give_up(router, nginx, facts, body, &relay, lease, broken).await)
        }
    }
}

/// Encodes the request again if its process is of another kind than its route: the app's type has changed, and the
/// process is of the previous version. False when that is no longer possible.
fn speak_as(worker: &Worker, nginx: &mut NginxConn<'_>, facts: &Facts, body: &mut Body) -> bool {
    let framing = unsized_framing(worker.route.kind);
    if facts.encoded.get() == framing {
        return true;
    }
    let Ok(request) = Request::decode(&nginx.request) else { return false };
    if body.has_begun(&nginx.to_app, facts.head_len.get()) {
        return false;
    }
    *body = Body::new(request.head.body, framing).with_pace(body.pace());
    nginx.to_app.clear();
    write_head(&request, worker.route.kind, &facts.route.settings, &mut nginx.to_app);
    facts.encoded.set(framing);
    facts.head_len.set(nginx.to_app.len());
    true
}

/// Adds the cookie that sends the client's next requests to this process, unless its cookie already does so.
fn stick(added: &mut Vec<u8>, facts: &Facts, number: u32) {
    added.clear();
    if let Some(sticky) = &facts.route.settings.sticky
        && facts.sticky != Some(number)
    {
        let cookie = sticky.cookie(number, &facts.route.base_uri, facts.https);
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
fn write_line(request: &Request<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(request.head.method);
    out.push(b' ');
    out.extend_from_slice(request.head.uri);
}

/// Returns the data for the hook of a request that takes too long.
fn slow_request(nginx: &NginxConn<'_>, facts: &Facts) -> SlowRequest {
    let uri = nginx.line.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
    SlowRequest { path: String::from_utf8_lossy(uri).into_owned(), host: facts.host.clone() }
}

fn unsized_framing(kind: AppKind) -> Framing {
    match kind {
        AppKind::Ruby | AppKind::Python => Framing::SessionChunks,
        AppKind::Node | AppKind::Meteor | AppKind::Generic => Framing::HttpChunks,
    }
}

impl Facts {
    fn of(request: &Request<'_>, route: Rc<Route>, metrics: Rc<AppMetrics>) -> Self {
        let head = &request.head;
        let sticky = route.settings.sticky.as_ref().and_then(|sticky| sticky.asked(request));
        let host = route.settings.max_request_time.and_then(|_| request.headers.get(b"host"));
        let host = host.map(|host| String::from_utf8_lossy(host).into_owned()).unwrap_or_default();
        let json = request.headers.get(b"content-type").is_some_and(|t| t.starts_with(b"application/json"));
        Self {
            encoded: Cell::new(unsized_framing(route.kind)),
            head_len: Cell::new(0),
            route,
            metrics,
            to_head_request: head.method == b"HEAD",
            upgrade: head.upgrade,
            repeatable: head.body == BodyLength::None
                && matches!(head.method, b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE"),
            sent_json: json,
            host,
            https: head.https,
            sticky,
        }
    }
}
