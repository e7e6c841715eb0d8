//! The end of a request: what is kept after a complete response, and what is reported after a failure.

use std::future::poll_fn;
use std::io;
use std::mem;
use std::task::Poll;
use std::time::Duration;

use protocol::response::AbortReason;
use tracing::{debug, error, warn};

use super::super::dispatch::{Lease, Refused};
use super::RequestInfo;
use super::relay_both::{ExchangeError, client_gone};
use crate::app_protocol::request_body::{Body, BodyError};
use crate::nginx_conn::{KeepAlive, NginxConn};
use crate::output::log_limit::LogLimit;
use crate::response::error_page::Page;
use crate::response::relay::{Complete, Relay, RelayError};
use crate::response::{empty, tunnel};
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
        if write_remaining(nginx).await.is_err() {
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
        lease.ask_out_of_band();
    }
    drop(lease);
    // A request that waited for this process is sent to it before nginx is written to, so that the process is not idle.
    yield_to_ready_tasks().await;
    if write_remaining(nginx).await.is_err() {
        return KeepAlive::Close;
    }
    nginx.stream.relax();
    finish_body(nginx, body).await
}

/// Writes to nginx what the client has not taken yet, then the end of the response.
async fn write_remaining(nginx: &mut NginxConn<'_>) -> io::Result<()> {
    let NginxConn { stream, input, frames, backlog, .. } = nginx;
    let stream: &Stream = stream;
    if !backlog.is_empty() {
        tokio::select! {
            biased;
            done = empty(backlog, stream) => done?,
            () = client_gone(stream, input, None) => return Err(io::ErrorKind::ConnectionAborted.into()),
        }
    }
    frames.flush(&mut &*stream).await
}

/// Lets every task that is ready run first. Unlike tokio's `yield_now`, does not poll the kernel in between.
async fn yield_to_ready_tasks() {
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

/// Whether nginx's connection can take another request, which requires the end of the current one's body.
async fn finish_body(nginx: &mut NginxConn<'_>, body: &mut Body) -> KeepAlive {
    if body.is_done() {
        return KeepAlive::Keep;
    }
    let rest = body.discard(&mut nginx.stream, &mut nginx.input);
    if tokio::time::timeout(LINGER, rest).await == Ok(true) { KeepAlive::Keep } else { KeepAlive::Close }
}

/// Ends a request after a failure: sends the client what can still be sent, and logs the failure.
pub(super) async fn fail(
    router: &RouterState,
    nginx: &mut NginxConn<'_>,
    info: &RequestInfo,
    body: &mut Body,
    relay: &Relay,
    lease: Lease,
    error: ExchangeError,
) -> KeepAlive {
    let pid = lease.worker.record.pid;
    lease.release_when_free();
    let page = match &error {
        ExchangeError::Request(BodyError::ClientGone) | ExchangeError::Response(RelayError::Nginx(_)) => {
            return KeepAlive::Close;
        }
        ExchangeError::TimedOut(_) => Page::too_slow(),
        ExchangeError::SlowUpload(_) => Page::slow_upload(),
        _ => Page::incomplete(),
    };
    let why = error.to_string();
    if !matches!(error, ExchangeError::SlowUpload(_)) || router.slow_uploads.admits() {
        log_failure(nginx, info, pid, &why);
    }
    if !relay.begun {
        return send_page(nginx, info, body, &page).await;
    }
    nginx.frames.abort(AbortReason::AppClosed, &format!("app {}: {why}", info.route.name));
    // nginx closes the connection on an abort, so that the client can detect that the response is incomplete.
    drop(write_remaining(nginx).await);
    KeepAlive::Close
}

/// Ends a request to which the process cannot respond.
pub(super) async fn fail_before_response(
    nginx: &mut NginxConn<'_>,
    info: &RequestInfo,
    body: &mut Body,
    pid: i32,
    why: &str,
) -> KeepAlive {
    log_failure(nginx, info, pid, why);
    send_page(nginx, info, body, &Page::incomplete()).await
}

/// Responds to a request that gets no process, and logs why.
pub(super) async fn send_refusal(
    router: &RouterState,
    nginx: &mut NginxConn<'_>,
    info: &RequestInfo,
    body: &mut Body,
    refused: &Refused,
) -> KeepAlive {
    let (app, line) = (&info.route.name, String::from_utf8_lossy(&nginx.line));
    let limit = match refused {
        // The operator knows, and each request would add a line.
        Refused::Maintenance(_) | Refused::OwnMethod => None,
        Refused::SlowUpload(_) => Some(&router.slow_uploads),
        Refused::TunnelsFull(_) => Some(&router.tunnels.refusals),
        _ => Some(&router.refusals),
    };
    match limit.map(LogLimit::admits) {
        None => debug!("app {app}: refused {line}: {refused}"),
        Some(false) => {}
        Some(true) if matches!(refused, Refused::OtherKind(_)) => {
            error!("app {app}: refused {line}: {refused}");
        }
        Some(true) => warn!("app {app}: refused {line}: {refused}"),
    }
    let page = Page::refused(refused, &info.route.settings);
    send_page(nginx, info, body, &page).await
}

/// Responds with a page of the daemon.
async fn send_page(nginx: &mut NginxConn<'_>, info: &RequestInfo, body: &mut Body, page: &Page) -> KeepAlive {
    let document = page.document(info.sent_json);
    let NginxConn { frames, head, stream, .. } = nginx;
    if frames.document(head, page.status, &document, info.to_head_request, stream).await.is_err()
        || write_remaining(nginx).await.is_err()
    {
        return KeepAlive::Close;
    }
    finish_body(nginx, body).await
}

fn log_failure(nginx: &NginxConn<'_>, info: &RequestInfo, pid: i32, why: &str) {
    let line = String::from_utf8_lossy(&nginx.line);
    warn!("app {}: process {pid} did not answer {line}: {why}", info.route.name);
}
