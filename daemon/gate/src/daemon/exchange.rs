//! One request to the daemon and its response, both passed on while they arrive.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::{Buf, Bytes, BytesMut};
use module_core::response_body::{BodyDecoder, Piece};
use module_core::response_head::{find_head, find_interim};
use protocol::frame::{FLAG_END, FrameHeader, FrameType, HEADER_LEN};
use protocol::limits::MAX_RESPONSE_HEAD;
use protocol::request::BodyLength;

use super::{Connection, Daemon, head};
use crate::listen::stream::Stream;
use crate::request::{Head, Refused};
use crate::serve::response::{BodyError, RequestBody, Responder};

/// Space for the longest head, with a welcome and a goodbye before it.
const ROOM: usize = MAX_RESPONSE_HEAD as usize + 4096;
/// Bytes read at once.
const PART: usize = 64 * 1024;
const SMALL: usize = 4 * 1024;
/// How often a request is sent at most.
const MAX_ATTEMPTS: usize = 3;

/// A request for the daemon.
pub(crate) struct Exchange<'r> {
    pub(crate) head: &'r Head,
    pub(crate) frame: Vec<u8>,
}

/// How an exchange ended.
#[derive(Debug)]
pub(crate) enum Done {
    /// The response is complete.
    Complete,
    /// The app switched protocols.
    Tunnel(Tunnel),
}

/// A connection that belongs to client and app.
#[derive(Debug)]
pub(crate) struct Tunnel {
    pub(crate) stream: Connection,
    /// What the app has sent already.
    pub(crate) received: BytesMut,
}

/// Why an exchange failed.
#[derive(Debug)]
pub(crate) enum ExchangeError {
    /// The client has left.
    Client(io::Error),
    /// The client's body is invalid.
    Refused(Refused),
    /// The daemon did not send a complete response.
    Daemon(String),
}

/// How an attempt failed.
enum Failure {
    /// The daemon closed the connection before it received the request.
    NotSent,
    /// The daemon closed the connection before it sent anything of a response.
    NotAnswered,
    Final(ExchangeError),
}

impl From<ExchangeError> for Failure {
    fn from(err: ExchangeError) -> Self {
        Self::Final(err)
    }
}

fn client_left(err: io::Error) -> Failure {
    Failure::Final(ExchangeError::Client(err))
}

fn daemon_failed(problem: impl ToString) -> Failure {
    Failure::Final(ExchangeError::Daemon(problem.to_string()))
}

/// Sends a request and passes its response on. It is sent again only if nothing of it can have reached an application,
/// or if it is a GET, HEAD or OPTIONS without a body and nothing of a response has arrived.
///
/// # Errors
///
/// [`ExchangeError`]. A response may have begun.
pub(crate) async fn run<B: RequestBody, R: Responder>(
    daemon: &Arc<Daemon>,
    exchange: Exchange<'_>,
    body: &mut B,
    responder: &mut R,
) -> Result<Done, ExchangeError> {
    let head = exchange.head;
    let may_repeat =
        head.body == BodyLength::None && matches!(&head.method[..], b"GET" | b"HEAD" | b"OPTIONS");
    let mut attempts = 1;
    loop {
        let kept = if attempts == 1 { daemon.take_kept() } else { None };
        let connection = match kept {
            Some(connection) => connection,
            None => daemon.open(!may_repeat).await.map_err(|err| cannot_connect(daemon, &err))?,
        };
        match attempt(daemon, connection, &exchange, body, responder).await {
            Ok(done) => return Ok(done),
            Err(Failure::Final(err)) => return Err(err),
            Err(Failure::NotSent) if attempts < MAX_ATTEMPTS => {}
            Err(Failure::NotAnswered) if attempts < MAX_ATTEMPTS && may_repeat => {}
            Err(Failure::NotSent | Failure::NotAnswered) => {
                let problem = "flying-passenger closed the connection before it sent a response";
                return Err(ExchangeError::Daemon(problem.to_owned()));
            }
        }
        attempts += 1;
    }
}

fn cannot_connect(daemon: &Daemon, err: &io::Error) -> ExchangeError {
    let advice = match err.kind() {
        io::ErrorKind::PermissionDenied => {
            "; the gate's user may not connect: add it to the group of the socket (socket_owner)"
        }
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            "; check that the daemon runs and that its socket_file is the gate's"
        }
        _ => "",
    };
    ExchangeError::Daemon(format!(
        "cannot connect to flying-passenger at {}: {err}{advice}",
        daemon.socket().display()
    ))
}

async fn attempt<B: RequestBody, R: Responder>(
    daemon: &Arc<Daemon>,
    connection: Connection,
    exchange: &Exchange<'_>,
    body: &mut B,
    responder: &mut R,
) -> Result<Done, Failure> {
    let stream = connection.stream();
    let sent = match &connection.greeting {
        Some(greeting) => stream.write_all(&[greeting, &exchange.frame[..]].concat()).await,
        None => stream.write_all(&exchange.frame).await,
    };
    sent.map_err(|_| Failure::NotSent)?;
    let length = exchange.head.body;
    if !matches!(length, BodyLength::None | BodyLength::Known(0)) {
        responder.send_continue().await.map_err(client_left)?;
    }
    let uploaded = AtomicBool::new(false);
    let downloaded = tokio::select! {
        biased;
        downloaded = download(stream, exchange.head, responder) => downloaded?,
        err = upload(stream, length, body, &uploaded) => return Err(match err {
            BodyError::Gone(err) => client_left(err),
            BodyError::Refused(refused) => Failure::Final(ExchangeError::Refused(refused)),
        }),
    };
    match downloaded {
        Downloaded::Tunnel(received) => Ok(Done::Tunnel(Tunnel { stream: connection, received })),
        Downloaded::Complete { reusable } => {
            if reusable && uploaded.load(Ordering::Relaxed) {
                daemon.keep(connection);
            }
            Ok(Done::Complete)
        }
    }
}

/// Sends the body, then waits until the client leaves. Returns why the exchange is to end.
async fn upload<B: RequestBody>(
    stream: &Stream,
    length: BodyLength,
    body: &mut B,
    uploaded: &AtomicBool,
) -> BodyError {
    match send_body(stream, length, body).await {
        Ok(true) => {
            uploaded.store(true, Ordering::Relaxed);
            body.closed().await;
            BodyError::Gone(io::ErrorKind::ConnectionReset.into())
        }
        // The daemon takes no more of it: its response says why, or the connection is closed.
        Ok(false) => std::future::pending().await,
        Err(err) => err,
    }
}

/// Sends the body; false when the daemon does not take all of it.
async fn send_body<B: RequestBody>(
    stream: &Stream,
    length: BodyLength,
    body: &mut B,
) -> Result<bool, BodyError> {
    let mut left = match length {
        BodyLength::None | BodyLength::Known(0) => return Ok(true),
        BodyLength::Known(length) => Some(length),
        BodyLength::Unknown => None,
    };
    let mut frame = Vec::new();
    loop {
        let part = body.next().await?;
        let is_end = part.is_none();
        let part = part.unwrap_or_default();
        left = left.map(|left| left.saturating_sub(part.len() as u64));
        let is_last = is_end || left == Some(0);
        if is_end && left.is_some_and(|left| left > 0) {
            return Err(BodyError::Refused(Refused::bad("the body is shorter than announced")));
        }
        put_body_frame(&part, is_last, &mut frame);
        if stream.write_patiently(&frame).await.is_err() {
            return Ok(false);
        }
        frame.clear();
        if is_last {
            return Ok(true);
        }
    }
}

fn put_body_frame(part: &Bytes, is_last: bool, out: &mut Vec<u8>) {
    let flags = if is_last { FLAG_END } else { 0 };
    let header = FrameHeader::new(FrameType::RequestBody, flags, part.len() as u32);
    out.reserve(HEADER_LEN + part.len());
    out.extend_from_slice(&header.encode());
    out.extend_from_slice(part);
}

enum Downloaded {
    Complete { reusable: bool },
    Tunnel(BytesMut),
}

async fn download<R: Responder>(
    stream: &Stream,
    request: &Head,
    responder: &mut R,
) -> Result<Downloaded, Failure> {
    let mut received = BytesMut::new();
    let mut has_interim = false;
    loop {
        while let Some(found) = find_interim(&received).map_err(daemon_failed)? {
            let framing = head::framing(found.response.head.status, BodyLength::None, request);
            let interim = head::for_client(&found, framing).map_err(daemon_failed)?;
            let used = found.used;
            received.advance(used);
            has_interim = true;
            // Only early hints are passed on: others concern the app's own connection.
            if interim.status == 103 {
                responder.interim(interim).await.map_err(client_left)?;
            }
        }
        if let Some(found) = find_head(&received, ROOM).map_err(daemon_failed)? {
            let response = found.response.head;
            let framing = head::framing(response.status, response.body, request);
            head::check(framing, request).map_err(daemon_failed)?;
            let for_client = head::for_client(&found, framing).map_err(daemon_failed)?;
            let (used, ends, is_last) = (found.used, found.ends, found.is_last);
            let body = head::body(framing, &received[used..], ends);
            let is_tunnel = response.status == 101;
            let decoder = BodyDecoder::new(response.body, ends);
            responder.head(for_client, body).await.map_err(client_left)?;
            received.advance(used);
            if is_tunnel {
                responder.flush().await.map_err(client_left)?;
                return Ok(Downloaded::Tunnel(received));
            }
            let is_exact = download_body(stream, received, decoder, responder).await?;
            return Ok(Downloaded::Complete { reusable: is_exact && !is_last });
        }
        if read(stream, &mut received, responder).await? == 0 {
            return Err(if has_interim {
                daemon_failed("flying-passenger closed the connection before it sent a response")
            } else {
                Failure::NotAnswered
            });
        }
    }
}

/// Passes a body on. Returns whether nothing follows it.
async fn download_body<R: Responder>(
    stream: &Stream,
    mut received: BytesMut,
    mut decoder: BodyDecoder,
    responder: &mut R,
) -> Result<bool, Failure> {
    loop {
        let mut at = 0;
        match decoder.next(&received, &mut at).map_err(daemon_failed)? {
            Piece::Data(range) => {
                received.advance(range.start);
                let part = received.split_to(range.len()).freeze();
                responder.data(part).await.map_err(client_left)?;
            }
            Piece::NeedMore => {
                received.advance(at);
                responder.flush().await.map_err(client_left)?;
                if read(stream, &mut received, responder).await? == 0 {
                    return Err(daemon_failed("flying-passenger closed the connection inside a response"));
                }
            }
            Piece::End { used } => {
                responder.end().await.map_err(client_left)?;
                return Ok(used == received.len());
            }
        }
    }
}

/// Reads from the daemon, unless the client gives the response up. An idle stream occupies no memory.
async fn read<R: Responder>(
    stream: &Stream,
    received: &mut BytesMut,
    responder: &mut R,
) -> Result<usize, Failure> {
    loop {
        let reserved = if received.is_empty() { SMALL } else { PART };
        received.reserve(reserved);
        match stream.try_read(received) {
            Ok(count) => {
                if count >= SMALL {
                    received.reserve(PART);
                }
                return Ok(count);
            }
            Err(err) if err.kind() == io::ErrorKind::WouldBlock => {}
            // As if it had been closed.
            Err(_) => return Ok(0),
        }
        if received.is_empty() {
            *received = BytesMut::new();
        }
        tokio::select! {
            biased;
            ready = stream.readable() => {
                if ready.is_err() {
                    return Ok(0);
                }
            }
            () = responder.given_up() => return Err(client_left(io::ErrorKind::ConnectionReset.into())),
        }
    }
}
