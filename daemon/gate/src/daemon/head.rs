//! The head of a response: the daemon's frame, checked as the nginx module checks it.

use module_core::response_body::complete_length;
use module_core::response_head::Head as DaemonHead;
use module_core::response_headers::{Framing, HeaderAction, header_action};
use protocol::request::BodyLength;

use crate::request::{Head, Version};
use crate::serve::response::{ResponseBody, ResponseHead};

/// Returns the facts about a response's body.
pub(crate) fn framing(status: u16, body: BodyLength, request: &Head) -> Framing {
    Framing { status, body, head_request: request.is_head(), http1: request.version != Version::Http2 }
}

/// Returns the head for the client.
///
/// # Errors
///
/// Why the response cannot be passed on.
pub(crate) fn for_client(head: &DaemonHead<'_>, framing: Framing) -> Result<ResponseHead, String> {
    let reason = head.response.head.reason;
    if reason.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
        return Err(format!("invalid reason phrase in the app's response: {}", reason.escape_ascii()));
    }
    let mut headers = Vec::with_capacity(16);
    for (name, value) in head.response.headers {
        match header_action(name, value, framing) {
            HeaderAction::Forward if !controls_nginx(name) => headers.push((name.to_vec(), value.to_vec())),
            HeaderAction::Forward | HeaderAction::Drop => {}
            HeaderAction::Reject => {
                return Err(format!("invalid header in the app's response: {}", name.escape_ascii()));
            }
        }
    }
    Ok(ResponseHead { status: framing.status, reason: reason.to_vec(), headers })
}

/// Checks the status of a final response.
///
/// # Errors
///
/// Why the response cannot be passed on.
pub(crate) fn check(framing: Framing, request: &Head) -> Result<(), String> {
    let status = framing.status;
    if !framing.is_length_possible() {
        return Err("Content-Length of 2^63 or more in the app's response".to_owned());
    }
    if status < 200 && !(status == 101 && request.upgrade) {
        return Err(format!("unexpected status {status} in the app's response"));
    }
    Ok(())
}

/// Returns the body for the client. `rest` is what follows the head: a body that was received completely has a length.
pub(crate) fn body(framing: Framing, rest: &[u8], ends: bool) -> ResponseBody {
    if framing.has_no_body() {
        return ResponseBody::None;
    }
    let length = framing.length().or_else(|| complete_length(rest, framing.body, ends));
    length.map_or(ResponseBody::Unknown, ResponseBody::Known)
}

/// Whether the header is for nginx: clients do not receive it.
fn controls_nginx(name: &[u8]) -> bool {
    const BEGIN: &[u8] = b"x-accel-";
    name.get(..BEGIN.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(BEGIN))
}
