//! Entry points for the fuzz targets: one function for each decoder of the router. Compiled with the feature
//! `fuzzing` only; `fuzz/` contains the checks.

use protocol::request::AppKind;
use protocol::settings::Settings;

use super::admin::http as admin;
use super::app::settings::AppSettings;
use super::app_protocol::http::chunked::Chunked;
use super::app_protocol::http::decode::Decoder as HttpDecoder;
use super::app_protocol::response_head::{Event, Head, Mode, ResponseError};
use super::app_protocol::session::Decoder as SessionDecoder;

/// The response decoded from an application's bytes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// Status and headers of each head, the interim ones first.
    pub heads: Vec<(u16, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
    /// How the decoding ended.
    pub end: End,
}

/// How the decoding of a message ended.
#[derive(Debug, Default, PartialEq, Eq)]
pub enum End {
    /// The message is complete.
    #[default]
    Complete,
    /// The message ends too early.
    Incomplete,
    /// The message was rejected, for this reason.
    Refused(String),
}

/// Decodes a response in the session protocol, received in pieces of `step` bytes.
#[must_use]
pub fn app_session(bytes: &[u8], step: usize, to_head_request: bool) -> Response {
    let mut decoder = SessionDecoder::new(to_head_request, true);
    let mut taken = HttpDecoder::after_hijack(to_head_request, true);
    read(bytes, step, |input, head| {
        // An application that hijacked the connection answers in HTTP.
        if decoder.hijacked().is_some() { taken.next(input, head) } else { decoder.next(input, head) }
    })
}

/// Decodes a response in HTTP, received in pieces of `step` bytes.
#[must_use]
pub fn app_http(bytes: &[u8], step: usize, to_head_request: bool, upgrade: bool) -> Response {
    let mut decoder = HttpDecoder::new(to_head_request, upgrade);
    read(bytes, step, |input, head| decoder.next(input, head))
}

fn read(
    bytes: &[u8],
    step: usize,
    mut next: impl for<'b> FnMut(&'b [u8], &mut Head) -> Result<(usize, Event<'b>), ResponseError>,
) -> Response {
    let (mut response, mut head) = (Response::default(), Head::default());
    let (mut from, mut to) = (0, 0);
    let mut idle = 0;
    loop {
        let (used, event) = match next(&bytes[from..to], &mut head) {
            Ok(decoded) => decoded,
            Err(why) => {
                response.end = End::Refused(why.to_string());
                return response;
            }
        };
        assert!(used <= to - from, "more bytes are used than there are");
        from += used;
        idle = if used == 0 { idle + 1 } else { 0 };
        assert!(idle < 4, "the decoder uses nothing and asks for nothing");
        match event {
            Event::More if used > 0 => {}
            Event::More if to == bytes.len() => {
                response.end = End::Incomplete;
                return response;
            }
            Event::More => {
                to = (to + step.max(1)).min(bytes.len());
                idle = 0;
            }
            Event::Interim => response.heads.push((head.status, head.pairs.clone())),
            Event::Head(mode) => {
                response.heads.push((head.status, head.pairs.clone()));
                if mode == Mode::Tunnel {
                    return response;
                }
            }
            Event::Data(data) => response.body.extend_from_slice(data),
            Event::End => return response,
        }
    }
}

/// Decodes a chunked body in parts of `step` bytes, without keeping earlier parts.
#[must_use]
pub fn chunked(bytes: &[u8], step: usize) -> (Vec<u8>, End) {
    let (mut decoder, mut body) = (Chunked::default(), Vec::new());
    for mut part in bytes.chunks(step.max(1)) {
        while !part.is_empty() && !decoder.is_done() {
            match decoder.next(part) {
                Ok((used, data)) => {
                    assert!(used > 0, "the decoder uses nothing");
                    body.extend_from_slice(data);
                    part = &part[used..];
                }
                Err(why) => return (body, End::Refused(why.to_string())),
            }
        }
    }
    let end = if decoder.is_done() { End::Complete } else { End::Incomplete };
    (body, end)
}

/// Parses a request to the admin API into its method, path and body; `None` when it is incomplete.
///
/// # Errors
///
/// Returns the status of the error response when the request is rejected.
pub fn admin_http(bytes: &[u8]) -> Result<Option<(String, String, Vec<u8>)>, u16> {
    let asked = admin::parse(bytes).map_err(|refusal| refusal.status)?;
    Ok(asked.map(|asked| (asked.method, asked.path, asked.body)))
}

/// Decodes an application's settings and returns the names that have no effect.
#[must_use]
pub fn settings(block: &Settings) -> Vec<String> {
    let (settings, unknown) = AppSettings::from_block(block);
    for kind in AppKind::ALL {
        // These must not panic, whatever the values are.
        let _ = (settings.interpreter(kind), settings.is_smart(kind));
        let _ = settings.concurrency(kind, Some(settings.threads(kind)));
    }
    unknown
}
