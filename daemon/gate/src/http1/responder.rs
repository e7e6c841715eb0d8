//! A response in HTTP/1.

use std::io::{self, Write};
use std::time::SystemTime;

use bytes::Bytes;

use crate::listen::stream::Stream;
use crate::request::Version;
use crate::request::encode::SERVER_SOFTWARE;
use crate::serve::response::{Responder, ResponseBody, ResponseHead};

/// Bytes that are collected before they are sent.
const FULL: usize = 64 * 1024;

/// How the body is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    /// The head was not sent yet.
    NotBegun,
    None,
    /// This many bytes follow.
    Length(u64),
    Chunked,
    /// It ends with the connection.
    UntilClose,
}

/// Sends one response.
#[derive(Debug)]
pub(crate) struct H1Responder<'c> {
    stream: &'c Stream,
    version: Version,
    keep_alive: bool,
    /// The client waits for 100.
    pub(crate) expects_continue: bool,
    /// The client can receive interim responses.
    pub(crate) sends_interim: bool,
    framing: Framing,
    out: Vec<u8>,
}

impl<'c> H1Responder<'c> {
    pub(crate) fn new(stream: &'c Stream, version: Version, keep_alive: bool) -> Self {
        let (expects_continue, sends_interim) = (false, false);
        Self {
            stream,
            version,
            keep_alive,
            expects_continue,
            sends_interim,
            framing: Framing::NotBegun,
            out: Vec::new(),
        }
    }

    /// Whether the connection can be used after this response.
    pub(crate) fn keeps_alive(&self) -> bool {
        self.keep_alive && self.framing != Framing::UntilClose
    }

    fn put(&mut self, parts: &[&[u8]]) {
        for part in parts {
            self.out.extend_from_slice(part);
        }
    }

    fn put_status(&mut self, head: &ResponseHead) {
        let status = http::StatusCode::from_u16(head.status).ok();
        let standard = status.and_then(|status| status.canonical_reason()).unwrap_or_default();
        let reason = if head.reason.is_empty() { standard.as_bytes() } else { &head.reason };
        // Writing to a vector cannot fail.
        let _ = write!(self.out, "HTTP/1.1 {:03} ", head.status);
        self.put(&[reason, b"\r\n"]);
    }

    fn put_headers(&mut self, head: &ResponseHead) {
        for (name, value) in &head.headers {
            self.put(&[name, b": ", value, b"\r\n"]);
        }
    }

    /// Adds the headers about the connection, and chooses the framing.
    fn put_framing(&mut self, status: u16, body: ResponseBody) {
        self.framing = match body {
            _ if status == 101 => Framing::UntilClose,
            ResponseBody::None => Framing::None,
            ResponseBody::Known(len) => {
                let _ = write!(self.out, "Content-Length: {len}\r\n");
                Framing::Length(len)
            }
            ResponseBody::Unknown if self.version == Version::Http11 => {
                self.put(&[b"Transfer-Encoding: chunked\r\n"]);
                Framing::Chunked
            }
            ResponseBody::Unknown => Framing::UntilClose,
        };
        let connection: &[u8] = match (status, self.keeps_alive(), self.version) {
            (101, ..) => b"Connection: upgrade\r\n",
            (_, false, _) => b"Connection: close\r\n",
            (_, true, Version::Http10) => b"Connection: keep-alive\r\n",
            (_, true, _) => b"",
        };
        self.put(&[connection]);
    }
}

impl Responder for H1Responder<'_> {
    async fn send_continue(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.expects_continue) {
            self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        Ok(())
    }

    async fn interim(&mut self, head: ResponseHead) -> io::Result<()> {
        if !self.sends_interim || self.has_begun() {
            return Ok(());
        }
        self.put_status(&head);
        self.put_headers(&head);
        self.put(&[b"\r\n"]);
        self.flush().await
    }

    async fn head(&mut self, head: ResponseHead, body: ResponseBody) -> io::Result<()> {
        // Without a 100 the client may or may not send the body.
        self.keep_alive &= !self.expects_continue;
        self.put_status(&head);
        let has = |wanted: &str| head.headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(wanted.as_bytes()));
        let (has_server, has_date) = (has("server"), has("date"));
        if !has_server {
            self.put(&[b"Server: ", SERVER_SOFTWARE.as_bytes(), b"\r\n"]);
        }
        if !has_date {
            let date = httpdate::fmt_http_date(SystemTime::now());
            self.put(&[b"Date: ", date.as_bytes(), b"\r\n"]);
        }
        self.put_headers(&head);
        self.put_framing(head.status, body);
        self.put(&[b"\r\n"]);
        Ok(())
    }

    async fn data(&mut self, bytes: Bytes) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        match &mut self.framing {
            Framing::NotBegun | Framing::None => return Ok(()),
            Framing::Length(left) => {
                *left = left.checked_sub(bytes.len() as u64).ok_or(io::ErrorKind::InvalidData)?;
                self.put(&[&bytes]);
            }
            Framing::Chunked => {
                let _ = write!(self.out, "{:x}\r\n", bytes.len());
                self.put(&[&bytes, b"\r\n"]);
            }
            Framing::UntilClose => self.put(&[&bytes]),
        }
        if self.out.len() >= FULL { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> io::Result<()> {
        if self.out.is_empty() {
            return Ok(());
        }
        let written = self.stream.write_all(&self.out).await;
        self.out.clear();
        written
    }

    async fn end(&mut self) -> io::Result<()> {
        match self.framing {
            Framing::Chunked => self.put(&[b"0\r\n\r\n"]),
            Framing::Length(left) if left > 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ => {}
        }
        self.flush().await
    }

    async fn given_up(&mut self) {
        std::future::pending().await
    }

    fn has_begun(&self) -> bool {
        self.framing != Framing::NotBegun
    }

    fn close_after(&mut self) {
        self.keep_alive = false;
    }
}
