//! A response's head: the daemon's frames decoded into nginx's status and headers.

use module_core::response_body::{BodyDecoder, complete_length};
use module_core::response_head::{Head, HeadError, find_head, find_interim};
use module_core::response_headers::{Framing, HeaderAction, named_header_action};
use module_core::served::ServedBy;
use protocol::request::BodyLength;
use protocol::response::LOG_LINE;

use crate::ffi::request::Request;
use crate::ffi::upstream::reply::{HeaderError, Reply};
use crate::ffi::upstream::response_body::ResponseBody;

/// The facts about a response whose head was found.
#[derive(Debug)]
pub(crate) struct DecodedHead {
    /// Length of the head, in bytes.
    pub(crate) used: usize,
    /// Which process sent the response.
    pub(crate) served_by: ServedBy,
    /// Decoder of the bytes that follow.
    pub(crate) body: ResponseBody,
}

/// Why a head cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResponseError {
    /// The daemon's frames are invalid.
    #[error("{0}")]
    Frames(#[from] HeadError),
    /// A header is not allowed in HTTP, such as one that contains a line break.
    #[error("invalid header in the app's response: {0}")]
    BadHeader(String),
    /// The status does not complete a request.
    #[error("unexpected status {0} in the app's response")]
    BadStatus(u16),
    /// The body is longer than nginx can announce.
    #[error("Content-Length of 2^63 or more in the app's response")]
    BadLength,
    /// nginx refuses a header and has logged which.
    #[error("nginx rejected a header of the app's response")]
    RefusedByNginx,
    /// nginx is out of memory.
    #[error("out of memory")]
    OutOfMemory,
}

impl From<HeaderError> for ResponseError {
    fn from(err: HeaderError) -> Self {
        match err {
            HeaderError::Invalid | HeaderError::NotAName => Self::RefusedByNginx,
            HeaderError::Failed => Self::OutOfMemory,
        }
    }
}

/// Searches the received bytes for an interim response and passes it to nginx; also returns its length in bytes.
///
/// # Errors
///
/// [`ResponseError`]: the client gets 502.
pub(crate) fn read_interim(reply: &mut Reply<'_>, bytes: &[u8]) -> Result<Option<usize>, ResponseError> {
    let Some(head) = find_interim(bytes)? else {
        return Ok(None);
    };
    let status = head.response.head.status;
    if status != 103 {
        return Err(ResponseError::BadStatus(status));
    }
    let framing = Framing { status, body: BodyLength::None, head_request: false, http1: true };
    pass_head(&head, framing, reply)?;
    Ok(Some(head.used))
}

/// Searches the received bytes for a head and passes it to nginx. `None` means that more bytes are needed.
///
/// # Errors
///
/// [`ResponseError`]: the client gets 502.
pub(crate) fn read_head(
    request: Request<'_>,
    is_upgrade: bool,
    reply: &mut Reply<'_>,
    bytes: &[u8],
    room: usize,
) -> Result<Option<DecodedHead>, ResponseError> {
    let Some(head) = find_head(bytes, room)? else {
        return Ok(None);
    };
    let rest = bytes.get(head.used..).unwrap_or_default();
    let protocol::response::ResponseHead { status, process_pid: pid, queue_us, app_us, .. } =
        head.response.head;
    let served_by = ServedBy { pid, queue_us, app_us };
    let framing = Framing {
        status,
        body: head.response.head.body,
        head_request: request.is_head(),
        http1: request.is_http_1(),
    };
    if !framing.is_length_possible() {
        return Err(ResponseError::BadLength);
    }
    if pid == 0
        && let Some((_, line)) = head.response.headers.into_iter().find(|(name, _)| *name == LOG_LINE)
    {
        request.log().error(format_args!("flying-passenger: {}", String::from_utf8_lossy(line)));
    }
    pass_head(&head, framing, reply)?;
    if status == 101 {
        if !is_upgrade {
            return Err(ResponseError::BadStatus(101));
        }
        // A tunnel: the connection belongs to the client and the app; nginx first sends the bytes after the head.
        reply.set_upgrade();
        let body = ResponseBody::new(BodyDecoder::new(BodyLength::None, true), true);
        return Ok(Some(DecodedHead { used: head.used, served_by, body }));
    }
    if status < 200 {
        return Err(ResponseError::BadStatus(status));
    }
    begin_body(&head, framing, rest, reply);
    // After a goodbye the daemon accepts no other request on this connection.
    let body = ResponseBody::new(BodyDecoder::new(framing.body, head.ends), head.is_last);
    Ok(Some(DecodedHead { used: head.used, served_by, body }))
}

fn pass_head(head: &Head<'_>, framing: Framing, reply: &mut Reply<'_>) -> Result<(), ResponseError> {
    reply.set_status(framing.status, phrase(head)?)?;
    let is_daemons = head.response.head.process_pid == 0;
    for (name, value) in head.response.headers {
        if is_daemons && name == LOG_LINE {
            continue;
        }
        let bad_header = || ResponseError::BadHeader(name.escape_ascii().to_string());
        match named_header_action(name, value, framing) {
            HeaderAction::Forward => match reply.add_header(name, value) {
                Err(HeaderError::NotAName) => return Err(bad_header()),
                added => added?,
            },
            HeaderAction::Drop => {}
            HeaderAction::Reject => return Err(bad_header()),
        }
    }
    Ok(())
}

/// Returns the reason phrase; empty for nginx's own line, which it has for all but informational ones.
fn phrase<'h>(head: &Head<'h>) -> Result<&'h [u8], ResponseError> {
    let (status, reason) = (head.response.head.status, head.response.head.reason);
    if reason.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
        return Err(ResponseError::BadHeader(format!("status {status} {}", reason.escape_ascii())));
    }
    Ok(if status == 101 && reason.is_empty() { b"Switching Protocols" } else { reason })
}

fn begin_body(head: &Head<'_>, framing: Framing, rest: &[u8], reply: &mut Reply<'_>) {
    // With the whole response received the connection is free, whatever nginx does with the body: for HEAD, 304,
    // X-Accel-Redirect and error_page it never reads it.
    let body = if framing.has_no_body() { BodyLength::None } else { framing.body };
    let complete = complete_length(rest, body, head.ends);
    if complete.is_some() && !head.is_last {
        reply.set_reusable();
    }
    if framing.has_no_body() {
        return;
    }
    // A known length avoids chunks for the client and a write for this worker.
    if let Some(len) = framing.length().or(complete) {
        reply.set_content_length(len);
    }
}
