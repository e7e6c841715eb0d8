//! The end of a request: what is kept after a complete response, and what is reported after a failure.

use std::future::poll_fn;
use std::io;
use std::mem;
use std::task::Poll;
use std::time::Duration;

use protocol::request::BodyLength;
use protocol::response::AbortReason;
use tracing::{debug, error, warn};

use super::super::dispatch::{Lease, Refused};
use super::Facts;
use super::relay_both::{Broken, gone};
use crate::app_protocol::request_body::{Body, BodyError};
use crate::nginx_conn::{KeepAlive, NginxConn};
use crate::response::error_page::Page;
use crate::response::relay::{Complete, Relay, RelayError};
use crate::response::{Origin, empty, tunnel};
use crate::state::RouterState;
use crate::sys::stream::Stream;

/// How long nginx may take to send the rest of a request that was answered early, or to close the connection.
const LINGER: Duration = Duration::from_secs(5);

/// Ends a request after a complete response: keeps the connections that can be kept.
pub(super) async fn finish(
    nginx: &mut NginxConn<'_>,
    body: &mut Body,
    relay: &Relay,
    app: Stream,
    lease: Lease,
    complete: Complete,
) -> KeepAlive {
    if complete == Complete::Tunnel {
        if write_rest(nginx).await.is_err() {
            return KeepAlive::Close;
        }
        let NginxConn { stream, input, from_app, .. } = nginx;
        let app = tunnel::Side { stream: &app, input: from_app };
        tunnel::run(tunnel::Side { stream, input }, app, lease.worker.tunnels_end()).await;
        return KeepAlive::Close;
    }
    if body.is_delivered() && relay.decoder.is_reusable() && nginx.from_app.is_empty() {
        app.relax();
        lease.keep(app);
    }
    if nginx.head.out_of_band && lease.worker.speaks_session() {
        lease.request_out_of_band();
    }
    drop(lease);
    // A request that waited for this process is sent to it before nginx is written to, so that the process is not idle.
    behind_those_ready().await;
    if write_rest(nginx).await.is_err() {
        return KeepAlive::Close;
    }
    nginx.stream.relax();
    after(nginx, body).await
}

/// Writes to nginx what the client has not taken yet, then the end of the response.
async fn write_rest(nginx: &mut NginxConn<'_>) -> io::Result<()> {
    let NginxConn { stream, input, frames, backlog, .. } = nginx;
    let stream: &Stream = stream;
    if !backlog.is_empty() {
        tokio::select! {
            biased;
            done = empty(backlog, stream) => done?,
            () = gone(stream, input, None) => return Err(io::ErrorKind::ConnectionAborted.into()),
        }
    }
    frames.flush(&mut &*stream).await
}

/// Lets every task that is ready run first. Unlike tokio's `yield_now`, does not poll the kernel in between.
async fn behind_those_ready() {
    let mut behind = false;
    poll_fn(|cx| {
        if mem::replace(&mut behind, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Whether nginx's connection can take another request, which requires the end of the current one.
async fn after(nginx: &mut NginxConn<'_>, body: &mut Body) -> KeepAlive {
    if body.is_done() {
        return KeepAlive::Keep;
    }
    let rest = body.discard(&mut nginx.stream, &mut nginx.input);
    if tokio::time::timeout(LINGER, rest).await == Ok(true) { KeepAlive::Keep } else { KeepAlive::Close }
}

/// Ends a request after a failure: sends the client what can still be sent, and logs the failure.
pub(super) async fn give_up(
    router: &RouterState,
    nginx: &mut NginxConn<'_>,
    facts: &Facts,
    body: &mut Body,
    relay: &Relay,
    lease: Lease,
    broken: Broken,
) -> KeepAlive {
    let pid = lease.worker.record.pid;
    let page = match &broken {
        Broken::TooLong(_) => Page::too_slow(),
        Broken::SlowUpload(_) => Page::slow_upload(),
        _ => Page::incomplete(),
    };
    let is_logged = !matches!(broken, Broken::SlowUpload(_)) || router.slow_uploads.admits();
    let why = match broken {
        Broken::Request(BodyError::ClientGone) | Broken::Answer(RelayError::Nginx(_)) => {
            lease.release_when_free();
            return KeepAlive::Close;
        }
        Broken::NotTaken(err) => format!("it does not take the request: {err}"),
        Broken::Request(err) => err.to_string(),
        Broken::Answer(err) => err.to_string(),
        Broken::TooLong(limit) => {
            format!("it took longer than {} s (passenger_max_request_time) and is killed", limit.as_secs())
        }
        Broken::SlowUpload(slow) => slow.to_string(),
    };
    lease.release_when_free();
    if is_logged {
        log_failure(nginx, facts, pid, &why);
    }
    if !relay.begun {
        return show(nginx, facts, body, &page).await;
    }
    nginx.frames.abort(AbortReason::AppClosed, &format!("app {}: {why}", facts.route.name));
    // nginx closes the connection on an abort, so that the client can detect that the response is incomplete.
    drop(write_rest(nginx).await);
    KeepAlive::Close
}

pub(super) async fn broken_off(
    nginx: &mut NginxConn<'_>,
    facts: &Facts,
    body: &mut Body,
    pid: i32,
    why: &str,
) -> KeepAlive {
    log_failure(nginx, facts, pid, why);
    show(nginx, facts, body, &Page::incomplete()).await
}

pub(super) async fn refuse(
    router: &RouterState,
    nginx: &mut NginxConn<'_>,
    facts: &Facts,
    body: &mut Body,
    refused: &Refused,
) -> KeepAlive {
    let (app, line) = (&facts.route.name, String::from_utf8_lossy(&nginx.line));
    match refused {
        // The operator knows, and each request would add a line.
        Refused::Maintenance(_) | Refused::OwnMethod => debug!("app {app}: refused {line}: {refused}"),
        Refused::SlowUpload(_) => {
            if router.slow_uploads.admits() {
                warn!("app {app}: refused {line}: {refused}");
            }
        }
        Refused::TunnelsFull(_) => {
            if router.tunnels.refusals.admits() {
                warn!("app {app}: refused {line}: {refused}");
            }
        }
        _ if !router.refusals.admits() => {}
        Refused::OtherKind(_) => error!("app {app}: refused {line}: {refused}"),
        _ => warn!("app {app}: refused {line}: {refused}"),
    }
    let page = Page::refused(refused, &facts.route.settings);
    show(nginx, facts, body, &page).await
}

/// Responds with a page of the daemon.
async fn show(nginx: &mut NginxConn<'_>, facts: &Facts, body: &mut Body, page: &Page) -> KeepAlive {
    nginx.frames.added.clear();
    let (content_type, content) = page.body(facts.sent_json);
    page.fill(&mut nginx.head, content_type, content.len());
    let length = nginx.head.body_length(facts.to_head_request);
    let bodiless = length == BodyLength::None;
    let written = async {
        if nginx.frames.head(&nginx.head, length, bodiless, Origin::default()).is_ok() && !bodiless {
            nginx.frames.body(&content, true, &mut nginx.stream).await?;
        }
        write_rest(nginx).await
    };
    let written: io::Result<()> = written.await;
    if written.is_ok() { after(nginx, body).await } else { KeepAlive::Close }
}

fn log_failure(nginx: &NginxConn<'_>, facts: &Facts, pid: i32, why: &str) {
    let line = String::from_utf8_lossy(&nginx.line);
    warn!(
        event = "request_failed",
        detail = why,
        "app {}: process {pid} did not answer {line}: {why}",
        facts.route.name
    );
}
