//! One connection from an nginx worker: the handshake, then one request after another.
//!
//! Each request is passed to [`crate::request`], each query for the status page to [`super::status_page`]. An invalid
//! frame ends the connection with an abort that gives the reason, which nginx logs.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use protocol::frame::{FrameError, FrameHeader, FrameType, HEADER_LEN};
use protocol::globals::Globals;
use protocol::hello::{Hello, Refusal, Welcome};
use protocol::response::AbortReason;
use protocol::status::StatusQuestion;
use protocol::{PayloadError, ReadError, SPOKEN_VERSIONS};
use tracing::{debug, error, warn};

use super::status_page;
use crate::app_protocol::buffer::SMALL;
use crate::nginx_conn::roster::RosterReceiver;
use crate::nginx_conn::{GoodbyeState, KeepAlive, NginxConn};
use crate::request;
use crate::state::RouterState;
use crate::sys::stream::Stream;
use common::sys::clock::now_ms;

/// Release of this daemon, sent to nginx in the handshake.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How long nginx has to close a connection after a goodbye, or to send something on one that it has just opened. It
/// does either at once unless something blocks the whole worker.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(2);

/// Why the router ends a connection before nginx closes it.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("the first frame is not a valid hello: {0}")]
    Hello(ReadError),
    #[error(transparent)]
    Payload(#[from] PayloadError),
    #[error("unexpected {0:?} frame")]
    Unexpected(FrameType),
    /// No protocol version is shared; the refusal was sent.
    #[error("{}", .0.advice)]
    Version(Refusal),
    #[error("a frame was not complete within its time limit")]
    FrameTimeout,
    #[error("the incomplete frames of all connections exceed the memory limit")]
    FrameMemory,
    /// The connection itself failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Serves one connection until it ends.
pub(crate) async fn serve(router: Arc<RouterState>, stream: Stream) {
    let _counted = router.connections.guard();
    let mut nginx =
        NginxConn::new(&stream, RosterReceiver::new(router.clone()), router.active_requests.open());
    match serve_requests(&router, &mut nginx).await {
        Ok(()) => {}
        Err(Fault::Io(err)) => debug!("connection from nginx failed: {err}"),
        Err(Fault::Version(refusal)) => error!("refused a connection from nginx: {}", refusal.advice),
        Err(fault) => {
            if router.faults.admits() {
                warn!("closed a connection from nginx that violates the protocol: {fault}");
            }
            nginx.frames.abort(AbortReason::BadRequest, &fault.to_string());
            // nginx may have closed the connection already.
            drop(nginx.frames.flush(&mut nginx.stream).await);
        }
    }
}

async fn serve_requests(router: &Arc<RouterState>, nginx: &mut NginxConn<'_>) -> Result<(), Fault> {
    let Some(header) = next_frame(router, nginx).await? else {
        return Ok(());
    };
    if header.kind != FrameType::Hello {
        return Err(Fault::Unexpected(header.kind));
    }
    shake_hands(nginx, end_of(&header)).await?;
    while let Some(header) = next_frame(router, nginx).await? {
        let end = end_of(&header);
        match header.kind {
            FrameType::Request => {
                let after = request::run(router, nginx, end).await?;
                nginx.served = true;
                if after == KeepAlive::Close {
                    return Ok(());
                }
                nginx.shrink_buffers();
            }
            // The request it cancels was answered in the meantime.
            FrameType::Cancel => nginx.input.consume(HEADER_LEN),
            FrameType::Globals => {
                receive_globals(router, nginx, end)?;
                send_welcome_if_alone(nginx).await?;
            }
            FrameType::Roster => {
                receive_roster(nginx, end, header.is_end())?;
                send_welcome_if_alone(nginx).await?;
            }
            FrameType::Status => {
                let question = StatusQuestion::decode(&nginx.input.unread()[HEADER_LEN..end])?;
                nginx.input.consume(end);
                status_page::respond(router, nginx, question).await?;
            }
            other => return Err(Fault::Unexpected(other)),
        }
    }
    Ok(())
}

/// Returns where a frame at the front of the input ends.
fn end_of(header: &FrameHeader) -> usize {
    HEADER_LEN + header.len as usize
}

/// Applies the options that nginx sends for the daemon as a whole.
fn receive_globals(router: &RouterState, nginx: &mut NginxConn<'_>, end: usize) -> Result<(), Fault> {
    let payload = &nginx.input.unread()[HEADER_LEN..end];
    // The gate has no options: those of nginx stay in effect.
    let received = match Globals::time_only(payload) {
        Some(configured_ms) => Err(configured_ms),
        None => Ok(Globals::decode(payload)?),
    };
    nginx.input.consume(end);
    let configured_ms = received.as_ref().map_or_else(|time| *time, |received| received.configured_ms);
    let configuration = router.routes.clone().open_configuration(configured_ms, now_ms());
    nginx.configuration = Some(configuration);
    if let Ok(received) = received {
        router.update(received);
    }
    Ok(())
}

/// Adds a frame of this nginx's roster.
fn receive_roster(nginx: &mut NginxConn<'_>, end: usize, is_last: bool) -> Result<(), Fault> {
    let payload = &nginx.input.unread()[HEADER_LEN..end];
    nginx.roster.add(payload, nginx.configured_ms(), is_last)?;
    nginx.input.consume(end);
    nginx.input.shrink();
    Ok(())
}

/// Sends the welcome at once unless a request follows, with whose response it is sent.
async fn send_welcome_if_alone(nginx: &mut NginxConn<'_>) -> io::Result<()> {
    if nginx.input.is_empty() { nginx.frames.flush(&mut nginx.stream).await } else { Ok(()) }
}

/// Returns the header of the next frame once the whole frame is in the input; `None` when nginx has closed the
/// connection, or when it is idle and the daemon is about to end.
async fn next_frame(router: &RouterState, nginx: &mut NginxConn<'_>) -> Result<Option<FrameHeader>, Fault> {
    let mut part = router.incomplete.part(nginx.goodbye == GoodbyeState::NoHello);
    loop {
        let received = nginx.input.unread().len();
        let missing = match FrameHeader::decode(nginx.input.unread())? {
            Some(header) if header.kind == FrameType::RequestBody => return Ok(Some(header)),
            Some(header) if received >= end_of(&header) => return Ok(Some(header)),
            Some(header) => end_of(&header) - received,
            None => 0,
        };
        if !part.set(received) {
            return Err(Fault::FrameMemory);
        }
        let received_now = tokio::select! {
            biased;
            received = nginx.input.fill(&mut nginx.stream, SMALL.max(missing)) => received?,
            () = router.connections.idle_unwanted(nginx.served), if received == 0 => say_goodbye(nginx).await?,
            () = part.expired() => return Err(Fault::FrameTimeout),
        };
        if received_now == 0 {
            return Ok(None);
        }
    }
}

/// Closes a connection that waits for a request. What nginx writes before it receives the goodbye is still served:
/// returns how many bytes arrived, 0 when no more will follow.
async fn say_goodbye(nginx: &mut NginxConn<'_>) -> io::Result<usize> {
    if nginx.goodbye == GoodbyeState::Unsupported {
        // Data may have arrived that the event loop has not reported yet.
        return if nginx.stream.has_unread() {
            nginx.input.fill(&mut nginx.stream, SMALL).await
        } else {
            Ok(0)
        };
    }
    let goodbye = async {
        if nginx.goodbye == GoodbyeState::Supported {
            nginx.goodbye = GoodbyeState::Sent;
            nginx.frames.push(&FrameHeader::new(FrameType::Goodbye, 0, 0).encode());
            nginx.frames.flush(&mut nginx.stream).await?;
        }
        nginx.input.fill(&mut nginx.stream, SMALL).await
    };
    tokio::time::timeout(GOODBYE_TIMEOUT, goodbye).await.unwrap_or(Ok(0))
}

async fn shake_hands(nginx: &mut NginxConn<'_>, end: usize) -> Result<(), Fault> {
    let hello = Hello::decode(&nginx.input.unread()[HEADER_LEN..end]).map_err(Fault::Hello)?;
    nginx.input.consume(end);
    if SPOKEN_VERSIONS.contains(&hello.using) {
        debug!("nginx {} with module {} connected", hello.nginx_version, hello.module_version);
        nginx.goodbye = if hello.hears_goodbye { GoodbyeState::Supported } else { GoodbyeState::Unsupported };
        nginx.frames.takes_log_line = hello.takes_log_line;
        nginx.roster.set_name(hello.instance);
        // Sent together with the first response, which saves a system call.
        let welcome = Welcome { version: hello.using, daemon_version: VERSION.into() };
        nginx.frames.push(&welcome.to_frame());
        return Ok(());
    }
    let refusal = Refusal::no_common_version(&hello, SPOKEN_VERSIONS, VERSION);
    nginx.frames.push(&refusal.to_frame());
    nginx.frames.flush(&mut nginx.stream).await?;
    Err(Fault::Version(refusal))
}
