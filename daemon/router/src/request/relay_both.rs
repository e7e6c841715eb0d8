//! The exchange with a process: the request's body and the response are relayed at the same time. A body that arrives
//! too slowly while other requests wait for the process ends it.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use protocol::frame::{FrameHeader, FrameType};
use tokio::task::coop::unconstrained;

use crate::app_protocol::buffer::{Input, SMALL};
use crate::app_protocol::request_body::{Body, BodyError};
use crate::app_protocol::upload_rate::{TooSlow, UploadRate};
use crate::nginx_conn::NginxConn;
use crate::response::relay::{Complete, Relay, RelayError};
use crate::response::{BacklogOptions, Outlet};
use crate::sys::stream::Stream;

/// Maximum number of bytes read from nginx while a request waits; the rest of a body stays with nginx.
const MAX_READ_AHEAD: usize = 64 * 1024;
/// Interval of the check whether other requests wait for what a slow upload occupies.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Why the exchange with an app failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExchangeError {
    /// The app has read nothing.
    #[error("its connection was closed before the request was sent: {0}")]
    NotSent(io::Error),
    #[error(transparent)]
    Request(BodyError),
    #[error(transparent)]
    Response(RelayError),
    #[error("it exceeded passenger_max_request_time ({} s) and is killed", .0.as_secs())]
    TimedOut(Duration),
    /// The body arrived too slowly while other requests waited for the process.
    #[error(transparent)]
    SlowUpload(TooSlow),
}

/// Relays the body and the response at the same time, within the app's time limit.
///
/// Once the body is delivered, the response comes first: when it is complete, nothing else matters.
pub(super) async fn relay_both(
    nginx: &mut NginxConn<'_>,
    app: &Stream,
    body: &mut Body,
    relay: &mut Relay<'_>,
    options: &BacklogOptions,
    limit: Option<Duration>,
    others_wait: impl Fn() -> bool,
) -> Result<Complete, ExchangeError> {
    let rate = body.rate();
    let NginxConn { stream, input, frames, backlog, to_app, from_app, head, request_slot, .. } = nginx;
    let stream: &Stream = stream;
    let delivered = Cell::new(false);
    let mut request = pin!(async {
        match body.send(&mut &*stream, input, &mut &*app, to_app).await {
            Ok(()) => {
                request_slot.sent();
                delivered.set(true);
                // Is noticed also if an app always has more to relay: tokio's budget would keep it pending behind that.
                unconstrained(client_gone(stream, input, None)).await;
            }
            Err(BodyError::App { err, first: true }) => return ExchangeError::NotSent(err),
            // The app may have responded without reading all of it: the response side decides.
            Err(BodyError::App { .. }) => std::future::pending().await,
            Err(err) => return ExchangeError::Request(err),
        }
        ExchangeError::Request(BodyError::ClientGone)
    });
    from_app.clear();
    let outlet = Outlet::new(stream, backlog, options);
    let (mut writer, mut app_reader) = (&outlet, app);
    let mut response = pin!(relay.run(&mut app_reader, from_app, &mut writer, frames, head));
    let is_limited = rate.is_some() || limit.is_some();
    let mut limits = pin!(async {
        tokio::select! {
            biased;
            slow = too_slow(rate.as_deref(), others_wait) => ExchangeError::SlowUpload(slow),
            limit = elapsed(limit) => ExchangeError::TimedOut(limit),
        }
    });
    let mut drain = pin!(outlet.drain());
    poll_fn(|cx| {
        let was_delivered = delivered.get();
        if !was_delivered && let Poll::Ready(error) = request.as_mut().poll(cx) {
            return Poll::Ready(Err(error));
        }
        if let Poll::Ready(complete) = response.as_mut().poll(cx) {
            return Poll::Ready(complete.map_err(ExchangeError::Response));
        }
        if was_delivered && let Poll::Ready(error) = request.as_mut().poll(cx) {
            return Poll::Ready(Err(error));
        }
        if let Poll::Ready(err) = drain.as_mut().poll(cx) {
            return Poll::Ready(Err(ExchangeError::Response(RelayError::Nginx(err))));
        }
        if is_limited { limits.as_mut().poll(cx).map(Err) } else { Poll::Pending }
    })
    .await
}

/// Resolves when the time limit has elapsed, if there is one.
async fn elapsed(limit: Option<Duration>) -> Duration {
    let Some(limit) = limit else { return std::future::pending().await };
    // Elapses also in a task that always has more to relay: tokio's budget would keep a sleep pending behind that.
    unconstrained(tokio::time::sleep(limit)).await;
    limit
}

/// Resolves when the body is too slow and other requests wait for what this one occupies.
async fn too_slow(rate: Option<&UploadRate>, others_wait: impl Fn() -> bool) -> TooSlow {
    while let Some(rate) = rate.filter(|rate| !rate.is_complete()) {
        if let Some(slow) = rate.too_slow().filter(|_| others_wait()) {
            return slow;
        }
        tokio::time::sleep(rate.time_left().max(CHECK_INTERVAL)).await;
    }
    std::future::pending().await
}

/// Why a request left the queue.
pub(super) enum LeaveReason {
    /// nginx has closed the connection or cancelled the request.
    ClientGone,
    /// Its body arrived too slowly while other requests waited behind it.
    SlowUpload(TooSlow),
}

/// Resolves when a request that waits for a process must leave the queue.
pub(super) async fn must_leave_queue(
    stream: &Stream,
    input: &mut Input,
    body: &Body,
    others_wait: impl Fn() -> bool,
) -> LeaveReason {
    let rate = body.rate();
    while let Some(rate) = rate.as_deref().filter(|rate| !rate.is_complete()) {
        let pause = tokio::time::sleep(rate.time_left().max(CHECK_INTERVAL));
        tokio::select! {
            biased;
            () = client_gone(stream, input, Some(rate)) => return LeaveReason::ClientGone,
            () = pause => {}
        }
        body.measure_ahead(input);
        if let Some(slow) = rate.too_slow().filter(|_| others_wait()) {
            return LeaveReason::SlowUpload(slow);
        }
    }
    client_gone(stream, input, None).await;
    LeaveReason::ClientGone
}

/// Resolves when nginx has closed the connection or cancelled the request. Other data stays in the input; `rate`
/// measures the time spent waiting for it.
pub(super) async fn client_gone(mut stream: &Stream, input: &mut Input, rate: Option<&UploadRate>) {
    loop {
        if matches!(FrameHeader::decode(input.unread()), Ok(Some(header)) if header.kind == FrameType::Cancel)
        {
            return;
        }
        if input.unread().len() >= MAX_READ_AHEAD {
            std::future::pending::<()>().await;
        }
        let waiting = rate.map(UploadRate::wait);
        let received = input.fill(&mut stream, SMALL).await;
        drop(waiting);
        if received.map_or(true, |received| received == 0) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exchange_that_never_waits_has_a_time_limit() {
        let limit = Duration::from_millis(20);
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let ended = runtime.enable_time().build().unwrap().block_on(async {
            // Like an app that always has more to read.
            let busy = async {
                loop {
                    tokio::task::consume_budget().await;
                }
            };
            let ended = async {
                tokio::select! {
                    biased;
                    () = busy => None,
                    limit = elapsed(Some(limit)) => Some(limit),
                }
            };
            tokio::time::timeout(Duration::from_secs(2), ended).await
        });
        assert_eq!(ended, Ok(Some(limit)));
    }
}
