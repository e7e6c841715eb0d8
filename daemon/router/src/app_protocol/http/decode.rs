//! Decoder of an app's HTTP response: interim heads, the head, the body by its framing.

use std::mem::{self, MaybeUninit};

use super::chunked::Chunked;
use crate::app_protocol::response_head::{Event, Head, Mode, ResponseError};

/// Maximum length of a head, in bytes.
const MAX_HEAD: usize = 128 * 1024;
/// Maximum number of headers in a head.
const MAX_HEADERS: usize = 256;

/// Decoder of one response.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    state: State,
    chunks: Chunked,
    to_head_request: bool,
    asked_for_upgrade: bool,
    keep_alive: bool,
    hijacked: bool,
    /// Length of the incomplete head that was parsed last, and of the part that was searched for its end.
    parsed: usize,
    searched: usize,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    BeforeHead,
    Sized(u64),
    Chunked,
    UntilEof,
    Done,
}

impl Decoder {
    pub(crate) fn new(to_head_request: bool, asked_for_upgrade: bool) -> Self {
        Self { to_head_request, asked_for_upgrade, ..Self::default() }
    }

    /// Creates a decoder for a connection that the app took: the connection ends with the response.
    pub(crate) fn after_hijack(to_head_request: bool, asked_for_upgrade: bool) -> Self {
        Self { hijacked: true, ..Self::new(to_head_request, asked_for_upgrade) }
    }

    /// Whether the response is complete.
    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Whether the connection can carry another request, once the response is complete.
    pub(crate) fn is_reusable(&self) -> bool {
        self.keep_alive && self.state == State::Done
    }

    /// Decodes from the front of `bytes`; also returns how many were used.
    pub(crate) fn next<'b>(
        &mut self,
        bytes: &'b [u8],
        head: &mut Head,
    ) -> Result<(usize, Event<'b>), ResponseError> {
        match self.state {
            State::BeforeHead => self.head(bytes, head),
            State::Done => Ok((0, Event::End)),
            State::UntilEof | State::Chunked if bytes.is_empty() => Ok((0, Event::More)),
            State::UntilEof => Ok((bytes.len(), Event::Data(bytes))),
            State::Sized(left) => Ok(self.sized(bytes, left)),
            State::Chunked => self.chunked(bytes),
        }
    }

    /// Handles the end of the connection; fails if the response is incomplete.
    pub(crate) fn at_eof(&mut self) -> Result<(), ResponseError> {
        self.keep_alive = false;
        match self.state {
            State::BeforeHead => Err(ResponseError::ClosedBeforeHead),
            State::Sized(_) | State::Chunked => Err(ResponseError::ClosedInsideBody),
            State::UntilEof | State::Done => {
                self.state = State::Done;
                Ok(())
            }
        }
    }

    /// Whether to parse an incomplete head again: its end may have arrived, or its length has doubled, so that a head
    /// that arrives byte by byte is not parsed for each byte.
    fn is_worth_parsing(&mut self, bytes: &[u8]) -> bool {
        let searched = mem::replace(&mut self.searched, bytes.len());
        let has_end = || {
            let news = &bytes[searched.saturating_sub(3).min(bytes.len())..];
            news.windows(2).any(|two| two == b"\n\n") || news.windows(3).any(|three| three == b"\n\r\n")
        };
        // The first bytes, usually the whole head, are parsed without a search.
        let worth = bytes.len() >= 2 * self.parsed || bytes.len() > MAX_HEAD || has_end();
        if worth {
            self.parsed = bytes.len();
        }
        worth
    }

    fn head(&mut self, bytes: &[u8], head: &mut Head) -> Result<(usize, Event<'static>), ResponseError> {
        if !self.is_worth_parsing(bytes) {
            return Ok((0, Event::More));
        }
        let mut headers = [const { MaybeUninit::uninit() }; MAX_HEADERS];
        let mut parsed = httparse::Response::new(&mut []);
        let config = httparse::ParserConfig::default();
        let used = match config.parse_response_with_uninit_headers(&mut parsed, bytes, &mut headers) {
            Ok(httparse::Status::Complete(used)) => used,
            Ok(httparse::Status::Partial) if bytes.len() > MAX_HEAD => {
                return Err(ResponseError::HeadTooLong);
            }
            Ok(httparse::Status::Partial) => return Ok((0, Event::More)),
            Err(err) => return Err(ResponseError::BadHead(err.to_string())),
        };
        (self.parsed, self.searched) = (0, 0);
        head.begin(parsed.code.unwrap_or(0), parsed.reason.unwrap_or_default().as_bytes())?;
        for header in parsed.headers.iter() {
            head.header(header.name.as_bytes(), header.value)?;
        }
        head.finish()?;
        let event = self.after_head(head, parsed.version == Some(1))?;
        Ok((used, event))
    }

    fn after_head(&mut self, head: &Head, is_http11: bool) -> Result<Event<'static>, ResponseError> {
        if head.status == 101 {
            self.keep_alive = false;
            head.check_switch(self.asked_for_upgrade)?;
            self.state = State::Done;
            return Ok(Event::Head(Mode::Tunnel));
        }
        if head.status < 200 {
            return Ok(Event::Interim);
        }
        let kept = if is_http11 { !head.close } else { head.keep_alive };
        self.keep_alive = kept && !self.hijacked;
        self.state = match (head.is_bodiless(self.to_head_request), head.chunked, head.content_length) {
            (true, _, _) | (false, false, Some(0)) => State::Done,
            (false, true, _) => State::Chunked,
            (false, false, Some(length)) => State::Sized(length),
            (false, false, None) => State::UntilEof,
        };
        Ok(Event::Head(Mode::Framed))
    }

    fn sized<'b>(&mut self, bytes: &'b [u8], left: u64) -> (usize, Event<'b>) {
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        if len == 0 {
            return (0, Event::More);
        }
        let left = left - len as u64;
        self.state = if left == 0 { State::Done } else { State::Sized(left) };
        (len, Event::Data(&bytes[..len]))
    }

    fn chunked<'b>(&mut self, bytes: &'b [u8]) -> Result<(usize, Event<'b>), ResponseError> {
        let (used, data) = self.chunks.next(bytes)?;
        if self.chunks.is_done() {
            self.state = State::Done;
            return Ok((used, Event::End));
        }
        Ok((used, Event::Data(data)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Outcome {
        status: u16,
        body: Vec<u8>,
        reusable: bool,
        left: usize,
    }

    fn run(bytes: &[u8], step: usize, to_head: bool, upgrade: bool) -> Result<Outcome, ResponseError> {
        let (mut decoder, mut head) = (Decoder::new(to_head, upgrade), Head::default());
        let (mut body, mut buffer, mut ended) = (Vec::new(), Vec::new(), false);
        for piece in bytes.chunks(step) {
            buffer.extend_from_slice(piece);
            while !ended {
                let (used, event) = decoder.next(&buffer, &mut head)?;
                let more = event == Event::More;
                match event {
                    Event::Data(data) => body.extend_from_slice(data),
                    Event::End | Event::Head(Mode::Tunnel) => ended = true,
                    _ => {}
                }
                buffer.drain(..used);
                if more {
                    break;
                }
            }
        }
        if !ended {
            decoder.at_eof()?;
        }
        Ok(Outcome { status: head.status, body, reusable: decoder.is_reusable(), left: buffer.len() })
    }

    fn whole(bytes: &[u8]) -> Result<Outcome, ResponseError> {
        run(bytes, bytes.len().max(1), false, false)
    }

    #[test]
    fn a_response_is_the_same_for_every_read_size() {
        let bytes = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
        for step in 1..=bytes.len() {
            let outcome = run(bytes, step, false, false).unwrap();
            assert_eq!((outcome.status, outcome.body, outcome.reusable), (200, b"hello".to_vec(), true));
        }
    }

    #[test]
    fn a_body_without_length_ends_with_the_connection() {
        let outcome = whole(b"HTTP/1.1 200 OK\r\n\r\nall of it").unwrap();
        assert_eq!((outcome.body, outcome.reusable), (b"all of it".to_vec(), false));
    }

    #[test]
    fn http_10_and_close_are_not_reused() {
        assert!(!whole(b"HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap().reusable);
        assert!(
            whole(b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 0\r\n\r\n")
                .unwrap()
                .reusable
        );
        assert!(
            !whole(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").unwrap().reusable
        );
    }

    #[test]
    fn bytes_after_the_response_are_not_used() {
        assert_eq!(whole(b"HTTP/1.1 204 No Content\r\n\r\nsmuggled").unwrap().left, 8);
    }

    #[test]
    fn a_response_to_head_has_no_body() {
        let outcome = run(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", 9, true, false).unwrap();
        assert_eq!((outcome.body.len(), outcome.reusable), (0, true));
    }

    #[test]
    fn rejects_a_switch_without_an_upgrade() {
        let bytes = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n";
        assert!(matches!(whole(bytes), Err(ResponseError::BadHead(_))));
        assert_eq!(run(bytes, 7, false, true).unwrap().status, 101);
    }

    #[test]
    fn rejects_an_incomplete_response() {
        assert!(matches!(whole(b"HTTP/1.1 200 OK\r\n"), Err(ResponseError::ClosedBeforeHead)));
        let sized = whole(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhel");
        assert!(matches!(sized, Err(ResponseError::ClosedInsideBody)));
        let chunked = whole(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel");
        assert!(matches!(chunked, Err(ResponseError::ClosedInsideBody)));
    }

    #[test]
    fn rejects_what_is_not_a_response() {
        assert!(matches!(whole(b"SSH-2.0-OpenSSH\r\n\r\n"), Err(ResponseError::BadHead(_))));
        let long = [b"HTTP/1.1 200 OK\r\nx: ".as_slice(), &vec![b'x'; MAX_HEAD]].concat();
        assert!(matches!(whole(&long), Err(ResponseError::HeadTooLong)));
    }
}
