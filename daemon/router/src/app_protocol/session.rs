//! The session protocol of the Ruby and Python loaders: a request as one block, a response as frames.
//!
//! `docs/APP-PROTOCOL.md`, section 4.

mod encode;

use super::http::{self, chunked::Chunked};
use super::response_head::{Event, Head, Mode, ResponseError};
pub(crate) use encode::{OUT_OF_BAND_METHOD, write_out_of_band, write_request};

/// Maximum length of a head from an app, in bytes.
const MAX_HEAD: usize = 128 * 1024;
/// Maximum length of an error text from an app, in bytes.
const MAX_ERROR: usize = 64 * 1024;
const FRAME_HEADER: usize = 8;

/// What a loader sends when it accepts a connection: an empty frame of type 6. Until then it is busy.
pub(crate) const GREETING: [u8; FRAME_HEADER] = [0, 0, 0, 0, 6, 0, 0, 0];

const HEAD: u8 = 1;
const BODY: u8 = 2;
const INTERIM: u8 = 3;
const HIJACKED: u8 = 4;
const ERROR: u8 = 5;

const FLAG_END: u8 = 0x01;
const FLAG_RAW: u8 = 0x02;

/// Decoder of the frames of one response.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    state: State,
    to_head_request: bool,
    asked_for_upgrade: bool,
    /// Body bytes that the announced Content-Length still allows.
    allowed: Option<u64>,
    /// Whether the connection has ended, or belongs to the app.
    closed: bool,
    /// Whether the app writes the body itself after the head.
    raw: bool,
    /// Decoder of a body that the app has chunked itself.
    chunks: Option<Chunked>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    BeforeHead,
    BetweenFrames,
    InBody {
        left: usize,
        ends: bool,
    },
    Done,
    /// The app writes the body itself until it closes the connection.
    UntilEof,
    /// The app took the connection; an HTTP response follows.
    Hijacked,
}

impl Decoder {
    pub(crate) fn new(to_head_request: bool, asked_for_upgrade: bool) -> Self {
        Self { to_head_request, asked_for_upgrade, ..Self::default() }
    }

    /// Returns the decoder of what follows if the app has hijacked the connection: an HTTP response.
    pub(crate) fn hijacked(&self) -> Option<http::Decoder> {
        let hijacked = self.state == State::Hijacked;
        hijacked.then(|| http::Decoder::after_hijack(self.to_head_request, self.asked_for_upgrade))
    }

    /// Whether the app writes the body itself, on a connection that the loader has left to it.
    pub(crate) fn is_raw(&self) -> bool {
        self.raw
    }

    /// Decodes from the front of `bytes`; also returns how many were used.
    pub(crate) fn next<'b>(
        &mut self,
        bytes: &'b [u8],
        head: &mut Head,
    ) -> Result<(usize, Event<'b>), ResponseError> {
        match self.state {
            State::Done => Ok((0, Event::End)),
            State::Hijacked => Ok((0, Event::More)),
            State::UntilEof if bytes.is_empty() => Ok((0, Event::More)),
            State::UntilEof => self.raw_body(bytes),
            State::InBody { left, ends } => self.body(bytes, left, ends),
            State::BeforeHead | State::BetweenFrames => self.frame(bytes, head),
        }
    }

    /// Handles the end of the connection; fails if the response is incomplete.
    pub(crate) fn at_eof(&mut self) -> Result<(), ResponseError> {
        match self.state {
            State::BeforeHead | State::Hijacked => Err(ResponseError::ClosedBeforeHead),
            State::BetweenFrames | State::InBody { .. } => Err(ResponseError::ClosedInsideBody),
            State::UntilEof if self.chunks.as_ref().is_some_and(|chunks| !chunks.is_done()) => {
                Err(ResponseError::ClosedInsideBody)
            }
            State::Done | State::UntilEof => {
                self.closed = true;
                self.state = State::Done;
                Ok(())
            }
        }
    }

    /// Whether the response is complete.
    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Whether the connection can carry another request.
    pub(crate) fn is_reusable(&self) -> bool {
        self.state == State::Done && !self.closed
    }

    fn frame<'b>(&mut self, bytes: &'b [u8], head: &mut Head) -> Result<(usize, Event<'b>), ResponseError> {
        let Some(&[l0, l1, l2, l3, kind, flags, ..]) = bytes.first_chunk::<FRAME_HEADER>() else {
            return Ok((0, Event::More));
        };
        let len = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        let ends = flags & FLAG_END != 0;
        if kind == BODY {
            return self.begin_body(len, ends).map(|()| (FRAME_HEADER, Event::Data(&[])));
        }
        let limit = if kind == ERROR { MAX_ERROR } else { MAX_HEAD };
        if len > limit {
            return Err(ResponseError::HeadTooLong);
        }
        let Some(payload) = bytes.get(FRAME_HEADER..FRAME_HEADER + len) else {
            return Ok((0, Event::More));
        };
        let event = self.whole_frame(kind, flags, payload, head)?;
        Ok((FRAME_HEADER + len, event))
    }

    fn whole_frame(
        &mut self,
        kind: u8,
        flags: u8,
        payload: &[u8],
        head: &mut Head,
    ) -> Result<Event<'static>, ResponseError> {
        match (kind, self.state) {
            (INTERIM, State::BeforeHead) => {
                read_head(payload, head)?;
                Ok(Event::Interim)
            }
            (HEAD, State::BeforeHead) => self.head(flags, payload, head),
            (HIJACKED, State::BeforeHead) => {
                self.state = State::Hijacked;
                Ok(Event::More)
            }
            (ERROR, _) => {
                self.state = State::Done;
                Err(ResponseError::AppError(String::from_utf8_lossy(payload).into_owned()))
            }
            _ => Err(ResponseError::BadHead(format!("unexpected frame of type {kind}"))),
        }
    }

    fn head(&mut self, flags: u8, payload: &[u8], head: &mut Head) -> Result<Event<'static>, ResponseError> {
        read_head(payload, head)?;
        self.raw = flags & FLAG_RAW != 0;
        if head.status == 101 {
            head.check_switch(self.asked_for_upgrade)?;
            (self.state, self.closed) = (State::Done, true);
            return Ok(Event::Head(Mode::Tunnel));
        }
        let bodiless = head.is_bodiless(self.to_head_request);
        // A body that the app has chunked is passed to nginx without the chunks, as from any other app.
        self.chunks = (head.chunked && !bodiless).then(Chunked::default);
        self.allowed = if bodiless { Some(0) } else { head.content_length };
        if self.raw {
            self.state = State::UntilEof;
            return Ok(Event::Head(Mode::Framed));
        }
        self.state = State::BetweenFrames;
        if flags & FLAG_END != 0 {
            self.end()?;
        }
        Ok(Event::Head(Mode::Framed))
    }

    fn begin_body(&mut self, len: usize, ends: bool) -> Result<(), ResponseError> {
        if self.state != State::BetweenFrames {
            return Err(ResponseError::BadHead("the body precedes the head".into()));
        }
        if let Some(allowed) = &mut self.allowed {
            *allowed = allowed
                .checked_sub(len as u64)
                .ok_or(ResponseError::BadBody("it is longer than its Content-Length"))?;
        }
        self.state = State::InBody { left: len, ends };
        if len == 0 {
            self.leave_body(ends)?;
        }
        Ok(())
    }

    /// Decodes what the app writes after its head: a response without a body has none, whatever the app writes.
    fn raw_body<'b>(&mut self, bytes: &'b [u8]) -> Result<(usize, Event<'b>), ResponseError> {
        if self.allowed == Some(0) {
            return Ok((bytes.len(), Event::Data(&[])));
        }
        let Some(chunks) = &mut self.chunks else {
            return Ok((bytes.len(), Event::Data(bytes)));
        };
        let (used, data) = chunks.next(bytes)?;
        if chunks.is_done() {
            (self.state, self.closed) = (State::Done, true);
        }
        Ok((used, Event::Data(data)))
    }

    fn body<'b>(
        &mut self,
        bytes: &'b [u8],
        left: usize,
        ends: bool,
    ) -> Result<(usize, Event<'b>), ResponseError> {
        let data = &bytes[..left.min(bytes.len())];
        if data.is_empty() {
            return Ok((0, Event::More));
        }
        let (used, data) = match &mut self.chunks {
            None => (data.len(), data),
            Some(chunks) => chunks.next(data)?,
        };
        self.state = State::InBody { left: left - used, ends };
        if used == left {
            self.leave_body(ends)?;
        }
        Ok((used, Event::Data(data)))
    }

    fn leave_body(&mut self, ends: bool) -> Result<(), ResponseError> {
        self.state = State::BetweenFrames;
        if ends { self.end() } else { Ok(()) }
    }

    fn end(&mut self) -> Result<(), ResponseError> {
        self.state = State::Done;
        if self.chunks.as_ref().is_some_and(|chunks| !chunks.is_done()) {
            return Err(ResponseError::BadBody("its last chunk is missing"));
        }
        let short = self.allowed.is_some_and(|left| left > 0);
        if short { Err(ResponseError::BadBody("it is shorter than its Content-Length")) } else { Ok(()) }
    }
}

/// Reads `STATUS NUL name NUL value …` into `head`.
fn read_head(payload: &[u8], head: &mut Head) -> Result<(), ResponseError> {
    let mut parts = Parts(Some(payload));
    let status = parts.next().unwrap_or_default();
    let (code, reason) = match status.iter().position(|b| *b == b' ') {
        Some(at) => (&status[..at], &status[at + 1..]),
        None => (status, &[][..]),
    };
    let code = std::str::from_utf8(code).ok().and_then(|code| code.parse().ok());
    let code = code.ok_or_else(|| {
        ResponseError::BadHead(format!("invalid status code {:?}", String::from_utf8_lossy(status)))
    })?;
    head.begin(code, reason)?;
    while let Some(name) = parts.next() {
        let value = parts.next().ok_or_else(|| ResponseError::BadHead("a header has no value".into()))?;
        head.header(name, value.trim_ascii())?;
    }
    head.finish()
}

/// What a NUL separates.
struct Parts<'a>(Option<&'a [u8]>);

impl<'a> Iterator for Parts<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.0?;
        let (part, behind) = match memchr::memchr(0, rest) {
            Some(at) => (&rest[..at], Some(&rest[at + 1..])),
            None => (rest, None),
        };
        self.0 = behind;
        Some(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let mut out = (payload.len() as u32).to_le_bytes().to_vec();
        out.extend_from_slice(&[kind, flags, 0, 0]);
        out.extend_from_slice(payload);
        out
    }

    /// Decodes `bytes`, passed in pieces of `step`; returns what the events amount to.
    fn run(bytes: &[u8], step: usize, to_head: bool) -> Result<(u16, Vec<u8>, bool), ResponseError> {
        let (mut decoder, mut head) = (Decoder::new(to_head, false), Head::default());
        let (mut body, mut buffer, mut ended) = (Vec::new(), Vec::new(), false);
        for piece in bytes.chunks(step) {
            buffer.extend_from_slice(piece);
            loop {
                let (used, event) = decoder.next(&buffer, &mut head)?;
                let more = event == Event::More;
                match event {
                    Event::Data(data) => body.extend_from_slice(data),
                    Event::End => ended = true,
                    _ => {}
                }
                buffer.drain(..used);
                if more || ended {
                    break;
                }
            }
        }
        if !ended {
            decoder.at_eof()?;
        }
        Ok((head.status, body, ended))
    }

    #[test]
    fn a_response_is_the_same_for_every_read_size() {
        let mut bytes = frame(INTERIM, 0, b"103\0Link\0</a.css>");
        bytes.extend(frame(HEAD, 0, b"200 OK\0Content-Type\0text/plain\0X-Empty\0"));
        bytes.extend(frame(BODY, 0, b"hello "));
        bytes.extend(frame(BODY, FLAG_END, b"world"));
        for step in 1..=bytes.len() {
            assert_eq!(run(&bytes, step, false), Ok((200, b"hello world".to_vec(), true)));
        }
    }

    #[test]
    fn rejects_a_body_of_another_length_than_announced() {
        let head = frame(HEAD, 0, b"200\0Content-Length\x005");
        let long = [head.clone(), frame(BODY, FLAG_END, b"123456")].concat();
        assert_eq!(
            run(&long, 64, false),
            Err(ResponseError::BadBody("it is longer than its Content-Length"))
        );
        let short = [head.clone(), frame(BODY, FLAG_END, b"1234")].concat();
        assert_eq!(
            run(&short, 64, false),
            Err(ResponseError::BadBody("it is shorter than its Content-Length"))
        );
        assert_eq!(run(&head, 64, false), Err(ResponseError::ClosedInsideBody));
    }

    #[test]
    fn rejects_frames_out_of_order() {
        assert!(run(&frame(BODY, 0, b"x"), 64, false).is_err());
        let twice = [frame(HEAD, 0, b"200"), frame(HEAD, 0, b"200")].concat();
        assert!(matches!(run(&twice, 64, false), Err(ResponseError::BadHead(_))));
        assert!(matches!(run(&frame(9, 0, b""), 64, false), Err(ResponseError::BadHead(_))));
    }

    #[test]
    fn rejects_invalid_heads() {
        for payload in [b"".as_slice(), b"abc", b"99", b"200\0Name", b"200\0Bad Name\0x"] {
            assert!(matches!(
                run(&frame(HEAD, FLAG_END, payload), 64, false),
                Err(ResponseError::BadHead(_))
            ));
        }
    }

    #[test]
    fn rejects_excess_size_of_head() {
        let mut header = (MAX_HEAD as u32 + 1).to_le_bytes().to_vec();
        header.extend_from_slice(&[HEAD, 0, 0, 0]);
        assert_eq!(run(&header, 64, false), Err(ResponseError::HeadTooLong));
    }

    #[test]
    fn an_error_frame_has_the_message() {
        let bytes = frame(ERROR, FLAG_END, b"NoMethodError: nil");
        assert_eq!(run(&bytes, 64, false), Err(ResponseError::AppError("NoMethodError: nil".into())));
    }

    #[test]
    fn chunks_of_the_app_are_decoded_for_every_read_size() {
        let mut bytes = frame(HEAD, 0, b"200\0Transfer-Encoding\0chunked");
        for part in [b"5".as_slice(), b"\r\nhel", b"lo\r\n6\r\n world\r\n", b"0\r\n\r", b"\n"] {
            bytes.extend(frame(BODY, 0, part));
        }
        bytes.extend(frame(BODY, FLAG_END, b""));
        for step in 1..=bytes.len() {
            assert_eq!(run(&bytes, step, false), Ok((200, b"hello world".to_vec(), true)));
        }
    }

    #[test]
    fn rejects_invalid_chunks_of_the_app() {
        let head = frame(HEAD, 0, b"200\0Transfer-Encoding\0chunked");
        let body = |body: &[u8]| [head.clone(), frame(BODY, FLAG_END, body)].concat();
        for broken in [b"hello".as_slice(), b"5\r\nhello\r\n", b"zz\r\nhello\r\n", b"0\r\n\r\nmore", b""] {
            let outcome = run(&body(broken), 64, false);
            assert!(matches!(outcome, Err(ResponseError::BadBody(_))), "{broken:?}: {outcome:?}");
        }
        let raw = [frame(HEAD, FLAG_RAW, b"200\0Transfer-Encoding\0chunked"), b"5\r\nhel".to_vec()].concat();
        assert_eq!(run(&raw, 64, false), Err(ResponseError::ClosedInsideBody));
        let raw =
            [frame(HEAD, FLAG_RAW, b"200\0Transfer-Encoding\0chunked"), b"2\r\nhe\r\n0\r\n\r\n".to_vec()];
        assert_eq!(run(&raw.concat(), 3, false), Ok((200, b"he".to_vec(), true)));
    }

    #[test]
    fn a_raw_response_to_head_has_no_body() {
        let bytes = [frame(HEAD, FLAG_RAW, b"200"), b"body".to_vec()].concat();
        assert_eq!(run(&bytes, 64, true), Ok((200, Vec::new(), false)));
    }

    #[test]
    fn a_response_to_head_may_have_a_length() {
        let bytes = frame(HEAD, FLAG_END, b"200\0Content-Length\x005");
        assert_eq!(run(&bytes, 64, true), Ok((200, Vec::new(), true)));
    }
}
