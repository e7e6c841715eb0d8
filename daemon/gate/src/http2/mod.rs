//! HTTP/2 without TLS ("h2c"), for clients that know that the gate speaks it: several requests at the same time on one
//! connection. `h2`, hyper's implementation, decodes frames and headers; the checks of HTTP/1 apply as well.

mod head;
mod prefixed;
mod streams;

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use h2::RecvStream;
use h2::server::{Builder, SendResponse};
use protocol::request::BodyLength;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tracing::debug;

use crate::gate::Gate;
use crate::listen::stream::Stream;
use crate::request::check::MAX_HEAD;
use crate::request::forwarded::Peer;
use crate::serve::{self, Served};
use prefixed::Prefixed;
use streams::{H2Body, H2Responder};

/// Requests at the same time on a connection.
const MAX_STREAMS: u32 = 128;
/// Bytes of request bodies that a client may send ahead, of one request and of all.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Bytes of responses that wait for a client.
const SEND_BUFFER: usize = 256 * 1024;
/// Streams that the client has reset and that were not accepted yet: more end the connection.
const MAX_RESETS: usize = 32;
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Time without a request after which a connection is closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);
/// Time for the client to close a connection on which everything is finished.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// Serves a connection until it ends. `read` contains what was read already.
pub(crate) async fn serve(gate: &Arc<Gate>, stream: Stream, read: BytesMut, peer: Peer) {
    if let Err(problem) = serve_streams(gate, Prefixed::new(read, stream), peer).await {
        debug!("a connection of a client ended: {problem}");
    }
}

async fn serve_streams(gate: &Arc<Gate>, stream: Prefixed, peer: Peer) -> Result<(), h2::Error> {
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(MAX_STREAMS)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(MAX_HEAD as u32)
        .max_send_buffer_size(SEND_BUFFER)
        .max_concurrent_reset_streams(MAX_RESETS)
        .max_pending_accept_reset_streams(MAX_RESETS);
    let handshake = timeout(HANDSHAKE_TIMEOUT, builder.handshake::<_, Bytes>(stream)).await;
    let Ok(handshake) = handshake else { return Ok(()) };
    let mut connection = handshake?;
    let active = Arc::new(Semaphore::new(MAX_STREAMS as usize));
    let mut is_ending = false;
    loop {
        let is_idle = active.available_permits() == MAX_STREAMS as usize;
        tokio::select! {
            accepted = connection.accept() => {
                let Some(accepted) = accepted else { return Ok(()) };
                let (request, respond) = accepted?;
                let Ok(permit) = Arc::clone(&active).try_acquire_owned() else { continue };
                let gate = Arc::clone(gate);
                tokio::spawn(async move {
                    serve_stream(&gate, request, respond, peer).await;
                    drop(permit);
                });
            }
            () = gate.idle_unwanted(), if is_idle && !is_ending => {
                is_ending = true;
                connection.graceful_shutdown();
            }
            () = gate.closing(), if !is_ending => {
                is_ending = true;
                connection.graceful_shutdown();
            }
            () = sleep(if is_ending { END_TIMEOUT } else { IDLE_TIMEOUT }), if is_idle => {
                if is_ending {
                    return Ok(());
                }
                is_ending = true;
                connection.graceful_shutdown();
            }
            // Wakes this loop when the last request ends, so that the time without requests begins.
            () = all_free(&active), if !is_idle => {}
        }
    }
}

async fn all_free(active: &Semaphore) {
    // The semaphore is never closed.
    let _all = active.acquire_many(MAX_STREAMS).await;
}

async fn serve_stream(
    gate: &Arc<Gate>,
    request: http::Request<RecvStream>,
    respond: SendResponse<Bytes>,
    peer: Peer,
) {
    let (parts, mut body) = request.into_parts();
    let mut responder = H2Responder::new(respond, head::expects_continue(&parts));
    let head = match head::parse(&parts, body.is_end_stream()) {
        // The daemon takes a request with this length for complete, so the end of the body comes first.
        Ok(head) if head.body == BodyLength::Known(0) && !is_empty(&mut body).await => {
            return responder.reset();
        }
        Ok(head) => head,
        Err(refused) => {
            serve::refuse(refused, &mut responder).await;
            return;
        }
    };
    let mut body = H2Body::new(body);
    match serve::serve(gate, peer, &head, &mut body, &mut responder).await {
        Served::Complete => {}
        Served::Tunnel(_) | Served::Broken => responder.reset(),
    }
}

/// Waits for the end of a body of length 0. `h2` refuses a body that is longer than announced.
async fn is_empty(body: &mut RecvStream) -> bool {
    while let Some(part) = body.data().await {
        if !part.is_ok_and(|part| part.is_empty()) {
            return false;
        }
    }
    true
}
