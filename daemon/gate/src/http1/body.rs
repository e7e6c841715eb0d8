//! The body of a request in HTTP/1.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::timeout;

use crate::listen::stream::Stream;
use crate::request::Refused;
use crate::serve::response::{BodyError, RequestBody};

/// Time between two parts of a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);
/// Bytes read at once.
const PART: usize = 64 * 1024;
/// Longest line with the length of a chunk, and longest trailer, in bytes.
const MAX_CHUNK_LINE: usize = 256;
const MAX_TRAILER: usize = 8 * 1024;

/// Where a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    None,
    Length(u64),
    Chunked,
}

/// What follows in the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Bytes of a body of known length.
    Length(u64),
    /// The line with the length of a chunk.
    ChunkLine,
    /// Bytes of a chunk.
    Chunk(u64),
    /// The line break after a chunk.
    ChunkEnd,
    /// Lines after the last chunk; this many bytes were read.
    Trailer(usize),
    Finished,
}

/// Decodes a body. It consumes the input up to its end and no further.
#[derive(Debug)]
pub(crate) struct BodyDecoder(State);

impl BodyDecoder {
    pub(crate) fn new(framing: Framing) -> Self {
        Self(match framing {
            Framing::None | Framing::Length(0) => State::Finished,
            Framing::Length(len) => State::Length(len),
            Framing::Chunked => State::ChunkLine,
        })
    }

    /// Whether the whole body was consumed.
    pub(crate) fn is_finished(&self) -> bool {
        self.0 == State::Finished
    }

    /// Returns the next part in the input; `None` when more is needed, or the body is finished.
    pub(crate) fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Bytes>, Refused> {
        loop {
            match self.0 {
                State::Finished => return Ok(None),
                State::Length(left) | State::Chunk(left) => {
                    if input.is_empty() {
                        return Ok(None);
                    }
                    let count = usize::try_from(left).unwrap_or(usize::MAX).min(input.len()).min(PART);
                    let left = left - count as u64;
                    self.0 = match (self.0, left) {
                        (State::Length(_), 0) => State::Finished,
                        (State::Length(_), _) => State::Length(left),
                        (_, 0) => State::ChunkEnd,
                        _ => State::Chunk(left),
                    };
                    return Ok(Some(input.split_to(count).freeze()));
                }
                State::ChunkLine => {
                    let Some(line) = take_line(input, MAX_CHUNK_LINE)? else { return Ok(None) };
                    self.0 = match chunk_length(&line)? {
                        0 => State::Trailer(0),
                        len => State::Chunk(len),
                    };
                }
                State::ChunkEnd => {
                    let Some(line) = take_line(input, 2)? else { return Ok(None) };
                    if !line.is_empty() {
                        return Err(Refused::bad("a chunk is longer than announced"));
                    }
                    self.0 = State::ChunkLine;
                }
                State::Trailer(read) => {
                    let Some(line) = take_line(input, MAX_TRAILER - read)? else { return Ok(None) };
                    self.0 =
                        if line.is_empty() { State::Finished } else { State::Trailer(read + line.len() + 2) };
                }
            }
        }
    }
}

/// Takes a line that ends with CR LF; `None` while it is not complete.
fn take_line(input: &mut BytesMut, most: usize) -> Result<Option<BytesMut>, Refused> {
    let Some(end) = input.iter().position(|byte| *byte == b'\n') else {
        let is_too_long = input.len() > most;
        return if is_too_long {
            Err(Refused::bad("a line of a chunked body is too long"))
        } else {
            Ok(None)
        };
    };
    if end > most || end == 0 || input[end - 1] != b'\r' {
        return Err(Refused::bad("a line of a chunked body is invalid"));
    }
    let mut line = input.split_to(end + 1);
    line.truncate(end - 1);
    if line.iter().any(|byte| matches!(byte, 0 | b'\r' | b'\n')) {
        return Err(Refused::bad("a line of a chunked body is invalid"));
    }
    Ok(Some(line))
}

fn chunk_length(line: &[u8]) -> Result<u64, Refused> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (number, extension) = line.split_at(digits);
    let is_valid = (1..=15).contains(&digits) && matches!(extension.trim_ascii_start(), [] | [b';', ..]);
    let number = str::from_utf8(number)
        .ok()
        .filter(|_| is_valid && (extension.is_empty() || !extension[1..].is_empty()));
    number
        .and_then(|number| u64::from_str_radix(number, 16).ok())
        .ok_or(Refused::bad("the length of a chunk is invalid"))
}

/// The body of a request on its connection.
#[derive(Debug)]
pub(crate) struct Body<'c> {
    stream: &'c Stream,
    buffer: &'c mut BytesMut,
    decoder: BodyDecoder,
}

impl<'c> Body<'c> {
    pub(crate) fn new(stream: &'c Stream, buffer: &'c mut BytesMut, framing: Framing) -> Self {
        Self { stream, buffer, decoder: BodyDecoder::new(framing) }
    }

    /// Whether the whole body was read.
    pub(crate) fn is_finished(&self) -> bool {
        self.decoder.is_finished()
    }
}

impl RequestBody for Body<'_> {
    async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        loop {
            if let Some(part) = self.decoder.decode(self.buffer).map_err(BodyError::Refused)? {
                return Ok(Some(part));
            }
            if self.decoder.is_finished() {
                return Ok(None);
            }
            self.buffer.reserve(PART);
            match timeout(BODY_TIMEOUT, self.stream.read(self.buffer)).await {
                Ok(count) => {
                    if count? == 0 {
                        return Err(BodyError::Gone(io::ErrorKind::UnexpectedEof.into()));
                    }
                }
                Err(_) => {
                    return Err(BodyError::Refused(Refused::status(408, "the body did not arrive in time")));
                }
            }
        }
    }

    async fn closed(&mut self) {
        // Further requests may follow; they are read up to a limit.
        while self.buffer.len() < PART {
            self.buffer.reserve(4096);
            if !matches!(self.stream.read(self.buffer).await, Ok(count) if count > 0) {
                return;
            }
        }
        std::future::pending().await
    }
}

impl Drop for Body<'_> {
    fn drop(&mut self) {
        // The memory of a large body is not kept for the next request.
        if self.buffer.is_empty() && self.buffer.capacity() > PART {
            *self.buffer = BytesMut::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A body, and what follows it.
    type Decoded = (Vec<u8>, Vec<u8>);

    /// Decodes a chunked body that arrives in parts of `step` bytes; `Ok(None)` if it is not complete.
    fn decode(bytes: &[u8], step: usize) -> Result<Option<Decoded>, u16> {
        let mut decoder = BodyDecoder::new(Framing::Chunked);
        let (mut input, mut body) = (BytesMut::new(), Vec::new());
        for part in bytes.chunks(step) {
            input.extend_from_slice(part);
            while let Some(part) = decoder.decode(&mut input).map_err(|refused| refused.status)? {
                body.extend_from_slice(&part);
            }
        }
        Ok(decoder.is_finished().then(|| (body, input.to_vec())))
    }

    #[test]
    fn chunks_are_decoded_however_they_arrive() {
        let bytes = b"3\r\nabc\r\n00A;x=y\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\nGET";
        for step in 1..=bytes.len() {
            let (body, rest) = decode(bytes, step).unwrap().unwrap();
            assert_eq!(body, b"abc0123456789", "{step}");
            assert!(b"GET".starts_with(&rest[..]) || rest == b"GET", "{step}");
        }
        assert_eq!(decode(b"3\r\nabc\r\n", 1), Ok(None));
        assert_eq!(decode(b"0\r\n\r\n", 1), Ok(Some((Vec::new(), Vec::new()))));
    }

    #[test]
    fn ambiguous_chunks_are_refused() {
        let long_line = [b"1;".repeat(200), b"\r\n".to_vec()].concat();
        let long_trailer = [b"0\r\n".to_vec(), b"A: b\r\n".repeat(2000)].concat();
        for wrong in [
            &b"3\nabc\r\n"[..],
            b"3\r\nabcd\r\n0\r\n\r\n",
            b"3\r\nabc\n0\r\n\r\n",
            b"3\r\nabcX\r\n",
            b"\r\n3\r\nabc\r\n",
            b"0x3\r\nabc\r\n",
            b"+3\r\nabc\r\n",
            b"-1\r\n",
            b" 3\r\nabc\r\n",
            b"3 3\r\nabc\r\n",
            b"g\r\n",
            b"3;\r\nabc\r\n",
            b"3\r;x\r\nabc\r\n",
            b"1234567890123456\r\n",
            b"ffffffffffffffff0\r\n",
            b"0\r\n\n",
            b"0\r\nA: b\n\r\n",
            &long_line,
            &long_trailer,
        ] {
            assert_eq!(decode(wrong, 1), Err(400), "{}", wrong.escape_ascii());
        }
    }
}
