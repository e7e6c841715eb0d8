//! Decoder of the frames before a response's body.
//! It is called again with more bytes until the head is complete; it keeps no state, as all bytes are still in nginx's
//! buffer, whose size limits what the daemon can send.

use protocol::frame::{FrameError, FrameHeader, FrameType, HEADER_LEN};
use protocol::hello::{Refusal, Welcome};
use protocol::response::{Abort, AbortReason, Response};
use protocol::{PayloadError, ReadError};

/// A complete response head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head<'a> {
    /// The head with its headers.
    pub response: Response<'a>,
    /// The head's frame is marked as the last: no body follows.
    pub ends: bool,
    /// Number of bytes consumed; the body's frames follow.
    pub used: usize,
    /// The daemon sent a goodbye: the connection must not carry another request.
    pub is_last: bool,
}

/// Why there is no response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// The daemon refuses this module's protocol.
    #[error(
        "flying-passenger {} refuses the nginx module {}: {}",
        .0.daemon_version,
        env!("CARGO_PKG_VERSION"),
        .0.advice
    )]
    Refused(Refusal),
    /// The daemon aborted the request.
    #[error("flying-passenger aborted the request ({}): {message}", name(*.0), message = .1)]
    Aborted(AbortReason, String),
    /// A frame of this type is not allowed here.
    #[error("flying-passenger sent a {0:?} frame instead of a response")]
    Unexpected(FrameType),
    /// The head does not fit nginx's buffer.
    #[error(
        "response headers of {needed} bytes exceed the {room} bytes left in nginx's buffer; increase \
         passenger_buffer_size"
    )]
    TooLong {
        /// Size of the frame.
        needed: usize,
        /// Size of the buffer.
        room: usize,
    },
    /// The bytes are not a frame.
    #[error("flying-passenger sent an invalid frame: {0}")]
    Frame(#[from] FrameError),
    /// The payload of a frame is invalid.
    #[error("flying-passenger sent an invalid frame payload: {0}")]
    Payload(#[from] PayloadError),
    /// The payload of a handshake frame is invalid.
    #[error("flying-passenger sent an invalid handshake: {0}")]
    Handshake(#[from] ReadError),
}

/// Searches for the response head. `room` is the size of the buffer of `bytes`, less the bytes before them.
///
/// `Ok(None)` means that more bytes are needed.
///
/// # Errors
///
/// [`HeadError`]: the request has failed and the connection cannot be reused.
pub fn find_head(bytes: &[u8], room: usize) -> Result<Option<Head<'_>>, HeadError> {
    let mut used = 0;
    let mut is_last = false;
    loop {
        let rest = bytes.get(used..).unwrap_or_default();
        let Some(header) = FrameHeader::decode(rest)? else {
            return Ok(None);
        };
        check_kind(header.kind)?;
        let end = used + HEADER_LEN + header.len as usize;
        if end > room {
            return Err(HeadError::TooLong { needed: end - used, room: room - used });
        }
        let Some(payload) = bytes.get(used + HEADER_LEN..end) else {
            return Ok(None);
        };
        used = end;
        match header.kind {
            FrameType::Refused => return Err(refusal(payload)),
            FrameType::Abort => return Err(abort(payload)),
            FrameType::Response => {
                let response = Response::decode(payload)?;
                return Ok(Some(Head { response, ends: header.is_end(), used, is_last }));
            }
            // Sent at the moment when the request was written.
            FrameType::Goodbye => is_last = true,
            // Not passed on where nginx does not support it (see `find_interim`), but invalid bytes are always refused.
            FrameType::Interim => {
                Response::decode(payload)?;
            }
            // A welcome needs no response.
            _ => {}
        }
    }
}

/// Returns the interim response (103) before the head, if it has been received completely; for an nginx that can send
/// it. Frames after a goodbye are not read: the goodbye must be found again with the head.
///
/// # Errors
///
/// As for [`find_head`], which returns them again.
pub fn find_interim(bytes: &[u8]) -> Result<Option<Head<'_>>, HeadError> {
    let mut used = 0;
    loop {
        let rest = bytes.get(used..).unwrap_or_default();
        let Some(header) = FrameHeader::decode(rest)? else {
            return Ok(None);
        };
        let end = used + HEADER_LEN + header.len as usize;
        match (header.kind, bytes.get(used + HEADER_LEN..end)) {
            (FrameType::Welcome, Some(_)) => used = end,
            (FrameType::Interim, Some(payload)) => {
                let response = Response::decode(payload)?;
                return Ok(Some(Head { response, ends: false, used: end, is_last: false }));
            }
            _ => return Ok(None),
        }
    }
}

/// A message of the daemon on a connection without a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Greeting {
    /// Accepts the hello; this many bytes are consumed.
    Welcome(usize),
    /// The connection must be closed.
    Goodbye,
}

/// Decodes the first message on a connection without a request. `Ok(None)` means that more bytes are needed.
///
/// # Errors
///
/// [`HeadError`]: the daemon sent something else.
pub fn find_greeting(bytes: &[u8]) -> Result<Option<Greeting>, HeadError> {
    let Some(header) = FrameHeader::decode(bytes)? else {
        return Ok(None);
    };
    let end = HEADER_LEN + header.len as usize;
    let payload = bytes.get(HEADER_LEN..end);
    match (header.kind, payload) {
        (FrameType::Goodbye, _) => Ok(Some(Greeting::Goodbye)),
        (FrameType::Welcome | FrameType::Refused | FrameType::Abort, None) => Ok(None),
        (FrameType::Refused, Some(payload)) => Err(refusal(payload)),
        (FrameType::Abort, Some(payload)) => Err(abort(payload)),
        (FrameType::Welcome, Some(payload)) => {
            Welcome::decode(payload)?;
            Ok(Some(Greeting::Welcome(end)))
        }
        (other, _) => Err(HeadError::Unexpected(other)),
    }
}

fn check_kind(kind: FrameType) -> Result<(), HeadError> {
    match kind {
        FrameType::Welcome
        | FrameType::Refused
        | FrameType::Interim
        | FrameType::Response
        | FrameType::Abort
        | FrameType::Goodbye => Ok(()),
        _ => Err(HeadError::Unexpected(kind)),
    }
}

fn refusal(payload: &[u8]) -> HeadError {
    Refusal::decode(payload).map_or_else(HeadError::Handshake, HeadError::Refused)
}

fn abort(payload: &[u8]) -> HeadError {
    Abort::decode(payload)
        .map_or_else(HeadError::Payload, |abort| HeadError::Aborted(abort.reason, abort.message.to_owned()))
}

/// Describes which side caused the failure.
pub fn name(reason: AbortReason) -> &'static str {
    match reason {
        AbortReason::AppClosed => "the app closed its connection",
        AbortReason::AppMalformed => "the app's response is malformed",
        AbortReason::BadRequest => "invalid request",
        AbortReason::ShuttingDown => "shutting down",
        AbortReason::Internal => "internal error",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use protocol::hello::Hello;
    use protocol::pairs;
    use protocol::request::BodyLength;
    use protocol::response::ResponseHead;

    use super::*;

    const ROOM: usize = 16 * 1024;

    fn head(status: u16) -> ResponseHead<'static> {
        ResponseHead {
            status,
            reason: b"",
            body: BodyLength::Known(2),
            process_pid: 1,
            queue_us: 0,
            app_us: 0,
        }
    }

    fn response(kind: FrameType, status: u16) -> Vec<u8> {
        let mut out = Vec::new();
        head(status).write_frame(kind, 0, |out| pairs::put(out, b"A", b"b"), &mut out).unwrap();
        out
    }

    fn goodbye() -> Vec<u8> {
        FrameHeader::new(FrameType::Goodbye, 0, 0).encode().to_vec()
    }

    fn welcome() -> Vec<u8> {
        Welcome { version: 1, daemon_version: "1.0".into() }.to_frame()
    }

    #[test]
    fn a_response_is_found_behind_welcome_and_interim_frames() {
        let front =
            [welcome(), response(FrameType::Interim, 103), response(FrameType::Response, 200)].concat();
        let bytes = [front.clone(), b"body".to_vec()].concat();
        let found = find_head(&bytes, ROOM).unwrap().unwrap();
        assert_eq!((found.response.head.status, found.used, found.ends), (200, front.len(), false));
        assert!(!found.is_last);
    }

    #[test]
    fn the_response_after_a_goodbye_is_the_last() {
        let response = response(FrameType::Response, 200);
        let bytes = [goodbye(), welcome(), response].concat();
        let found = find_head(&bytes, ROOM).unwrap().unwrap();
        assert!(found.is_last && found.used == bytes.len());
    }

    #[test]
    fn no_interim_response_hides_a_goodbye() {
        let interim = response(FrameType::Interim, 103);
        assert!(find_interim(&interim).unwrap().is_some());
        let bytes = [goodbye(), interim, response(FrameType::Response, 200)].concat();
        assert_eq!(find_interim(&bytes), Ok(None));
        assert!(find_head(&bytes, ROOM).unwrap().unwrap().is_last);
    }

    #[test]
    fn an_incomplete_head_needs_more_bytes() {
        let bytes = [welcome(), response(FrameType::Response, 200)].concat();
        for end in 0..bytes.len() {
            assert_eq!(find_head(&bytes[..end], ROOM), Ok(None), "cut at {end}");
        }
    }

    #[test]
    fn rejects_a_head_larger_than_the_buffer() {
        let bytes = response(FrameType::Response, 200);
        assert!(find_head(&bytes, bytes.len()).is_ok());
        let refused = find_head(&bytes[..HEADER_LEN], bytes.len() - 1);
        assert_eq!(refused, Err(HeadError::TooLong { needed: bytes.len(), room: bytes.len() - 1 }));
    }

    #[test]
    fn a_refusal_names_both_versions() {
        let hello = Hello {
            versions: vec![9],
            using: 9,
            module_version: "9.9".into(),
            nginx_version: "1.22.1".into(),
            hears_goodbye: true,
            takes_log_line: true,
            instance: String::new(),
        };
        let bytes = Refusal::no_common_version(&hello, &[1], "1.0").to_frame();
        let text = find_head(&bytes, ROOM).unwrap_err().to_string();
        assert!(text.contains("9.9") && text.contains("1.0") && text.contains("upgrade"), "{text}");
    }

    #[test]
    fn an_abort_contains_its_reason() {
        let mut bytes = Vec::new();
        Abort { reason: AbortReason::AppClosed, message: "pid 7 ended" }.write_frame(&mut bytes);
        let aborted = HeadError::Aborted(AbortReason::AppClosed, "pid 7 ended".into());
        assert_eq!(find_head(&bytes, ROOM), Err(aborted));
    }

    #[test]
    fn a_greeting_is_found_alone() {
        let bytes = welcome();
        for end in 0..bytes.len() {
            assert_eq!(find_greeting(&bytes[..end]), Ok(None), "cut at {end}");
        }
        let welcome = Greeting::Welcome(bytes.len());
        assert_eq!(find_greeting(&[&bytes[..], b"more"].concat()), Ok(Some(welcome)));
        assert_eq!(find_greeting(&goodbye()), Ok(Some(Greeting::Goodbye)));
    }

    #[test]
    fn rejects_frames_other_than_greetings() {
        let bytes = response(FrameType::Response, 200);
        assert_eq!(find_greeting(&bytes), Err(HeadError::Unexpected(FrameType::Response)));
        let damaged = FrameHeader::new(FrameType::Welcome, 0, 0).encode();
        assert!(matches!(find_greeting(&damaged), Err(HeadError::Handshake(_))));
        let mut aborted = Vec::new();
        Abort { reason: AbortReason::BadRequest, message: "x" }.write_frame(&mut aborted);
        assert!(matches!(find_greeting(&aborted), Err(HeadError::Aborted(..))));
    }

    #[test]
    fn rejects_a_body_before_its_head() {
        let bytes = FrameHeader::new(FrameType::ResponseBody, 0, 4).encode();
        assert_eq!(find_head(&bytes, ROOM), Err(HeadError::Unexpected(FrameType::ResponseBody)));
    }

    #[test]
    fn rejects_bytes_that_are_not_a_frame() {
        assert!(matches!(find_head(b"HTTP/1.1 200 OK\r\n", ROOM), Err(HeadError::Frame(_))));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _any_outcome = find_head(&bytes, ROOM);
        }

        #[test]
        fn arbitrary_payloads_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..100), kind in 0x80u8..0x89) {
            let mut frame = FrameHeader::new(FrameType::Response, 0, bytes.len() as u32).encode().to_vec();
            frame[4] = kind;
            frame.extend(bytes);
            let _any_outcome = find_head(&frame, ROOM);
        }
    }
}
