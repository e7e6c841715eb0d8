//! One connection from an nginx worker: the handshake, then one request after another.
//!
//! Each request is passed to [`crate::request`], each query for the status page to [`super::status_page`]. An invalid
//! frame ends the connection with an abort that gives the reason, which nginx logs.

use std::fmt;
use std::io;
use std::rc::Rc;
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
const PATIENCE: Duration = Duration::from_secs(2);

/// Why a connection ends before nginx closes it.
#[derive(Debug)]
enum Fault {
    Frame(FrameError),
    Hello(ReadError),
    Globals(PayloadError),
    Roster(PayloadError),
    Request(PayloadError),
    Status(PayloadError),
    /// A frame of this type was not expected.
    Unexpected(FrameType),
    /// No protocol version is shared; the refusal was sent.
    Version(Refusal),
    /// A frame was not complete in time.
    TooSlow,
    /// The incomplete frames of all connections exceed the limit.
    TooMuch,
    /// The connection itself failed.
    Io(io::Error),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frame(err) => err.fmt(f),
            Self::Hello(err) => write!(f, "it does not begin with a hello: {err}"),
            Self::Globals(err) | Self::Roster(err) | Self::Request(err) | Self::Status(err) => err.fmt(f),
            Self::Unexpected(kind) => write!(f, "a {kind:?} frame was not expected"),
            Self::Version(refusal) => f.write_str(&refusal.advice),
            Self::TooSlow => f.write_str("the rest of a frame did not come in time"),
            Self::TooMuch => f.write_str("too much is kept of frames that are not complete"),
            Self::Io(err) => err.fmt(f),
        }
    }
}

/// Serves one connection until it ends.
pub(crate) async fn serve(router: Rc<RouterState>, stream: Stream) {
    let mut nginx =
        NginxConn::new(&stream, RosterReceiver::new(router.clone()), router.active_requests.open());
    match serve_requests(&router, &mut nginx).await {
        Ok(()) => {}
        Err(Fault::Io(err)) => debug!("a connection from nginx broke: {err}"),
        Err(Fault::Version(refusal)) => error!("refused a connection from nginx: {}", refusal.advice),
        Err(fault) => {
            if router.faults.admits() {
                warn!("a connection from nginx is closed: {fault}");
            }
            nginx.frames.abort(AbortReason::BadRequest, &fault.to_string());
            // nginx may have closed the connection already.
            drop(nginx.frames.flush(&mut nginx.stream).await);
        }
    }
}

async fn serve_requests(router: &Rc<RouterState>, nginx: &mut NginxConn<'_>) -> Result<(), Fault> {
    let Some(header) = next_frame(router, nginx).await? else {
        return Ok(());
    };
    if header.kind != FrameType::Hello {
        return Err(Fault::Unexpected(header.kind));
    }
    shake_hands(nginx, &header).await?;
    while let Some(header) = next_frame(router, nginx).await? {
        match header.kind {
            FrameType::Request => {}
            // The request it cancels was answered in the meantime.
            FrameType::Cancel => {
                nginx.input.consume(HEADER_LEN);
                continue;
            }
            FrameType::Globals => {
                hear_globals(router, nginx, &header)?;
                welcome_if_alone(nginx).await?;
                continue;
            }
            FrameType::Roster => {
                hear_roster(nginx, &header)?;
                welcome_if_alone(nginx).await?;
                continue;
            }
            FrameType::Status => {
                let question = hear_question(nginx, &header)?;
                status_page::answer(router, nginx, question).await.map_err(Fault::Io)?;
                continue;
            }
            other => return Err(Fault::Unexpected(other)),
        }
        let payload_end = HEADER_LEN + header.len as usize;
        let after = request::run(router, nginx, payload_end).await.map_err(Fault::Request)?;
        nginx.served = true;
        if after == KeepAlive::Close {
            return Ok(());
        }
        nginx.input.shrink();
        nginx.from_app.shrink();
        if nginx.to_app.capacity() > SMALL {
            nginx.to_app = Vec::new();
        }
        if nginx.request.capacity() > SMALL {
            nginx.request = Vec::new();
        }
    }
    Ok(())
}

/// Applies the options that nginx sends for the daemon as a whole.
fn hear_globals(router: &RouterState, nginx: &mut NginxConn<'_>, header: &FrameHeader) -> Result<(), Fault> {
    let end = HEADER_LEN + header.len as usize;
    let said = Globals::decode(&nginx.input.unread()[HEADER_LEN..end]).map_err(Fault::Globals)?;
    nginx.input.consume(end);
    let configuration = router.routes.clone().open_configuration(said.configured_ms, now_ms());
    nginx.configuration = Some(configuration);
    router.update(said);
    Ok(())
}

/// Sends the welcome at once unless a request follows, with whose response it is sent.
async fn welcome_if_alone(nginx: &mut NginxConn<'_>) -> Result<(), Fault> {
    if nginx.input.is_empty() {
        nginx.frames.flush(&mut nginx.stream).await.map_err(Fault::Io)?;
    }
    Ok(())
}

/// Takes a frame of this nginx's roster.
fn hear_roster(nginx: &mut NginxConn<'_>, header: &FrameHeader) -> Result<(), Fault> {
    let end = HEADER_LEN + header.len as usize;
    let payload = &nginx.input.unread()[HEADER_LEN..end];
    nginx.roster.take(payload, nginx.configured_ms(), header.is_end()).map_err(Fault::Roster)?;
    nginx.input.consume(end);
    nginx.input.shrink();
    Ok(())
}

/// Decodes a query for the status page.
fn hear_question(nginx: &mut NginxConn<'_>, header: &FrameHeader) -> Result<StatusQuestion, Fault> {
    let end = HEADER_LEN + header.len as usize;
    let question = StatusQuestion::decode(&nginx.input.unread()[HEADER_LEN..end]).map_err(Fault::Status)?;
    nginx.input.consume(end);
    Ok(question)
}

/// Returns the header of the next frame once the whole frame is in the input; `None` when nginx has closed the
/// connection, or when it is idle and the daemon is about to end.
async fn next_frame(router: &RouterState, nginx: &mut NginxConn<'_>) -> Result<Option<FrameHeader>, Fault> {
    let mut part = router.incomplete.part(nginx.goodbye == GoodbyeState::NoHello);
    loop {
        let missing = match FrameHeader::decode(nginx.input.unread()).map_err(Fault::Frame)? {
            Some(header) => {
                let whole = HEADER_LEN + header.len as usize;
                let have = nginx.input.unread().len();
                if have >= whole || header.kind == FrameType::RequestBody {
                    return Ok(Some(header));
                }
                whole - have
            }
            None => 0,
        };
        let between_requests = nginx.input.is_empty();
        if !part.holds(nginx.input.unread().len()) {
            return Err(Fault::TooMuch);
        }
        let came = tokio::select! {
            biased;
            came = nginx.input.fill(&mut nginx.stream, SMALL.max(missing)) => came,
            () = router.connections.idle_unwanted(nginx.served), if between_requests => take_leave(nginx).await,
            () = part.overdue(), if part.is_limited() => return Err(Fault::TooSlow),
        };
        let came = came.map_err(Fault::Io)?;
        if came == 0 {
            return Ok(None);
        }
    }
}

/// Closes a connection that waits for a request. What nginx writes before it receives the goodbye is still served:
/// returns how many bytes arrived, 0 when no more will follow.
async fn take_leave(nginx: &mut NginxConn<'_>) -> io::Result<usize> {
    if nginx.goodbye == GoodbyeState::Unsupported {
        // Data may have arrived that the event loop has not reported yet.
        return if nginx.stream.has_unread() {
            nginx.input.fill(&mut nginx.stream, SMALL).await
        } else {
            Ok(0)
        };
    }
    let parting = async {
        if nginx.goodbye == GoodbyeState::Supported {
            nginx.goodbye = GoodbyeState::Sent;
            nginx.frames.push(&FrameHeader::new(FrameType::Goodbye, 0, 0).encode());
            nginx.frames.flush(&mut nginx.stream).await?;
        }
        nginx.input.fill(&mut nginx.stream, SMALL).await
    };
    tokio::time::timeout(PATIENCE, parting).await.unwrap_or(Ok(0))
}

async fn shake_hands(nginx: &mut NginxConn<'_>, header: &FrameHeader) -> Result<(), Fault> {
    let end = HEADER_LEN + header.len as usize;
    let hello = Hello::decode(&nginx.input.unread()[HEADER_LEN..end]).map_err(Fault::Hello)?;
    nginx.input.consume(end);
    if SPOKEN_VERSIONS.contains(&hello.using) {
        debug!("nginx {} with module {} connected", hello.nginx_version, hello.module_version);
        nginx.goodbye = if hello.hears_goodbye { GoodbyeState::Supported } else { GoodbyeState::Unsupported };
        nginx.roster.set_name(hello.instance);
        // Sent together with the first response, which saves a system call.
        let welcome = Welcome { version: hello.using, daemon_version: VERSION.into() };
        nginx.frames.push(&welcome.to_frame());
        return Ok(());
    }
    let refusal = Refusal::no_common_version(&hello, SPOKEN_VERSIONS, VERSION);
    nginx.frames.push(&refusal.to_frame());
    nginx.frames.flush(&mut nginx.stream).await.map_err(Fault::Io)?;
    Err(Fault::Version(refusal))
}
