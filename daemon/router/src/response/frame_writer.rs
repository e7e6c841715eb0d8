//! Frames for nginx, gathered so that one system call writes the output of one wake-up.

use std::io::{self, IoSlice};

use protocol::frame::{FLAG_END, FrameHeader, FrameType, HEADER_LEN};
use protocol::pairs;
use protocol::request::BodyLength;
use protocol::response::{Abort, AbortReason, LOG_LINE, ResponseHead};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::app_protocol::decimal::put_decimal;
use crate::app_protocol::response_head::{Head, ResponseError};
use crate::metrics::page_cache::Document;

/// Body parts up to this size are copied; larger ones are written without a copy.
const GATHER: usize = 8 * 1024;

/// Longest line for nginx's error log, in bytes.
const MAX_LOG_LINE: usize = 1600;

/// Value of `X-Powered-By`.
const POWERED_BY: &[u8] = concat!("Flying Passenger ", env!("CARGO_PKG_VERSION")).as_bytes();
const POWERED_BY_WITHOUT_VERSION: &[u8] = b"Flying Passenger";

/// Frames to be written.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    out: Vec<u8>,
    /// Start of the last frame in `out`, if it is a body part that can be extended.
    open: Option<usize>,
    /// Responses do not include this program's version.
    pub(crate) hides_version: bool,
    /// nginx's module takes a line for nginx's error log with a response of the daemon.
    pub(crate) takes_log_line: bool,
    /// The line for the next response of the daemon.
    pub(crate) log_line: Option<String>,
    /// Headers added to those of the app, encoded as [`pairs`].
    pub(crate) added: Vec<u8>,
    /// Buffer for the value of one header.
    value: Vec<u8>,
}

/// The sender of a response, and how long it took.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Origin {
    /// The process; 0 for the daemon itself.
    pub(crate) pid: u32,
    /// Microseconds that the request waited for the process.
    pub(crate) queue_us: u64,
    /// Microseconds from then until the response head was complete.
    pub(crate) app_us: u64,
}

impl Writer {
    /// Adds a whole frame.
    pub(crate) fn push(&mut self, frame: &[u8]) {
        self.open = None;
        self.out.extend_from_slice(frame);
    }

    /// Adds a head, as a frame of type Response or Interim; `end` when no body follows.
    pub(crate) fn head(
        &mut self,
        kind: FrameType,
        head: &Head,
        body: BodyLength,
        end: bool,
        origin: Origin,
    ) -> Result<(), ResponseError> {
        self.open = None;
        let frame = ResponseHead {
            status: head.status,
            reason: &head.reason,
            body,
            process_pid: origin.pid,
            queue_us: origin.queue_us,
            app_us: origin.app_us,
        };
        let powered_by = if self.hides_version { POWERED_BY_WITHOUT_VERSION } else { POWERED_BY };
        let headers = |out: &mut Vec<u8>| {
            out.extend_from_slice(&head.pairs);
            if kind == FrameType::Response {
                out.extend_from_slice(&self.added);
                put_own_headers(head, powered_by, &mut self.value, out);
            }
        };
        let flags = if end { FLAG_END } else { 0 };
        frame.write_frame(kind, flags, headers, &mut self.out).map_err(|_| ResponseError::HeadTooLong)
    }

    /// Adds a part of the body; a large one is written at once.
    pub(crate) async fn body(
        &mut self,
        data: &[u8],
        end: bool,
        to: &mut (impl AsyncWrite + Unpin),
    ) -> io::Result<()> {
        let flags = if end { FLAG_END } else { 0 };
        let header = |length: usize| FrameHeader::new(FrameType::ResponseBody, flags, length as u32).encode();
        if let Some(start) = self.open
            && self.out.len() - start + data.len() <= HEADER_LEN + GATHER
        {
            // Tiny parts share one frame.
            self.out.extend_from_slice(data);
            let length = self.out.len() - start - HEADER_LEN;
            self.out[start..start + HEADER_LEN].copy_from_slice(&header(length));
            return Ok(());
        }
        let start = self.out.len();
        self.out.extend_from_slice(&header(data.len()));
        if data.len() <= GATHER {
            self.open = Some(start);
            self.out.extend_from_slice(data);
            return Ok(());
        }
        self.open = None;
        write_both(&self.out, data, to).await?;
        self.out.clear();
        Ok(())
    }

    /// Adds a whole response of the daemon, with `head` as a buffer; a large body is written at once.
    pub(crate) async fn document(
        &mut self,
        head: &mut Head,
        status: u16,
        document: &Document,
        to_head_request: bool,
        to: &mut (impl AsyncWrite + Unpin),
    ) -> io::Result<()> {
        self.added.clear();
        if let Some(line) = self.log_line.take().filter(|_| self.takes_log_line) {
            pairs::put(&mut self.added, LOG_LINE, shortened(&line).as_bytes());
        }
        fill(head, status, document).map_err(io::Error::other)?;
        let length = head.body_length(to_head_request);
        let end = length == BodyLength::None;
        let added = self.head(FrameType::Response, head, length, end, Origin::default());
        self.added.clear();
        added.map_err(io::Error::other)?;
        if end { Ok(()) } else { self.body(&document.body, true, to).await }
    }

    /// Adds the end of a response that cannot be completed.
    pub(crate) fn abort(&mut self, reason: AbortReason, message: &str) {
        self.open = None;
        Abort { reason, message }.write_frame(&mut self.out);
    }

    /// Writes everything that was added.
    pub(crate) async fn flush(&mut self, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        self.open = None;
        if !self.out.is_empty() {
            to.write_all(&self.out).await?;
            self.out.clear();
        }
        Ok(())
    }
}

/// nginx cuts a longer line of its log.
fn shortened(line: &str) -> &str {
    let end = (0..=MAX_LOG_LINE.min(line.len())).rev().find(|end| line.is_char_boundary(*end));
    &line[..end.unwrap_or(0)]
}

fn fill(head: &mut Head, status: u16, document: &Document) -> Result<(), ResponseError> {
    head.begin(status, reason_phrase(status).as_bytes())?;
    head.header(b"Content-Type", document.content_type.as_bytes())?;
    for (name, value) in &document.headers {
        head.header(name.as_bytes(), value.as_bytes())?;
    }
    head.header(b"Content-Length", document.body.len().to_string().as_bytes())
}

/// Adds `Content-Length`, also for HEAD and 304, where it describes a body that is not sent, and Passenger's headers.
fn put_own_headers(head: &Head, powered_by: &[u8], value: &mut Vec<u8>, out: &mut Vec<u8>) {
    if let Some(length) = head.content_length.filter(|_| head.status >= 200 && head.status != 204) {
        value.clear();
        put_decimal(length, value);
        pairs::put(out, b"Content-Length", value);
    }
    if head.status == 101 {
        return;
    }
    let reason = if head.reason.is_empty() { reason_phrase(head.status).as_bytes() } else { &head.reason };
    value.clear();
    put_decimal(u64::from(head.status), value);
    value.push(b' ');
    value.extend_from_slice(reason);
    pairs::put(out, b"Status", value);
    pairs::put(out, b"X-Powered-By", powered_by);
}

async fn write_both(first: &[u8], second: &[u8], to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
    let written = to.write_vectored(&[IoSlice::new(first), IoSlice::new(second)]).await?;
    if written < first.len() {
        to.write_all(&first[written..]).await?;
        return to.write_all(second).await;
    }
    to.write_all(&second[written - first.len()..]).await
}

/// Returns the standard phrase of a status code.
pub(crate) fn reason_phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        413 => "Content Too Large",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Unknown Reason-Phrase",
    }
}

#[cfg(test)]
mod tests {
    use protocol::response::Response;

    use super::*;

    #[test]
    fn a_head_gets_the_headers_of_passenger() {
        let mut head = Head::default();
        head.begin(204, b"").unwrap();
        head.header(b"X-A", b"1").unwrap();
        let mut writer = Writer::default();
        writer
            .head(
                FrameType::Response,
                &head,
                BodyLength::None,
                true,
                Origin { pid: 7, queue_us: 1, app_us: 2 },
            )
            .unwrap();
        let response = Response::decode(&writer.out[HEADER_LEN..]).unwrap();
        assert_eq!(response.headers.get(b"status"), Some(b"204 No Content".as_slice()));
        assert_eq!(response.headers.get(b"x-a"), Some(b"1".as_slice()));
        assert_eq!((response.head.status, response.head.process_pid), (204, 7));
    }

    #[test]
    fn tiny_parts_become_one_frame() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (mut writer, mut to) = (Writer::default(), Vec::new());
            for byte in b"abc" {
                writer.body(&[*byte], false, &mut to).await.unwrap();
            }
            writer.body(b"", true, &mut to).await.unwrap();
            let expected = FrameHeader::new(FrameType::ResponseBody, FLAG_END, 3).encode();
            assert_eq!(writer.out, [expected.as_slice(), b"abc"].concat());
            writer.flush(&mut to).await.unwrap();
            writer.body(b"d", false, &mut to).await.unwrap();
            assert_eq!(writer.out.len(), HEADER_LEN + 1, "a written frame is not extended");
        });
    }

    #[test]
    fn large_parts_are_written_at_once_and_small_ones_gathered() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (mut writer, mut to) = (Writer::default(), Vec::new());
            writer.body(b"small", false, &mut to).await.unwrap();
            assert!(to.is_empty());
            let large = vec![b'x'; GATHER + 1];
            writer.body(&large, true, &mut to).await.unwrap();
            assert_eq!(to.len(), HEADER_LEN + 5 + HEADER_LEN + large.len());
            assert!(writer.out.is_empty());
        });
    }
}
