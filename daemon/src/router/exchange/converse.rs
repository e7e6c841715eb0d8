//! The conversation with a process: the request's body goes there, and its answer comes back, at the same time.

use std::io;
use std::time::Duration;

use protocol::frame::{FrameHeader, FrameType};

use super::super::forward::body::{Body, BodyError};
use super::super::input::{Input, SMALL};
use super::super::nginx::Nginx;
use super::super::reply::relay::{Complete, Relay, RelayError};
use super::super::reply::{BacklogOptions, Outlet};
use crate::sys::stream::Stream;

/// While a request waits, no more of what nginx sends is read than this, in bytes; a body stays with nginx.
const ENOUGH: usize = 64 * 1024;

/// Why a conversation with an app broke off.
pub(super) enum Broken {
    /// The app's connection was closed before the request could be written: it has read nothing.
    NotTaken(io::Error),
    /// The request's side failed.
    Request(BodyError),
    /// The answer's side failed.
    Answer(RelayError),
    /// The app took longer than it may.
    TooLong(Duration),
}

/// [`converse`], for as long as the app may take.
pub(super) async fn converse_in_time(
    nginx: &mut Nginx<'_>,
    app: &Stream,
    body: &mut Body,
    relay: &mut Relay,
    options: &BacklogOptions,
    limit: Option<Duration>,
) -> Result<Complete, Broken> {
    let ended = converse(nginx, app, body, relay, options);
    match limit {
        None => ended.await,
        Some(limit) => tokio::time::timeout(limit, ended).await.unwrap_or(Err(Broken::TooLong(limit))),
    }
}

/// Forwards the body and relays the answer, at the same time.
async fn converse(
    nginx: &mut Nginx<'_>,
    app: &Stream,
    body: &mut Body,
    relay: &mut Relay,
    options: &BacklogOptions,
) -> Result<Complete, Broken> {
    let Nginx { stream, input, frames, backlog, to_app, from_app, head, desk, .. } = nginx;
    let stream: &Stream = stream;
    let request = async {
        match body.send(&mut &*stream, input, &mut &*app, to_app).await {
            Ok(()) => {
                desk.sent();
                gone(stream, input).await;
            }
            Err(BodyError::App { err, first: true }) => return Broken::NotTaken(err),
            // The app may have answered without reading it all: the answer's side will tell.
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

/// Resolves when nginx has closed the connection or cancels the request. What else it sends stays in the input.
pub(super) async fn gone(mut stream: &Stream, input: &mut Input) {
    loop {
        if matches!(FrameHeader::decode(input.unread()), Ok(Some(header)) if header.kind == FrameType::Cancel)
        {
            return;
        }
        if input.unread().len() >= ENOUGH {
            std::future::pending::<()>().await;
        }
        if input.fill(&mut stream, SMALL).await.map_or(true, |came| came == 0) {
            return;
        }
    }
}
