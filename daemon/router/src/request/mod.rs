//! One request, from its head to the end of its response.
//!
//! The stages are: route → restart files → checkout → connection → `relay_both` → `finish`. Each is in its own file;
//! this file only decides what a failure of each means. What few requests need is in a box: a future is copied each time it
//! is awaited, as large as its largest part. `ask_process` sends an administrator's request to one process.

pub(crate) mod ask_process;
pub(crate) mod finish;
pub(crate) mod relay_both;

use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::app_kind::AppProtocol;
use protocol::frame::HEADER_LEN;
use protocol::request::{AppKind, BodyLength, Request};
use protocol::{PayloadError, pairs};
use tracing::info;

use super::app::route::{Route, RoutePin};
use super::app::settings::AppSettings;
use super::app_protocol::request_body::{Body, Framing};
use super::app_protocol::{http, session};
use super::apps::Found;
use super::dispatch::worker::Worker;
use super::dispatch::{Lease, Refused};
use super::metrics::active_requests::Phase;
use super::metrics::counters::{AppMetrics, count};
use super::nginx_conn::descriptors;
use super::nginx_conn::{KeepAlive, NginxConn};
use super::response::relay::{Decoder, Relay};
use super::spawn::hooks::SlowRequest;
use super::state::RouterState;
use relay_both::{ExchangeError, LeaveReason, must_leave_queue, relay_both};

/// Maximum number of attempts of one request at processes that end before they have read any of it.
const MAX_ATTEMPTS: usize = 5;

/// A request that is being served: its connection, its body, and the properties that are needed after its head was
/// written to the app's buffer.
struct Exchange<'a, 's> {
    router: &'a Arc<RouterState>,
    nginx: &'a mut NginxConn<'s>,
    body: Body,
    route: Arc<Route>,
    /// Held until the pool knows the request.
    pin: Option<RoutePin>,
    /// The metrics of its app.
    metrics: Arc<AppMetrics>,
    to_head_request: bool,
    upgrade: bool,
    /// Sending it twice has the same effect as once, and it has no body.
    is_idempotent: bool,
    https: bool,
    /// The process that served the client before, for sticky sessions.
    sticky: Option<u32>,
    /// The protocol in which it is encoded, identified by the framing of a body without a length.
    encoded: Framing,
    /// Length of its encoded head.
    head_len: usize,
}

/// When a request arrived, and when it got a process.
#[derive(Clone, Copy)]
struct Times {
    arrived: Instant,
    granted: Instant,
}

impl Times {
    fn waited(self) -> Duration {
        self.granted.duration_since(self.arrived)
    }
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
    router: &Arc<RouterState>,
    nginx: &mut NginxConn<'_>,
    payload_end: usize,
) -> Result<KeepAlive, PayloadError> {
    let arrived = Instant::now();
    let payload = &nginx.input.unread()[HEADER_LEN..payload_end];
    let request = Request::decode(payload)?;
    let head = &request.head;
    let Found { route, other_kind, pin } =
        router.routes.find(&request, nginx.configured_ms(), &router.dispatcher)?;
    nginx.to_app.clear();
    write_head(&request, route.kind, &route.settings, &mut nginx.to_app);
    // Method and URI, for the log.
    nginx.line.clear();
    [head.method, b" ", head.uri].iter().for_each(|part| nginx.line.extend_from_slice(part));
    nginx.request.clear();
    nginx.request.extend_from_slice(payload);
    let request_slot = nginx.request_slot.clone();
    let _active = request_slot.begin(&route, &nginx.line, head.remote_addr, arrived);
    let own_method = head.method == session::OUT_OF_BAND_METHOD.as_bytes();
    let mut exchange = Exchange {
        body: Body::new(head.body, chunked_framing(route.kind)).with_min_rate(router.config.min_upload_rate),
        metrics: route.metrics.clone(),
        to_head_request: head.method == b"HEAD",
        upgrade: head.upgrade,
        is_idempotent: head.body == BodyLength::None
            && matches!(head.method, b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE"),
        https: head.https,
        sticky: route.settings.sticky().and_then(|sticky| sticky.asked(&request)),
        encoded: chunked_framing(route.kind),
        head_len: nginx.to_app.len(),
        router,
        nginx,
        route,
        pin: Some(pin),
    };
    exchange.nginx.input.consume(payload_end);
    exchange.nginx.frames.hides_version = !router.globals.show_version();
    let _counted = router.dispatcher.count_request();
    let other_kind = other_kind.map(Refused::OtherKind);
    if let Some(refused) = own_method.then_some(Refused::OwnMethod).or(other_kind) {
        return Ok(Box::pin(exchange.refuse(&refused)).await);
    }
    let mut tunnel = None;
    if exchange.upgrade {
        // A system call: only tunnels need the number.
        let descriptors = descriptors::maximum(router);
        tunnel = router.tunnels.open(exchange.route.group, descriptors);
        if tunnel.is_none() {
            return Ok(Box::pin(exchange.refuse(&Refused::TunnelsFull(descriptors))).await);
        }
    }
    let mut now = arrived;
    if router.restarts.is_due(exchange.route.group, now) {
        router.restarts.check(&exchange.route, &router.dispatcher).await;
        now = Instant::now();
    }
    let after = exchange.attempt_all(arrived, now).await;
    exchange.metrics.request_time.add(arrived.elapsed());
    drop(tunnel);
    Ok(after)
}

impl Exchange<'_, '_> {
    async fn attempt_all(&mut self, arrived: Instant, mut now: Instant) -> KeepAlive {
        for attempts_left in (0..MAX_ATTEMPTS).rev() {
            let answer = match self.checkout_now(now) {
                None => {
                    let answer = self.wait_in_queue().await;
                    now = Instant::now();
                    answer
                }
                answer => answer,
            };
            let lease = match answer {
                Some(Ok(lease)) => lease,
                Some(Err(refused)) => {
                    self.count_refusal(&refused);
                    return Box::pin(self.refuse(&refused)).await;
                }
                None => return KeepAlive::Close,
            };
            let pid = lease.worker.record.pid;
            let times = Times { arrived, granted: now };
            self.metrics.queue_time.add(times.waited());
            match self.attempt(lease, times, attempts_left > 0).await {
                Attempt::Done(after) => return after,
                Attempt::Retry(why) => {
                    let app = &self.route.name;
                    info!("app {app}: process {pid} did not accept a request ({why}); retrying");
                    self.nginx.request_slot.enter(Phase::Queued);
                    now = Instant::now();
                }
            }
        }
        KeepAlive::Close
    }

    fn count_refusal(&self, refused: &Refused) {
        match refused {
            Refused::QueueFull => {
                count(&self.metrics.queue_full);
                self.router.hooks.queue_full(&self.route);
            }
            Refused::QueuedTooLong(_) => count(&self.metrics.queued_too_long),
            Refused::SpawnFailed(_) => count(&self.metrics.without_process),
            Refused::Maintenance(_) => count(&self.metrics.under_maintenance),
            Refused::NoDescriptors
            | Refused::TunnelsFull(_)
            | Refused::OtherKind(_)
            | Refused::OwnMethod
            | Refused::SlowUpload(_)
            | Refused::ShuttingDown => {}
        }
    }

    /// Checks out a process for the request; `None` when it must wait for one.
    fn checkout_now(&mut self, now: Instant) -> Option<Result<Lease, Refused>> {
        let Self { router, route, .. } = self;
        if let Some(refused) = router.app_modes.check(route, &router.dispatcher) {
            return Some(Err(refused));
        }
        let lease = router.dispatcher.checkout_now(route.group, self.sticky, now)?;
        self.pin = None;
        Some(Ok(lease))
    }

    /// Waits for a process for the request; `None` when the client disconnected meanwhile.
    async fn wait_in_queue(&mut self) -> Option<Result<Lease, Refused>> {
        let Self { router, nginx, body, route, .. } = self;
        let dispatcher = &router.dispatcher;
        let others_wait = || dispatcher.inspect(|pool, _| pool.has_queue(route.group));
        let checked = tokio::select! {
            biased;
            lease = dispatcher.checkout(route.group, self.sticky, route.settings.router.max_request_queue_time) => Some(lease),
            left = must_leave_queue(nginx.stream, &mut nginx.input, body, others_wait) => match left {
                LeaveReason::ClientGone => None,
                LeaveReason::SlowUpload(slow) => Some(Err(Refused::SlowUpload(slow))),
            },
        };
        self.pin = None;
        checked
    }

    /// Sends the request to one process and its response to nginx.
    async fn attempt(&mut self, lease: Lease, times: Times, may_retry: bool) -> Attempt {
        let pid = lease.worker.record.pid;
        if !self.reencode_for(&lease.worker) {
            let why = "the app was replaced by one of another type while the request was queued";
            return Attempt::Done(Box::pin(self.fail_before_response(pid, why)).await);
        }
        let connection = match lease.idle_connection() {
            Some(Ok(connection)) => Ok((connection, true)),
            // Only here it may have to wait.
            _ => Box::pin(descriptors::retry(self.router, async || lease.connection().await)).await,
        };
        let (app, used_before) = match connection {
            Ok(connection) => connection,
            Err(err) if descriptors::are_used_up(&err) => {
                return Attempt::Done(Box::pin(self.refuse(&Refused::NoDescriptors)).await);
            }
            Err(err) => {
                self.router.dispatcher.update(|pool, now| pool.detach(lease.worker.slot, now));
                let why = format!("cannot connect to it: {err}");
                if may_retry {
                    return Attempt::Retry(why);
                }
                return Attempt::Done(Box::pin(self.fail_before_response(pid, &why)).await);
            }
        };
        let sent_at = if used_before { times.granted } else { Instant::now() };
        self.nginx.request_slot.send_to(pid, sent_at);
        self.add_sticky_cookie(lease.worker.sticky_number);
        let mut relay = Relay::new(
            Decoder::new(lease.worker.speaks_session(), self.to_head_request, self.upgrade),
            self.to_head_request,
            pid.unsigned_abs(),
            times.waited(),
            sent_at,
            self.nginx.request_slot.clone(),
            self.metrics.clone(),
        );
        relay.session = Some(&lease);
        let limit = self.route.settings.router.max_request_time;
        let options = self.router.backlog_options();
        let dispatcher = &self.router.dispatcher;
        let others_wait =
            || lease.is_served() && dispatcher.inspect(|pool, _| pool.delays_others(lease.worker.slot));
        let ended =
            relay_both(self.nginx, &app, &mut self.body, &mut relay, &options, limit, others_wait).await;
        let may_retry = may_retry && !relay.received;
        let (is_reusable, begun) = (relay.decoder.is_reusable(), relay.begun);
        match ended {
            Err(ExchangeError::NotSent(err)) if may_retry => Attempt::Retry(err.to_string()),
            // The app closed its idle connection at this very moment. Only an idempotent request is sent again.
            Err(ExchangeError::Response(err))
                if may_retry && used_before && self.is_idempotent && !lease.worker.speaks_session() =>
            {
                Attempt::Retry(err.to_string())
            }
            Ok(complete) => Attempt::Done(self.finish(is_reusable, app, lease, complete).await),
            Err(error) => {
                if matches!(error, ExchangeError::TimedOut(_)) {
                    dispatcher.kill(&lease.worker, Some(self.slow_request()));
                }
                drop(app);
                Attempt::Done(Box::pin(self.fail(begun, lease, error)).await)
            }
        }
    }

    /// Encodes the request again if its process is of another kind than its route: the app's type has changed, and the
    /// process is of the previous version. False when that is no longer possible.
    fn reencode_for(&mut self, worker: &Worker) -> bool {
        let framing = chunked_framing(worker.route.kind);
        if self.encoded == framing {
            return true;
        }
        let NginxConn { request, to_app, .. } = &mut *self.nginx;
        let Ok(request) = Request::decode(request) else { return false };
        if self.body.has_begun(to_app, self.head_len) {
            return false;
        }
        self.body = Body::new(request.head.body, framing).with_rate(self.body.rate());
        to_app.clear();
        write_head(&request, worker.route.kind, &self.route.settings, to_app);
        (self.encoded, self.head_len) = (framing, to_app.len());
        true
    }

    /// Adds the cookie that sends the client's next requests to this process, unless its cookie already does so.
    fn add_sticky_cookie(&mut self, number: u32) {
        let added = &mut self.nginx.frames.added;
        added.clear();
        if let Some(sticky) = self.route.settings.sticky()
            && self.sticky != Some(number)
        {
            let cookie = sticky.cookie(number, &self.route.base_uri, self.https);
            pairs::put(added, b"Set-Cookie", cookie.as_bytes());
        }
    }

    /// Returns the data for the hook of a request that takes too long.
    fn slow_request(&self) -> SlowRequest {
        let uri = self.nginx.line.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        SlowRequest { path: text(uri), host: text(self.header(b"host").unwrap_or_default()) }
    }

    /// Whether the client has sent JSON, and probably expects it.
    fn sent_json(&self) -> bool {
        self.header(b"content-type").is_some_and(|value| value.starts_with(b"application/json"))
    }

    /// Returns the value of a header. Decodes the request again: only failures need it.
    fn header(&self, name: &[u8]) -> Option<&[u8]> {
        Request::decode(&self.nginx.request).ok()?.headers.get(name)
    }
}

/// Encodes the request for an app of this kind, without a body.
pub(crate) fn write_head(request: &Request<'_>, kind: AppKind, settings: &AppSettings, out: &mut Vec<u8>) {
    match kind.definition().protocol {
        AppProtocol::Session => session::write_request(request, &settings.process.env_var, out),
        AppProtocol::Http => http::write_request(request, settings.router.strip_base_uri, out),
    }
}

fn chunked_framing(kind: AppKind) -> Framing {
    match kind.definition().protocol {
        AppProtocol::Session => Framing::SessionChunks,
        AppProtocol::Http => Framing::HttpChunks,
    }
}
