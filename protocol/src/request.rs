//! A request as nginx sends it: a serde head, then the settings block, then the headers.
//!
//! ```text
//! | RequestHead (bincode) | settings: head.settings_len bytes | headers: Pairs, to the end of the payload |
//! ```
//!
//! Decoding borrows from the received bytes; nothing is allocated, however many headers there are.

use serde::{Deserialize, Serialize};

pub use crate::app_kind::AppKind;
use crate::frame::{FLAG_END, FrameHeader, FrameType, HEADER_LEN};
use crate::pairs::Pairs;
use crate::payload::PayloadError;
use crate::request_head;
use crate::settings::Digest;

/// The name under which the client's HTTP version is sent before the headers, unless it is `HTTP/1.1`. It is not a
/// valid header name; a daemon that does not know it skips it.
pub const PROTOCOL: &[u8] = b":protocol";

/// The length of a body, as far as it is known when the head is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum BodyLength {
    /// There is no body.
    None,
    /// This many bytes.
    Known(u64),
    /// The body ends with the frame marked as the last.
    Unknown,
}

/// Which application a request is for. nginx determines it for each request, as `root` may contain variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppRef<'a> {
    /// The process group; equal names share processes.
    #[serde(borrow, with = "serde_bytes")]
    pub group: &'a [u8],
    /// The application's directory.
    #[serde(borrow, with = "serde_bytes")]
    pub root: &'a [u8],
    /// Its type, configured or detected.
    pub kind: AppKind,
    /// The shell command of a [`AppKind::Generic`] app; otherwise empty.
    #[serde(borrow, with = "serde_bytes")]
    pub start_command: &'a [u8],
}

/// The head of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestHead<'a> {
    /// Digest of the settings block after this head.
    pub settings_digest: Digest,
    /// Length of that block, in bytes.
    pub settings_len: u32,
    /// The application.
    #[serde(borrow)]
    pub app: AppRef<'a>,
    /// The method as the client sent it.
    #[serde(borrow, with = "serde_bytes")]
    pub method: &'a [u8],
    /// The escaped URI with its query, including the base URI.
    #[serde(borrow, with = "serde_bytes")]
    pub uri: &'a [u8],
    /// The base URI under which the app is mounted, without a final slash; empty at the root.
    #[serde(borrow, with = "serde_bytes")]
    pub base_uri: &'a [u8],
    /// The app's public directory.
    #[serde(borrow, with = "serde_bytes")]
    pub document_root: &'a [u8],
    /// The client's address as nginx sees it (after `real_ip`); empty when unknown.
    #[serde(borrow, with = "serde_bytes")]
    pub remote_addr: &'a [u8],
    /// The client's port; 0 when unknown.
    pub remote_port: u16,
    /// The user nginx authenticated; empty when there is none.
    #[serde(borrow, with = "serde_bytes")]
    pub remote_user: &'a [u8],
    /// nginx's release, for `SERVER_SOFTWARE`, such as `nginx/1.22.1`.
    #[serde(borrow, with = "serde_bytes")]
    pub server_software: &'a [u8],
    /// The client's connection to nginx is encrypted.
    pub https: bool,
    /// The client requests another protocol: both `Connection: upgrade` and `Upgrade` were sent.
    pub upgrade: bool,
    /// When nginx started to process the request, in milliseconds since 1970.
    pub started_ms: u64,
    /// The body that follows.
    pub body: BodyLength,
}

/// A decoded request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    /// The head.
    pub head: RequestHead<'a>,
    /// The settings block, still encoded.
    pub settings: &'a [u8],
    /// The headers.
    pub headers: Pairs<'a>,
}

impl RequestHead<'_> {
    /// Appends the whole frame to `out`: header, this head, the settings, the headers.
    ///
    /// The caller writes `headers` with [`crate::pairs::put`]. [`FLAG_END`] is set when there is no body, or an
    /// empty one.
    ///
    /// # Errors
    ///
    /// [`PayloadError::TooLong`] when the frame exceeds [`crate::limits::MAX_REQUEST_HEAD`]; `out` is then unchanged.
    pub fn write_frame(
        &self,
        settings: &[u8],
        headers: impl FnOnce(&mut Vec<u8>),
        out: &mut Vec<u8>,
    ) -> Result<(), PayloadError> {
        let start = out.len();
        out.extend_from_slice(&[0; HEADER_LEN]);
        request_head::encode(out, self);
        out.extend_from_slice(settings);
        headers(out);
        let len = out.len() - start - HEADER_LEN;
        if len > FrameType::Request.max_len() as usize {
            out.truncate(start);
            return Err(PayloadError::TooLong("request head"));
        }
        let is_empty = matches!(self.body, BodyLength::None | BodyLength::Known(0));
        let flags = if is_empty { FLAG_END } else { 0 };
        let header = FrameHeader::new(FrameType::Request, flags, len as u32);
        out[start..start + HEADER_LEN].copy_from_slice(&header.encode());
        Ok(())
    }
}

impl<'a> Request<'a> {
    /// Returns the client's HTTP version as the app is to see it, such as `HTTP/2.0`.
    pub fn protocol(&self) -> &'static [u8] {
        match self.headers.iter().next() {
            Some((PROTOCOL, b"HTTP/1.0")) => b"HTTP/1.0",
            Some((PROTOCOL, b"HTTP/2.0")) => b"HTTP/2.0",
            Some((PROTOCOL, b"HTTP/3.0")) => b"HTTP/3.0",
            _ => b"HTTP/1.1",
        }
    }

    /// Decodes the payload of a `Request` frame.
    ///
    /// # Errors
    ///
    /// [`PayloadError`] when any part is damaged.
    pub fn decode(payload: &'a [u8]) -> Result<Self, PayloadError> {
        const WHAT: &str = "request head";
        let (head, rest) =
            request_head::decode(payload).map_err(|err| PayloadError::Malformed(WHAT, err.to_string()))?;
        let (settings, headers) = rest
            .split_at_checked(head.settings_len as usize)
            .ok_or_else(|| PayloadError::Malformed(WHAT, "it ends inside its settings".into()))?;
        let headers = Pairs::parse(headers).map_err(|err| PayloadError::Pairs(WHAT, err))?;
        Ok(Self { head, settings, headers })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::pairs;

    pub(crate) fn sample() -> RequestHead<'static> {
        RequestHead {
            settings_digest: Digest::of(b"settings"),
            settings_len: 8,
            app: AppRef {
                group: b"/srv/app (production)",
                root: b"/srv/app",
                kind: AppKind::Ruby,
                start_command: b"",
            },
            method: b"POST",
            uri: b"/blog/posts?draft=1",
            base_uri: b"/blog",
            document_root: b"/srv/app/public",
            remote_addr: b"2001:db8::7",
            remote_port: 51234,
            remote_user: b"",
            server_software: b"nginx/1.22.1",
            https: true,
            upgrade: false,
            started_ms: 1_795_000_000_123,
            body: BodyLength::Known(5),
        }
    }

    fn sample_frame() -> Vec<u8> {
        let mut out = Vec::new();
        let headers = |out: &mut Vec<u8>| pairs::put(out, b"Host", b"example.org");
        sample().write_frame(b"settings", headers, &mut out).unwrap();
        out
    }

    #[test]
    fn a_request_comes_back_as_it_was() {
        let frame = sample_frame();
        let header = FrameHeader::decode(&frame).unwrap().unwrap();
        assert_eq!(header.len as usize, frame.len() - HEADER_LEN);
        assert!(!header.is_end());
        let request = Request::decode(&frame[HEADER_LEN..]).unwrap();
        assert_eq!(request.head, sample());
        assert_eq!(request.settings, b"settings");
        assert_eq!(request.headers.get(b"host"), Some(b"example.org".as_slice()));
    }

    #[test]
    fn a_request_without_body_ends_with_its_head() {
        let mut out = Vec::new();
        let head = RequestHead { body: BodyLength::None, ..sample() };
        head.write_frame(b"settings", |_| (), &mut out).unwrap();
        assert!(FrameHeader::decode(&out).unwrap().unwrap().is_end());
    }

    #[test]
    fn rejects_a_request_cut_anywhere() {
        let frame = sample_frame();
        let whole = &frame[HEADER_LEN..];
        let headers_start = whole.len() - pairs::encoded_len(b"Host", b"example.org");
        for end in 0..whole.len() {
            // Cut exactly before the headers, it is a request without headers.
            assert_eq!(Request::decode(&whole[..end]).is_ok(), end == headers_start, "cut at {end}");
        }
    }

    #[test]
    fn rejects_settings_longer_than_the_payload() {
        let mut out = Vec::new();
        let head = RequestHead { settings_len: u32::MAX, ..sample() };
        head.write_frame(b"", |_| (), &mut out).unwrap();
        assert!(matches!(Request::decode(&out[HEADER_LEN..]), Err(PayloadError::Malformed(..))));
    }

    #[test]
    fn rejects_excess_size_and_leaves_the_buffer_alone() {
        let mut out = b"before".to_vec();
        let settings = vec![0; FrameType::Request.max_len() as usize];
        let refused = sample().write_frame(&settings, |_| (), &mut out);
        assert_eq!(refused, Err(PayloadError::TooLong("request head")));
        assert_eq!(out, b"before");
    }
}
