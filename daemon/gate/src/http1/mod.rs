//! HTTP/1.1 and 1.0: one connection, one request after another.
//!
//! hyper's server reads more than is allowed (lines that end with a bare line feed, a `Content-Length` beside
//! `Transfer-Encoding`) and hides it from its caller, and it cannot send interim responses. So this reads the bytes
//! itself, with hyper's parser of headers, and refuses whatever is ambiguous.

pub(crate) mod body;
pub(crate) mod head;
pub(crate) mod lines;
mod responder;
mod tunnel;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::time::timeout;
use tracing::debug;

use crate::gate::Gate;
use crate::listen::stream::Stream;
use crate::request::forwarded::Peer;
use crate::request::{Refused, Version};
use crate::serve::{self, Served};
use body::Body;
use head::H1Head;
use lines::HeadScanner;
use responder::H1Responder;

/// Time for a request's head, from its first byte.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// Time that a connection may wait for its next request.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);
/// Time and bytes for the rest of a request that was answered early.
const LINGER_TIMEOUT: Duration = Duration::from_secs(5);
const MAX_LINGER: usize = 1024 * 1024;
/// Bytes that a buffer holds at first.
pub(crate) const SMALL: usize = 8 * 1024;

/// Serves a connection until it ends. `buffer` contains what was read already.
pub(crate) async fn serve(gate: &Arc<Gate>, stream: Stream, buffer: BytesMut, peer: Peer) {
    match serve_requests(gate, &stream, buffer, peer).await {
        Ok(()) => {}
        Err(problem) => debug!("a connection of a client ended: {problem}"),
    }
}

async fn serve_requests(
    gate: &Arc<Gate>,
    stream: &Stream,
    mut buffer: BytesMut,
    peer: Peer,
) -> io::Result<()> {
    loop {
        if buffer.is_empty() && !wait_for_request(gate, stream, &mut buffer).await? {
            return Ok(());
        }
        let received = match timeout(HEAD_TIMEOUT, read_head(stream, &mut buffer)).await {
            Ok(head) => head?,
            Err(_) => Err(Refused::status(408, "the head of the request was not complete in time")),
        };
        let h1 = match received {
            Ok(Some(h1)) => h1,
            Ok(None) => return Ok(()),
            Err(refused) => {
                let mut responder = H1Responder::new(stream, Version::Http11, false);
                serve::refuse(refused, &mut responder).await;
                return linger(stream, &mut buffer).await;
            }
        };
        let H1Head { head, framing, keep_alive, expects_continue } = h1;
        let keep_alive = keep_alive && !gate.is_closing();
        let mut responder = H1Responder::new(stream, head.version, keep_alive);
        responder.expects_continue = expects_continue;
        responder.sends_interim = head.version == Version::Http11 && !gate.is_trusted(peer);
        let mut body = Body::new(stream, &mut buffer, framing);
        let served = serve::serve(gate, peer, &head, &mut body, &mut responder).await;
        let is_read = body.is_finished();
        drop(body);
        let keep_alive = responder.keeps_alive();
        match served {
            Served::Complete if is_read && keep_alive => {}
            Served::Complete => return linger(stream, &mut buffer).await,
            Served::Tunnel(tunnel) => return tunnel::run(gate, stream, buffer, tunnel).await,
            Served::Broken => return Ok(()),
        }
    }
}

/// Waits for the first bytes of a request; false when the connection is to be closed.
async fn wait_for_request(gate: &Gate, stream: &Stream, buffer: &mut BytesMut) -> io::Result<bool> {
    *buffer = BytesMut::new();
    tokio::select! {
        biased;
        ready = timeout(IDLE_TIMEOUT, stream.readable()) => match ready {
            Ok(ready) => ready?,
            Err(_) => return Ok(false),
        },
        () = gate.idle_unwanted() => return Ok(false),
    }
    buffer.reserve(SMALL);
    Ok(stream.read(buffer).await? > 0)
}

/// Reads a head; `None` when the client closed the connection before it began one.
async fn read_head(stream: &Stream, buffer: &mut BytesMut) -> io::Result<Result<Option<H1Head>, Refused>> {
    let mut scanner = HeadScanner::default();
    loop {
        match scanner.scan(buffer) {
            Err(refused) => return Ok(Err(refused)),
            Ok(Some(range)) => {
                buffer.advance(range.start);
                let head = buffer.split_to(range.len()).freeze();
                return Ok(head::parse(&head).map(Some));
            }
            Ok(None) => {}
        }
        buffer.reserve(SMALL / 2);
        if stream.read(buffer).await? == 0 {
            let is_cut = !buffer.iter().all(|byte| b"\r\n".contains(byte));
            return if is_cut { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(Ok(None)) };
        }
    }
}

/// Closes a connection on which the client may still send: closing it at once would make its system discard the
/// response.
async fn linger(stream: &Stream, buffer: &mut BytesMut) -> io::Result<()> {
    stream.shut_down();
    let discard = async {
        let mut total = 0;
        while total < MAX_LINGER {
            buffer.clear();
            buffer.reserve(SMALL);
            match stream.read(buffer).await? {
                0 => break,
                count => total += count,
            }
        }
        io::Result::Ok(())
    };
    timeout(LINGER_TIMEOUT, discard).await.unwrap_or(Ok(()))
}
