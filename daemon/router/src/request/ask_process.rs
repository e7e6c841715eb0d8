//! An administrator's request to one process, which bypasses nginx and the pool's choice of a process, but not the
//! process's session limit. The whole response is returned at once.

use std::fmt;
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

/// Most bytes of a response body that are kept.
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
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// The body was cut at the limit.
    pub(crate) cut: bool,
}

/// Why there is no response.
#[derive(Debug)]
pub(crate) enum AskError {
    /// The request is invalid.
    Impossible(&'static str),
    /// No process that takes requests has this PID.
    NoProcess,
    /// The process had no free session in time.
    Refused(Refused),
    /// The process did not respond in time.
    TooLong(Duration),
    Broken(io::Error),
    Reply(ResponseError),
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Impossible(why) => f.write_str(why),
            Self::NoProcess => f.write_str("no process with this PID takes requests"),
            Self::Refused(why) => why.fmt(f),
            Self::TooLong(limit) => write!(f, "it has not answered within {} s", limit.as_secs()),
            Self::Broken(why) => write!(f, "the connection to it broke: {why}"),
            Self::Reply(why) => why.fmt(f),
        }
    }
}

impl From<io::Error> for AskError {
    fn from(why: io::Error) -> Self {
        Self::Broken(why)
    }
}

impl From<ResponseError> for AskError {
    fn from(why: ResponseError) -> Self {
        Self::Reply(why)
    }
}

/// Sends the request to the process: waits at most `limit` for a session, and at most `limit` for the response.
pub(crate) async fn ask(
    router: &RouterState,
    request: &DirectRequest,
    limit: Duration,
) -> Result<Reply, AskError> {
    check(request)?;
    let lease = checkout(router, request.pid, limit).await?;
    let mut order = Vec::new();
    write(&lease.worker.route, request, &mut order)?;
    let answered = tokio::time::timeout(limit, converse(&lease, request.method == "HEAD", &order)).await;
    let answered = answered.unwrap_or(Err(AskError::TooLong(limit)));
    if answered.is_err() {
        // The process may still be working on the request.
        lease.release_when_free();
    }
    answered
}

/// Rejects what the app would read as something else.
fn check(request: &DirectRequest) -> Result<(), AskError> {
    let is_uri = request.uri.starts_with('/') && request.uri.bytes().all(|byte| byte.is_ascii_graphic());
    let is_header = |(name, value): &(String, String)| {
        is_token(name.as_bytes()) && !value.bytes().any(|byte| byte < b' ' && byte != b'\t')
    };
    let of_the_body = |(name, _): &(String, String)| {
        ["content-length", "transfer-encoding", "connection", "upgrade"]
            .iter()
            .any(|own| name.eq_ignore_ascii_case(own))
    };
    if !is_token(request.method.as_bytes()) {
        Err(AskError::Impossible("the method is no method"))
    } else if !is_uri {
        Err(AskError::Impossible("the URI must begin with / and hold no space"))
    } else if !request.headers.iter().all(is_header) {
        Err(AskError::Impossible("a header has no possible name or value"))
    } else if request.headers.iter().any(of_the_body) {
        Err(AskError::Impossible("a request has no body, and its connection is the daemon's"))
    } else {
        Ok(())
    }
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

fn write(route: &Route, request: &DirectRequest, out: &mut Vec<u8>) -> Result<(), AskError> {
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

async fn converse(lease: &Lease, to_head_request: bool, order: &[u8]) -> Result<Reply, AskError> {
    let (stream, _) = lease.connection().await?;
    (&mut &stream).write_all(order).await?;
    let decoder = Decoder::new(lease.worker.speaks_session(), to_head_request, false);
    let (reply, reusable) = read(&stream, decoder).await?;
    if reusable {
        lease.keep(stream);
    }
    Ok(reply)
}

/// Returns the response, and whether the connection can take another request.
async fn read(stream: &Stream, mut decoder: Decoder) -> Result<(Reply, bool), AskError> {
    let (mut input, mut head, mut reply) = (Input::default(), Head::default(), Reply::default());
    loop {
        if input.fill(&mut &*stream, SMALL).await? == 0 {
            decoder.at_eof()?;
            return Ok((reply, false));
        }
        loop {
            let (used, event) = decoder.next(input.unread(), &mut head)?;
            let more = event == Event::More;
            match event {
                Event::Head(_) => reply.take_head(&head),
                Event::Data(data) => reply.add(data),
                Event::More | Event::Interim | Event::End => {}
            }
            input.consume(used);
            if decoder.is_done() {
                return Ok((reply, decoder.is_reusable() && input.is_empty()));
            }
            if more && !decoder.follow_hijack() {
                break;
            }
        }
    }
}

impl Reply {
    fn take_head(&mut self, head: &Head) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        self.status = head.status;
        let headers = Pairs::parse(&head.pairs).ok();
        self.headers =
            headers.iter().flat_map(Pairs::iter).map(|(name, value)| (text(name), text(value))).collect();
    }

    fn add(&mut self, data: &[u8]) {
        let room = MAX_BODY - self.body.len();
        self.cut |= data.len() > room;
        self.body.extend_from_slice(&data[..data.len().min(room)]);
    }
}
