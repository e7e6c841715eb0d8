//! Minimal HTTP/1.1 server for tools on the same machine.

use std::fmt::Display;
use std::io;

use serde::Serialize;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::metrics::page_cache::Document;

/// Maximum length of a request, in bytes.
const MAX_REQUEST: usize = 128 * 1024;
/// Maximum number of headers of a request.
const MAX_HEADERS: usize = 64;

/// A request.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    query: String,
    pub(crate) body: Vec<u8>,
}

/// A response.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    document: Document,
}

impl Request {
    /// Whether the query contains this parameter, such as `verbose=true`.
    pub(super) fn has(&self, parameter: &str) -> bool {
        self.query.split('&').any(|each| each == parameter)
    }
}

impl Response {
    pub(super) fn ok(document: Document) -> Self {
        Self { status: 200, document }
    }

    pub(super) fn text(content_type: &'static str, text: String) -> Self {
        Self::ok(Document { content_type, headers: Vec::new(), body: text.into_bytes() })
    }

    pub(super) fn json(value: &impl Serialize) -> Self {
        Self::json_with(200, value)
    }

    pub(super) fn error(status: u16, message: impl Display) -> Self {
        Self::json_with(status, &json!({ "status": "error", "message": message.to_string() }))
    }

    fn json_with(status: u16, value: &impl Serialize) -> Self {
        // Responses consist of strings and numbers, so this cannot fail.
        let mut body = serde_json::to_vec(value).unwrap_or_default();
        body.push(b'\n');
        Self { status, document: Document { content_type: "application/json", headers: Vec::new(), body } }
    }
}

/// Reads one request; an error is the response to send.
pub(super) async fn read(stream: &mut UnixStream) -> Result<Request, Response> {
    let mut bytes = Vec::new();
    loop {
        if let Some(request) = parse(&bytes)? {
            return Ok(request);
        }
        if bytes.len() > MAX_REQUEST {
            return Err(Response::error(413, "the request is too long"));
        }
        match stream.read_buf(&mut bytes).await {
            Ok(received) if received > 0 => {}
            _ => return Err(Response::error(400, "the request is incomplete")),
        }
    }
}

/// Returns `None` while the request is incomplete.
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<Request>, Response> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let parsed = request
        .parse(bytes)
        .map_err(|err| Response::error(400, format_args!("invalid HTTP request: {err}")))?;
    let httparse::Status::Complete(head_len) = parsed else {
        return Ok(None);
    };
    let length = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let length =
        match length.map(|header| std::str::from_utf8(header.value).unwrap_or_default().trim().parse()) {
            None => 0,
            Some(Ok(length)) if length <= MAX_REQUEST => length,
            Some(_) => return Err(Response::error(413, "the body is too long")),
        };
    let Some(body) = bytes.get(head_len..head_len + length) else {
        return Ok(None);
    };
    let target = request.path.unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Ok(Some(Request {
        method: request.method.unwrap_or_default().to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        body: body.to_vec(),
    }))
}

/// Writes the response.
pub(super) async fn write(stream: &mut UnixStream, response: &Response) -> io::Result<()> {
    let Response { status, document: Document { content_type, headers, body } } = response;
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let (reason, length) = (crate::response::reason_phrase(*status), body.len());
    let head = format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n{headers}\
         Connection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body).await?;
    stream.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_waits_for_its_body() {
        let whole = b"POST /pool/x.json?a=true HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}";
        assert!(parse(&whole[..whole.len() - 1]).unwrap().is_none());
        let request = parse(whole).unwrap().unwrap();
        assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/pool/x.json"));
        assert!(request.has("a=true") && !request.has("b=true"));
        assert_eq!(request.body, b"{}");
    }

    #[test]
    fn rejects_excess_size() {
        let refusal = parse(b"POST / HTTP/1.1\r\nContent-Length: 999999999\r\n\r\n").unwrap_err();
        assert_eq!(refusal.status, 413);
    }
}
