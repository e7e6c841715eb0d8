//! Minimal HTTP/1.1 server for tools on the same machine.

use std::io;

use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::metrics::page_cache::CachedPage;

/// Maximum length of a request, in bytes.
const MAX_REQUEST: usize = 128 * 1024;
/// Maximum number of headers of a request.
const MAX_HEADERS: usize = 64;

/// A request.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    query: String,
    pub(crate) body: Vec<u8>,
}

/// A response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    content_type: &'static str,
    /// Additional headers.
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Asked {
    /// Whether the query contains this word.
    pub(super) fn has(&self, word: &str) -> bool {
        self.query.split('&').any(|each| each == word)
    }

    /// Whether the query contains `name=true`.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.query.split('&').any(|pair| pair.split_once('=') == Some((name, "true")))
    }
}

impl Answer {
    pub(super) fn text(text: String) -> Self {
        Self {
            status: 200,
            content_type: "text/plain; charset=utf-8",
            headers: Vec::new(),
            body: text.into_bytes(),
        }
    }

    /// Returns a response in the format of Prometheus.
    pub(super) fn metrics(text: String) -> Self {
        Self { content_type: super::prometheus::CONTENT_TYPE, ..Self::text(text) }
    }

    pub(super) fn xml(text: String) -> Self {
        Self { content_type: "text/xml; charset=utf-8", ..Self::text(text) }
    }

    pub(super) fn json(status: u16, value: &impl Serialize) -> Self {
        // Responses consist of strings and numbers, so this cannot fail.
        let mut body = serde_json::to_vec(value).unwrap_or_default();
        body.push(b'\n');
        Self { status, content_type: "application/json", headers: Vec::new(), body }
    }

    pub(super) fn shown(shown: CachedPage) -> Self {
        let CachedPage { content_type, headers, body } = shown;
        Self { status: 200, content_type, headers, body }
    }

    pub(super) fn error(status: u16, message: &str) -> Self {
        Self::json(status, &serde_json::json!({ "status": "error", "message": message }))
    }
}

/// Reads one request; an error is the response to send.
pub(super) async fn read(stream: &mut UnixStream) -> Result<Asked, Answer> {
    let mut bytes = Vec::new();
    loop {
        if let Some(asked) = parse(&bytes)? {
            return Ok(asked);
        }
        if bytes.len() > MAX_REQUEST {
            return Err(Answer::error(413, "the request is too long"));
        }
        match stream.read_buf(&mut bytes).await {
            Ok(came) if came > 0 => {}
            _ => return Err(Answer::error(400, "the request is not complete")),
        }
    }
}

/// Returns `None` while the request is incomplete.
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<Asked>, Answer> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let parsed =
        request.parse(bytes).map_err(|err| Answer::error(400, &format!("this is no HTTP: {err}")))?;
    let httparse::Status::Complete(head_len) = parsed else {
        return Ok(None);
    };
    let length = request.headers.iter().find(|h| h.name.eq_ignore_ascii_case("content-length"));
    let length = match length
        .map(|h| std::str::from_utf8(h.value).ok().and_then(|v| v.trim().parse::<usize>().ok()))
    {
        None => 0,
        Some(Some(length)) if length <= MAX_REQUEST => length,
        Some(_) => return Err(Answer::error(413, "the body is too long")),
    };
    let Some(body) = bytes.get(head_len..head_len + length) else {
        return Ok(None);
    };
    let target = request.path.unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Ok(Some(Asked {
        method: request.method.unwrap_or_default().to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        body: body.to_vec(),
    }))
}

/// Writes the response.
pub(super) async fn write(stream: &mut UnixStream, answer: &Answer) -> io::Result<()> {
    let more: String = answer.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = format!(
        "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\n{more}Connection: close\r\n\r\n",
        answer.status,
        crate::response::reason_phrase(answer.status),
        answer.content_type,
        answer.body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&answer.body).await?;
    stream.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_waits_for_its_body() {
        let whole = b"POST /pool/x.json?a=true HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}";
        assert!(parse(&whole[..whole.len() - 1]).unwrap().is_none());
        let asked = parse(whole).unwrap().unwrap();
        assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", "/pool/x.json"));
        assert!(asked.flag("a") && !asked.flag("b"));
        assert_eq!(asked.body, b"{}");
    }

    #[test]
    fn rejects_excess_size() {
        let refused = parse(b"POST / HTTP/1.1\r\nContent-Length: 999999999\r\n\r\n").unwrap_err();
        assert_eq!(refused.status, 413);
    }
}
