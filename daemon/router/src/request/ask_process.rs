//! An administrator's request to one process, which bypasses nginx and the pool's choice of a process, but not the
//! process's session limit. The whole response is returned at once.

use std::io;
use std::time::Duration;

use protocol::pairs::{self, Pairs};
use protocol::request::{AppRef, BodyLength, Request, RequestHead};
use protocol::settings::Digest;
use tokio::io::AsyncWriteExt;

use super::write_head;
use crate::app::route::Route;
use crate::app_protocol::buffer::{Input, SMALL};
use crate::app_protocol::response_head::{Event, Head, ResponseError, is_token};
use crate::dispatch::{Lease, Refused};
use crate::response::relay::Decoder;
use crate::state::RouterState;
use crate::sys::stream::Stream;

/// Maximum size of a response body, in bytes; the rest is discarded.
const MAX_BODY: usize = 1024 * 1024;

/// The request.
#[derive(Debug)]
pub(crate) struct DirectRequest {
    pub(crate) pid: i32,
    pub(crate) method: String,
    pub(crate) uri: String,
    pub(crate) headers: Vec<(String, String)>,
}

/// The process's response.
#[derive(Debug, Default)]
pub(crate) struct DirectResponse {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// The body was longer than the limit.
    pub(crate) truncated: bool,
}

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    /// The request is invalid.
    #[error("{0}")]
    Invalid(&'static str),
    #[error("no process that accepts requests has this PID")]
    NoProcess,
    /// The process had no free session in time.
    #[error("{0}")]
    Refused(Refused),
    #[error("it did not respond within {} s", .0.as_secs())]
    TimedOut(Duration),
    #[error("the connection to it failed: {0}")]
    Connection(#[from] io::Error),
    #[error(transparent)]
    Response(#[from] ResponseError),
}

/// Sends the request to the process: waits at most `limit` for a session, and at most `limit` for the response.
pub(crate) async fn ask(
    router: &RouterState,
    request: &DirectRequest,
    limit: Duration,
) -> Result<DirectResponse, AskError> {
    check(request)?;
    let lease = checkout(router, request.pid, limit).await?;
    let mut encoded = Vec::new();
    encode(&lease.worker.route, request, &mut encoded)?;
    let exchange = exchange(&lease, request.method == "HEAD", &encoded);
    let response = tokio::time::timeout(limit, exchange).await.unwrap_or(Err(AskError::TimedOut(limit)));
    if response.is_err() {
        // The process may still be working on the request.
        lease.release_when_free();
    }
    response
}

/// Rejects what the app would read as something else.
fn check(request: &DirectRequest) -> Result<(), AskError> {
    let is_uri = request.uri.starts_with('/') && request.uri.bytes().all(|byte| byte.is_ascii_graphic());
    let is_header = |(name, value): &(String, String)| {
        is_token(name.as_bytes()) && !value.bytes().any(|byte| byte < b' ' && byte != b'\t')
    };
    let is_of_the_connection = |(name, _): &(String, String)| {
        ["content-length", "transfer-encoding", "connection", "upgrade"]
            .iter()
            .any(|own| name.eq_ignore_ascii_case(own))
    };
    let invalid = if !is_token(request.method.as_bytes()) {
        "invalid method"
    } else if !is_uri {
        "invalid URI: must begin with / and contain neither spaces nor control characters"
    } else if !request.headers.iter().all(is_header) {
        "invalid name or value of a header"
    } else if request.headers.iter().any(is_of_the_connection) {
        "headers of the body and of the connection cannot be set: the request has no body"
    } else {
        return Ok(());
    };
    Err(AskError::Invalid(invalid))
}

async fn checkout(router: &RouterState, pid: i32, limit: Duration) -> Result<Lease, AskError> {
    let found = router.dispatcher.inspect(|_, workers| {
        let worker = workers.values().find(|worker| worker.record.pid == pid)?;
        Some((worker.route.group, worker.sticky_number))
    });
    let (group, number) = found.ok_or(AskError::NoProcess)?;
    if let Some(lease) = router.dispatcher.take(pid) {
        return Ok(lease);
    }
    let lease = router.dispatcher.checkout(group, Some(number), Some(limit)).await;
    let lease = lease.map_err(AskError::Refused)?;
    // Another process is returned if this one no longer takes requests.
    if lease.worker.record.pid == pid { Ok(lease) } else { Err(AskError::NoProcess) }
}

fn encode(route: &Route, request: &DirectRequest, out: &mut Vec<u8>) -> Result<(), AskError> {
    let mut headers = Vec::new();
    if !request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        pairs::put(&mut headers, b"Host", b"localhost");
    }
    for (name, value) in &request.headers {
        pairs::put(&mut headers, name.as_bytes(), value.as_bytes());
    }
    let headers = Pairs::parse(&headers).map_err(io::Error::other)?;
    let head = head(route, request);
    write_head(&Request { head, settings: &[], headers }, route.kind, &route.settings, out);
    Ok(())
}

fn head<'a>(route: &'a Route, request: &'a DirectRequest) -> RequestHead<'a> {
    RequestHead {
        settings_digest: Digest::of(&[]),
        settings_len: 0,
        app: AppRef { group: route.name.as_bytes(), root: &[], kind: route.kind, start_command: &[] },
        method: request.method.as_bytes(),
        uri: request.uri.as_bytes(),
        base_uri: route.base_uri.as_bytes(),
        document_root: &[],
        remote_addr: b"127.0.0.1",
        remote_port: 0,
        remote_user: &[],
        server_software: route.server_software.as_bytes(),
        https: false,
        upgrade: false,
        started_ms: common::sys::clock::now_ms(),
        body: BodyLength::None,
    }
}

async fn exchange(lease: &Lease, to_head_request: bool, request: &[u8]) -> Result<DirectResponse, AskError> {
    let (stream, _) = lease.connection().await?;
    (&mut &stream).write_all(request).await?;
    let decoder = Decoder::new(lease.worker.speaks_session(), to_head_request, false);
    let (response, reusable) = read(&stream, decoder).await?;
    if reusable {
        lease.keep(stream);
    }
    Ok(response)
}

/// Returns the response, and whether the connection can take another request.
async fn read(stream: &Stream, mut decoder: Decoder) -> Result<(DirectResponse, bool), AskError> {
    let (mut input, mut head, mut response) = (Input::default(), Head::default(), DirectResponse::default());
    loop {
        if input.fill(&mut &*stream, SMALL).await? == 0 {
            decoder.at_eof()?;
            return Ok((response, false));
        }
        loop {
            let (used, event) = decoder.next(input.unread(), &mut head)?;
            let more = event == Event::More;
            match event {
                Event::Head(_) => response.set_head(&head),
                Event::Data(data) => response.add(data),
                Event::More | Event::Interim | Event::End => {}
            }
            input.consume(used);
            if decoder.is_done() {
                return Ok((response, decoder.is_reusable() && input.is_empty()));
            }
            if more && !decoder.follow_hijack() {
                break;
            }
        }
    }
}

impl DirectResponse {
    fn set_head(&mut self, head: &Head) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        self.status = head.status;
        let headers = Pairs::parse(&head.pairs).ok();
        self.headers =
            headers.iter().flat_map(Pairs::iter).map(|(name, value)| (text(name), text(value))).collect();
    }

    fn add(&mut self, data: &[u8]) {
        let room = MAX_BODY - self.body.len();
        self.truncated |= data.len() > room;
        self.body.extend_from_slice(&data[..data.len().min(room)]);
    }
}
