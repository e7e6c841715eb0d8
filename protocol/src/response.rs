//! A response as the daemon sends it: interim heads, the head, and why a response could not be completed.

use serde::{Deserialize, Serialize};

use crate::frame::{FrameHeader, FrameType, HEADER_LEN};
use crate::pairs::Pairs;
use crate::payload::{self, PayloadError};
use crate::request::BodyLength;
use crate::response_head;

/// The head of a final or interim response; its headers follow as [`Pairs`] to the end of the payload.
///
/// Hop-by-hop headers are not included, except `Upgrade` with 101 and 426.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResponseHead<'a> {
    /// The status code: 100 to 999.
    pub status: u16,
    /// The reason phrase; empty for the standard one.
    #[serde(borrow, with = "serde_bytes")]
    pub reason: &'a [u8],
    /// The body that follows. `None` also for HEAD, 204 and 304.
    pub body: BodyLength,
    /// The process that answered; 0 when the daemon itself answered.
    pub process_pid: u32,
    /// How long the request waited for a process, in microseconds.
    pub queue_us: u64,
    /// The time until the app's head was complete, in microseconds; 0 when the app was not involved.
    pub app_us: u64,
}

/// Name of a header of the daemon's own responses whose value the module writes into nginx's error log: why the daemon
/// answers in place of the app. No header of an app can have this name.
pub const LOG_LINE: &[u8] = b":log";

/// A decoded response head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Response<'a> {
    /// The head.
    pub head: ResponseHead<'a>,
    /// The headers.
    pub headers: Pairs<'a>,
}

/// Why a response could not be started or completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AbortReason {
    /// The app closed its connection, or its process ended, before the response was complete.
    AppClosed,
    /// The app's response is not valid.
    AppMalformed,
    /// The daemon could not decode nginx's frames.
    BadRequest,
    /// The daemon is shutting down.
    ShuttingDown,
    /// An internal error of the daemon.
    Internal,
}

/// The end of a failed response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Abort<'a> {
    /// Which side caused the failure.
    pub reason: AbortReason,
    /// A sentence for nginx's error log.
    #[serde(borrow)]
    pub message: &'a str,
}

impl ResponseHead<'_> {
    /// Appends the whole frame to `out`; `kind` is [`FrameType::Response`] or [`FrameType::Interim`].
    ///
    /// # Errors
    ///
    /// [`PayloadError::TooLong`] when the frame exceeds [`crate::limits::MAX_RESPONSE_HEAD`]; `out` is then unchanged.
    pub fn write_frame(
        &self,
        kind: FrameType,
        flags: u8,
        headers: impl FnOnce(&mut Vec<u8>),
        out: &mut Vec<u8>,
    ) -> Result<(), PayloadError> {
        let start = out.len();
        out.extend_from_slice(&[0; HEADER_LEN]);
        response_head::encode(out, self);
        headers(out);
        let len = out.len() - start - HEADER_LEN;
        if len > kind.max_len() as usize {
            out.truncate(start);
            return Err(PayloadError::TooLong("response head"));
        }
        let header = FrameHeader::new(kind, flags, len as u32);
        out[start..start + HEADER_LEN].copy_from_slice(&header.encode());
        Ok(())
    }
}

impl<'a> Response<'a> {
    /// Decodes the payload of a `Response` or `Interim` frame.
    ///
    /// # Errors
    ///
    /// [`PayloadError`] when it is damaged or its status is out of range.
    pub fn decode(payload: &'a [u8]) -> Result<Self, PayloadError> {
        const WHAT: &str = "response head";
        let damaged = || PayloadError::Malformed(WHAT, "a field is cut or invalid".to_owned());
        let (head, rest) = response_head::decode(payload).map_err(|_| damaged())?;
        if !(100..=999).contains(&head.status) {
            return Err(PayloadError::Malformed(WHAT, format!("{} is not a status code", head.status)));
        }
        let headers = Pairs::parse(rest).map_err(|err| PayloadError::Pairs(WHAT, err))?;
        Ok(Self { head, headers })
    }
}

impl<'a> Abort<'a> {
    /// Appends the whole frame to `out`. A message that does not fit is cut.
    pub fn write_frame(&self, out: &mut Vec<u8>) {
        let mut end = self.message.len().min(FrameType::Abort.max_len() as usize - 16);
        while !self.message.is_char_boundary(end) {
            end -= 1;
        }
        let clipped = Abort { reason: self.reason, message: &self.message[..end] };
        let start = out.len();
        out.extend_from_slice(&[0; HEADER_LEN]);
        if payload::encode("abort", &clipped, out).is_err() {
            // It was cut to fit, so encoding cannot fail; an empty frame would still end the response.
            out.truncate(start + HEADER_LEN);
        }
        let header = FrameHeader::new(FrameType::Abort, 0, (out.len() - start - HEADER_LEN) as u32);
        out[start..start + HEADER_LEN].copy_from_slice(&header.encode());
    }

    /// Decodes the payload of an `Abort` frame.
    ///
    /// # Errors
    ///
    /// [`PayloadError`] when it is damaged.
    pub fn decode(payload: &'a [u8]) -> Result<Self, PayloadError> {
        payload::decode_all("abort", payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::FLAG_END;
    use crate::pairs;

    fn sample() -> ResponseHead<'static> {
        ResponseHead {
            status: 200,
            reason: b"OK",
            body: BodyLength::Known(5),
            process_pid: 4711,
            queue_us: 300,
            app_us: 70_000,
        }
    }

    #[test]
    fn a_response_comes_back_as_it_was() {
        let mut out = Vec::new();
        let headers = |out: &mut Vec<u8>| pairs::put(out, b"Content-Type", b"text/plain");
        sample().write_frame(FrameType::Response, FLAG_END, headers, &mut out).unwrap();
        let header = FrameHeader::decode(&out).unwrap().unwrap();
        assert_eq!((header.kind, header.is_end()), (FrameType::Response, true));
        let response = Response::decode(&out[HEADER_LEN..]).unwrap();
        assert_eq!(response.head, sample());
        assert_eq!(response.headers.get(b"content-type"), Some(b"text/plain".as_slice()));
    }

    #[test]
    fn rejects_a_status_that_is_none() {
        for status in [0, 99, 1000, u16::MAX] {
            let mut out = Vec::new();
            let head = ResponseHead { status, ..sample() };
            head.write_frame(FrameType::Response, 0, |_| (), &mut out).unwrap();
            assert!(matches!(Response::decode(&out[HEADER_LEN..]), Err(PayloadError::Malformed(..))));
        }
    }

    #[test]
    fn rejects_a_response_head_of_excess_size() {
        let mut out = Vec::new();
        let headers =
            |out: &mut Vec<u8>| pairs::put(out, b"X", &vec![b'x'; FrameType::Response.max_len() as usize]);
        let refused = sample().write_frame(FrameType::Response, 0, headers, &mut out);
        assert_eq!(refused, Err(PayloadError::TooLong("response head")));
        assert!(out.is_empty());
    }

    #[test]
    fn an_abort_is_cut_between_characters() {
        let mut out = Vec::new();
        let message = "ü".repeat(4096);
        Abort { reason: AbortReason::AppClosed, message: &message }.write_frame(&mut out);
        assert!(FrameHeader::decode(&out).unwrap().is_some());
        let abort = Abort::decode(&out[HEADER_LEN..]).unwrap();
        assert_eq!(abort.reason, AbortReason::AppClosed);
        assert!(message.starts_with(abort.message) && abort.message.len() > 4000);
    }

    #[test]
    fn rejects_an_abort_with_trailing_bytes() {
        let mut out = Vec::new();
        Abort { reason: AbortReason::Internal, message: "x" }.write_frame(&mut out);
        out.push(0);
        assert_eq!(Abort::decode(&out[HEADER_LEN..]), Err(PayloadError::TrailingData("abort")));
    }
}
