//! The end of a request: what is kept after a complete response, and what is reported after a failure.

use std::future::poll_fn;
use std::io;
use std::mem;
use std::task::Poll;
use std::time::Duration;

use protocol::response::AbortReason;
use tracing::{debug, error, warn};

use super::super::dispatch::{Lease, Refused};
use super::Exchange;
use super::relay_both::{ExchangeError, client_gone};
use crate::app_protocol::request_body::BodyError;
use crate::nginx_conn::{KeepAlive, NginxConn};
use crate::output::log_limit::LogLimit;
use crate::response::error_page::Page;
use crate::response::relay::{Complete, RelayError};
use crate::response::{empty, tunnel};
use crate::sys::stream::Stream;

/// How long nginx may take to send the rest of a request that was answered early, or to close the connection.
const LINGER: Duration = Duration::from_secs(5);

impl Exchange<'_, '_> {
    /// Ends a request after a complete response: keeps the connections that can be kept. `is_reusable` is true when the
    /// app's response allows another one on its connection.
    pub(super) async fn finish(
        &mut self,
        is_reusable: bool,
        app: Stream,
        lease: Lease,
        complete: Complete,
    ) -> KeepAlive {
        if complete == Complete::Tunnel {
            if write_remaining(self.nginx).await.is_err() {
                return KeepAlive::Close;
            }
            let NginxConn { stream, input, from_app, .. } = &mut *self.nginx;
            let app = tunnel::Side { stream: &app, input: from_app };
            let client = tunnel::Side { stream, input };
            Box::pin(tunnel::run(client, app, lease.worker.tunnels_end())).await;
            return KeepAlive::Close;
        }
        if self.body.is_delivered() && is_reusable && self.nginx.from_app.is_empty() {
            app.relax();
            lease.keep(app);
        }
        if self.nginx.head.out_of_band && lease.worker.speaks_session() {
            lease.request_out_of_band();
        }
        let slot = lease.worker.slot;
        let is_wanted = self.router.dispatcher.inspect(|pool, _| pool.delays_others(slot));
        drop(lease);
        if is_wanted {
            // A request that waited for this process is sent before nginx is written to, so that the process is not idle.
            yield_to_ready_tasks().await;
        }
        if write_remaining(self.nginx).await.is_err() {
            return KeepAlive::Close;
        }
        self.nginx.stream.relax();
        if self.body.is_done() { KeepAlive::Keep } else { Box::pin(self.finish_body()).await }
    }

    /// Whether nginx's connection can take another request, which requires the end of the current one's body.
    async fn finish_body(&mut self) -> KeepAlive {
        if self.body.is_done() {
            return KeepAlive::Keep;
        }
        let NginxConn { stream, input, .. } = &mut *self.nginx;
        let rest = self.body.discard(stream, input);
        if tokio::time::timeout(LINGER, rest).await == Ok(true) { KeepAlive::Keep } else { KeepAlive::Close }
    }

    /// Ends a request after a failure: sends the client what can still be sent, and logs the failure. `begun` is true when
    /// a part of the response was sent.
    pub(super) async fn fail(&mut self, begun: bool, lease: Lease, error: ExchangeError) -> KeepAlive {
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
        if !matches!(error, ExchangeError::SlowUpload(_)) || self.router.slow_uploads.admits() {
            self.log_failure(pid, &why);
        }
        if !begun {
            return self.send_page(&page).await;
        }
        self.nginx.frames.abort(AbortReason::AppClosed, &format!("app {}: {why}", self.route.name));
        // nginx closes the connection on an abort, so that the client can detect that the response is incomplete.
        drop(write_remaining(self.nginx).await);
        KeepAlive::Close
    }

    /// Ends a request to which the process cannot respond.
    pub(super) async fn fail_before_response(&mut self, pid: i32, why: &str) -> KeepAlive {
        self.log_failure(pid, why);
        self.send_page(&Page::incomplete()).await
    }

    /// Responds to a request that gets no process, and logs why.
    pub(super) async fn refuse(&mut self, refused: &Refused) -> KeepAlive {
        let (app, line) = (&self.route.name, String::from_utf8_lossy(&self.nginx.line));
        let limit = match refused {
            // The operator knows, and each request would add a line.
            Refused::Maintenance(_) | Refused::OwnMethod => None,
            Refused::SlowUpload(_) => Some(&self.router.slow_uploads),
            Refused::TunnelsFull(_) => Some(&self.router.tunnels.refusals),
            _ => Some(&self.router.refusals),
        };
        match limit.map(LogLimit::admits) {
            None => debug!("app {app}: refused {line}: {refused}"),
            Some(false) => {}
            Some(true) if matches!(refused, Refused::OtherKind(_)) => {
                error!("app {app}: refused {line}: {refused}");
            }
            Some(true) => warn!("app {app}: refused {line}: {refused}"),
        }
        self.send_page(&Page::refused(refused, &self.route.settings)).await
    }

    /// Responds with a page of the daemon.
    async fn send_page(&mut self, page: &Page) -> KeepAlive {
        let document = page.document(self.sent_json());
        self.metrics.count_response(page.status);
        let NginxConn { frames, head, stream, .. } = &mut *self.nginx;
        frames.log_line.clone_from(&page.log_line);
        let sent = frames.document(head, page.status, &document, self.to_head_request, stream).await;
        if sent.is_err() || write_remaining(self.nginx).await.is_err() {
            return KeepAlive::Close;
        }
        self.finish_body().await
    }

    fn log_failure(&self, pid: i32, why: &str) {
        let line = String::from_utf8_lossy(&self.nginx.line);
        warn!(
            event = "request_failed",
            detail = why,
            "app {}: process {pid} did not answer {line}: {why}",
            self.route.name
        );
    }
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
