//! Accepts connections, as many as there are places for, and finds out which version of HTTP each uses.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tracing::{debug, error, warn};

use super::proxy_protocol;
use super::sockets::Listener;
use super::stream::Stream;
use crate::gate::Gate;
use crate::request::forwarded::{Peer, is_trusted};
use crate::{http1, http2};

/// Time for the PROXY header and the first bytes of a request.
const BEGIN_TIMEOUT: Duration = Duration::from_secs(60);
/// Pause after an error that would occur again at once, such as too many open files.
const ERROR_PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections until the gate closes.
pub(crate) async fn run(gate: Arc<Gate>, listener: Listener, places: Arc<Semaphore>) {
    loop {
        let accepted = tokio::select! {
            accepted = accept(&gate, &listener, &places) => accepted,
            () = gate.closing() => return,
        };
        match accepted {
            Ok((stream, peer, place)) => {
                let gate = Arc::clone(&gate);
                tokio::spawn(async move {
                    serve(&gate, stream, peer).await;
                    drop(place);
                });
            }
            Err(err) if is_of_one_connection(&err) => {}
            Err(err) => {
                error!("cannot accept a connection on {}: {err}", listener.address());
                sleep(ERROR_PAUSE).await;
            }
        }
    }
}

/// Waits for a place, then for a connection: connections without a place wait in the kernel's queue.
async fn accept(
    gate: &Gate,
    listener: &Listener,
    places: &Arc<Semaphore>,
) -> io::Result<(Stream, Peer, OwnedSemaphorePermit)> {
    let place = match Arc::clone(places).try_acquire_owned() {
        Ok(place) => place,
        Err(_) => {
            gate.need_place();
            Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?
        }
    };
    let (stream, address) = listener.accept().await?;
    Ok((stream, Peer { address, https: false }, place))
}

/// Whether the error concerns a connection that the client has given up.
fn is_of_one_connection(err: &io::Error) -> bool {
    matches!(err.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
}

async fn serve(gate: &Arc<Gate>, stream: Stream, peer: Peer) {
    let mut buffer = BytesMut::new();
    let begun = async {
        let configuration = gate.configuration();
        let mut peer = peer;
        if configuration.proxy_protocol {
            let address = peer.address.map(|address| address.ip());
            if !is_trusted(&configuration.trusted_proxies, address) {
                return Err(io::Error::other("it is not in trusted_proxies, and proxy_protocol is on"));
            }
            buffer.reserve(http1::SMALL);
            peer = proxy_protocol::read(&stream, &mut buffer, peer).await?;
        }
        is_http2(gate, &stream, &mut buffer).await.map(|is_http2| (peer, is_http2))
    };
    match timeout(BEGIN_TIMEOUT, begun).await {
        Ok(Ok((peer, Some(true)))) => http2::serve(gate, stream, buffer, peer).await,
        Ok(Ok((peer, Some(false)))) => http1::serve(gate, stream, buffer, peer).await,
        Ok(Ok((_, None))) => {}
        Ok(Err(problem)) if problem.kind() == io::ErrorKind::Other => {
            let name = peer.address.map_or_else(|| "a unix socket".to_owned(), |address| address.to_string());
            warn!("closed a connection of {name}: {problem}");
        }
        Ok(Err(problem)) => debug!("a connection ended before its first request: {problem}"),
        Err(_) => debug!("a connection sent no request in time"),
    }
}

/// Whether a connection begins with HTTP/2; `None` when it ends, or is to be closed, before it begins.
async fn is_http2(gate: &Gate, stream: &Stream, buffer: &mut BytesMut) -> io::Result<Option<bool>> {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    loop {
        let begin = &buffer[..buffer.len().min(PREFACE.len())];
        if !PREFACE.starts_with(begin) {
            return Ok(Some(false));
        }
        if begin.len() == PREFACE.len() {
            return Ok(Some(true));
        }
        if buffer.is_empty() {
            tokio::select! {
                biased;
                ready = stream.readable() => ready?,
                () = gate.idle_unwanted() => return Ok(None),
            }
            buffer.reserve(http1::SMALL);
        }
        if stream.read(buffer).await? == 0 {
            return Ok(None);
        }
    }
}
