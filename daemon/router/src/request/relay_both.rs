//! The exchange with a process: the request's body and the response are relayed at the same time. A body that arrives
//! too slowly while other requests wait for the process ends it.

use std::io;
use std::time::Duration;

use protocol::frame::{FrameHeader, FrameType};

use crate::app_protocol::buffer::{Input, SMALL};
use crate::app_protocol::request_body::{Body, BodyError};
use crate::app_protocol::upload_rate::{Pace, TooSlow};
use crate::nginx_conn::NginxConn;
use crate::response::relay::{Complete, Relay, RelayError};
use crate::response::{BacklogOptions, Outlet};
use crate::sys::stream::Stream;

/// Most bytes that are read from nginx while a request waits; the rest of a body stays with nginx.
const ENOUGH: usize = 64 * 1024;
/// Interval of the check whether other requests wait for what a slow upload occupies.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Why the exchange with an app broke off.
pub(super) enum Broken {
    /// The app's connection was closed before the request could be written: it has read nothing.
    NotTaken(io::Error),
    /// The request side failed.
    Request(BodyError),
    /// The response side failed.
    Answer(RelayError),
    /// The app exceeded its time limit.
    TooLong(Duration),
    /// The body arrived too slowly while other requests waited for the process.
    SlowUpload(TooSlow),
}

/// Runs [`converse`] within the app's time limit.
pub(super) async fn converse_in_time(
    nginx: &mut NginxConn<'_>,
    app: &Stream,
    body: &mut Body,
    relay: &mut Relay,
    options: &BacklogOptions,
    limit: Option<Duration>,
    others_wait: impl Fn() -> bool,
) -> Result<Complete, Broken> {
    let pace = body.pace();
    let ended = async {
        tokio::select! {
            biased;
            ended = converse(nginx, app, body, relay, options) => ended,
            slow = too_slow(pace.as_deref(), others_wait) => Err(Broken::SlowUpload(slow)),
        }
    };
    match limit {
        None => ended.await,
        Some(limit) => tokio::time::timeout(limit, ended).await.unwrap_or(Err(Broken::TooLong(limit))),
    }
}

/// Relays the body and the response at the same time.
async fn converse(
    nginx: &mut NginxConn<'_>,
    app: &Stream,
    body: &mut Body,
    relay: &mut Relay,
    options: &BacklogOptions,
) -> Result<Complete, Broken> {
    let NginxConn { stream, input, frames, backlog, to_app, from_app, head, request_slot, .. } = nginx;
    let stream: &Stream = stream;
    let request = async {
        match body.send(&mut &*stream, input, &mut &*app, to_app).await {
            Ok(()) => {
                request_slot.sent();
                gone(stream, input, None).await;
            }
            Err(BodyError::App { err, first: true }) => return Broken::NotTaken(err),
            // The app may have responded without reading all of it: the response side decides.
            Err(BodyError::App { .. }) => std::future::pending().await,
            Err(err) => return Broken::Request(err),
        }
        Broken::Request(BodyError::ClientGone)
    };
    from_app.clear();
    let outlet = Outlet::new(stream, backlog, options);
    let (mut writer, mut app_reader) = (&outlet, app);
    let answer = relay.run(&mut app_reader, from_app, &mut writer, frames, head);
    tokio::select! {
        biased;
        broken = request => Err(broken),
        complete = answer => complete.map_err(Broken::Answer),
        err = outlet.drain() => Err(Broken::Answer(RelayError::Nginx(err))),
    }
}

/// Resolves when the body is too slow and other requests wait for what this one occupies.
async fn too_slow(pace: Option<&Pace>, others_wait: impl Fn() -> bool) -> TooSlow {
    while let Some(pace) = pace.filter(|pace| !pace.is_complete()) {
        if let Some(slow) = pace.too_slow().filter(|_| others_wait()) {
            return slow;
        }
        tokio::time::sleep(pace.time_left().max(LOOK_AGAIN)).await;
    }
    std::future::pending().await
}

/// Why a request left the queue.
pub(super) enum Left {
    /// nginx has closed the connection or cancelled the request.
    Gone,
    /// Its body arrived too slowly while other requests waited behind it.
    SlowUpload(TooSlow),
}

/// Resolves when a request that waits for a process must leave the queue.
pub(super) async fn leaves(
    stream: &Stream,
    input: &mut Input,
    body: &Body,
    others_wait: impl Fn() -> bool,
) -> Left {
    let pace = body.pace();
    while let Some(pace) = pace.as_deref().filter(|pace| !pace.is_complete()) {
        let patience = tokio::time::sleep(pace.time_left().max(LOOK_AGAIN));
        tokio::select! {
            biased;
            () = gone(stream, input, Some(pace)) => return Left::Gone,
            () = patience => {}
        }
        body.look_ahead(input);
        if let Some(slow) = pace.too_slow().filter(|_| others_wait()) {
            return Left::SlowUpload(slow);
        }
    }
    gone(stream, input, None).await;
    Left::Gone
}

/// Resolves when nginx has closed the connection or cancelled the request. Other data stays in the input; `pace`
/// measures the time spent waiting for it.
pub(super) async fn gone(mut stream: &Stream, input: &mut Input, pace: Option<&Pace>) {
    loop {
        if matches!(FrameHeader::decode(input.unread()), Ok(Some(header)) if header.kind == FrameType::Cancel)
        {
            return;
        }
        if input.unread().len() >= ENOUGH {
            std::future::pending::<()>().await;
        }
        let waiting = pace.map(Pace::wait);
        let came = input.fill(&mut stream, SMALL).await;
        drop(waiting);
        if came.map_or(true, |came| came == 0) {
            return;
        }
    }
}
