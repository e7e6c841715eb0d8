//! Strict decoder of the chunked transfer coding: what two parsers could read differently is rejected.
//!
//! [`Chunked`] requires complete lines, [`ChunkedParts`] accepts a body in parts of any size.

use std::mem;

use crate::app_protocol::response_head::ResponseError;

/// Maximum length of a chunk-size line or trailer line, in bytes; longer ones have no legitimate use.
const MAX_LINE: usize = 4096;
/// Maximum number of trailer lines.
const MAX_TRAILERS: usize = 64;

/// Position of the next byte in the coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chunked {
    /// At the line with a chunk's size.
    Size,
    /// Inside a chunk, with this many bytes left.
    Data(u64),
    /// At the line break after a chunk.
    AfterData,
    /// In the trailer, after this many lines. Trailers are dropped.
    Trailer(usize),
    /// After the last byte.
    Done,
}

/// One step of decoding.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step<'a> {
    /// More bytes are needed.
    More,
    /// Bytes of the body; may be empty after a step that read a line.
    Data(&'a [u8]),
    /// The body is complete.
    Done,
}

impl Chunked {
    /// Decodes from the front of `bytes`; also returns how many were used.
    pub(crate) fn next<'b>(&mut self, bytes: &'b [u8]) -> Result<(usize, Step<'b>), ResponseError> {
        match *self {
            Self::Done => Ok((0, Step::Done)),
            Self::Data(left) => Ok(self.data(bytes, left)),
            Self::Size | Self::AfterData | Self::Trailer(_) => self.line(bytes),
        }
    }

    fn data<'b>(&mut self, bytes: &'b [u8], left: u64) -> (usize, Step<'b>) {
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        if len == 0 {
            return (0, Step::More);
        }
        let left = left - len as u64;
        *self = if left == 0 { Self::AfterData } else { Self::Data(left) };
        (len, Step::Data(&bytes[..len]))
    }

    fn line<'b>(&mut self, bytes: &'b [u8]) -> Result<(usize, Step<'b>), ResponseError> {
        let Some(end) = memchr::memchr(b'\n', bytes) else {
            return if bytes.len() > MAX_LINE { Err(bad("a line is too long")) } else { Ok((0, Step::More)) };
        };
        let line = bytes[..end].strip_suffix(b"\r").ok_or(bad("a line ends without CR"))?;
        if line.len() > MAX_LINE {
            return Err(bad("a line is too long"));
        }
        *self = self.after_line(line)?;
        Ok((end + 1, if *self == Self::Done { Step::Done } else { Step::Data(&[]) }))
    }

    fn after_line(self, line: &[u8]) -> Result<Self, ResponseError> {
        match self {
            Self::AfterData if line.is_empty() => Ok(Self::Size),
            Self::AfterData => Err(bad("a chunk is longer than its size")),
            Self::Trailer(_) if line.is_empty() => Ok(Self::Done),
            Self::Trailer(lines) if lines < MAX_TRAILERS => Ok(Self::Trailer(lines + 1)),
            Self::Trailer(_) => Err(bad("there are too many trailers")),
            _ => match chunk_size(line)? {
                0 => Ok(Self::Trailer(0)),
                size => Ok(Self::Data(size)),
            },
        }
    }
}

/// [`Chunked`] for parts that cannot be read again.
#[derive(Debug)]
pub(crate) struct ChunkedParts {
    state: Chunked,
    /// The beginning of a line that is not complete.
    line: Vec<u8>,
}

impl ChunkedParts {
    pub(crate) fn new() -> Self {
        Self { state: Chunked::Size, line: Vec::new() }
    }

    /// Whether the last byte was decoded.
    pub(crate) fn is_done(&self) -> bool {
        self.state == Chunked::Done
    }

    /// Decodes from the front of `bytes`, which are not empty; returns how many were used and the body in them.
    pub(crate) fn next<'b>(&mut self, bytes: &'b [u8]) -> Result<(usize, &'b [u8]), ResponseError> {
        if self.is_done() {
            return Err(bad("data follows the last chunk"));
        }
        if self.line.is_empty() {
            return match self.state.next(bytes)? {
                (_, Step::More) => {
                    self.line.extend_from_slice(bytes);
                    Ok((bytes.len(), &[]))
                }
                (used, Step::Data(data)) => Ok((used, data)),
                (used, Step::Done) => Ok((used, &[])),
            };
        }
        let used = memchr::memchr(b'\n', bytes).map_or(bytes.len(), |end| end + 1);
        let mut line = mem::take(&mut self.line);
        line.extend_from_slice(&bytes[..used]);
        if matches!(self.state.next(&line)?, (_, Step::More)) {
            self.line = line;
        }
        Ok((used, &[]))
    }
}

/// Parses the size before a chunk; an extension after `;` is ignored.
fn chunk_size(line: &[u8]) -> Result<u64, ResponseError> {
    let digits = line.split(|b| *b == b';').next().unwrap_or_default().trim_ascii_end();
    if digits.is_empty() || digits.len() > 15 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(bad("a chunk size is not a hexadecimal number"));
    }
    // Fifteen digits fit.
    Ok(digits
        .iter()
        .fold(0, |size, digit| size * 16 + u64::from(char::from(*digit).to_digit(16).unwrap_or(0))))
}

fn bad(why: &'static str) -> ResponseError {
    ResponseError::BadBody(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(bytes: &[u8], step: usize) -> Result<(Vec<u8>, bool, usize), ResponseError> {
        let (mut state, mut body, mut buffer, mut used_all) = (Chunked::Size, Vec::new(), Vec::new(), 0);
        for piece in bytes.chunks(step) {
            buffer.extend_from_slice(piece);
            loop {
                let (used, step) = state.next(&buffer)?;
                let stop = !matches!(step, Step::Data(_));
                if let Step::Data(data) = step {
                    body.extend_from_slice(data);
                }
                buffer.drain(..used);
                used_all += used;
                if stop {
                    break;
                }
            }
        }
        Ok((body, state == Chunked::Done, used_all))
    }

    #[test]
    fn a_body_is_the_same_for_every_read_size() {
        let bytes = b"5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\nX-Trailer: 1\r\n\r\n";
        for step in 1..=bytes.len() {
            assert_eq!(run(bytes, step), Ok((b"hello world".to_vec(), true, bytes.len())));
        }
    }

    #[test]
    fn decodes_the_same_from_parts_of_any_size() {
        let bytes = b"5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\nX-Trailer: 1\r\n\r\n";
        for step in 1..=bytes.len() {
            let (mut parts, mut body) = (ChunkedParts::new(), Vec::new());
            for mut piece in bytes.chunks(step) {
                while !piece.is_empty() {
                    let (used, data) = parts.next(piece).unwrap();
                    body.extend_from_slice(data);
                    piece = &piece[used..];
                }
            }
            assert!(parts.is_done());
            assert_eq!(body, b"hello world");
            assert!(parts.next(b"x").is_err(), "something follows");
        }
    }

    #[test]
    fn uses_nothing_after_the_end() {
        assert_eq!(run(b"0\r\n\r\nHTTP/1.1", 64), Ok((Vec::new(), true, 5)));
    }

    #[test]
    fn rejects_ambiguous_chunks() {
        for bytes in [
            b"5\nhello".as_slice(),
            b"0x5\r\nhello",
            b"-1\r\n",
            b" 5\r\nhello",
            b"\r\n",
            b"fffffffffffffffff\r\n",
            b"2\r\nabc\r\n",
        ] {
            assert!(run(bytes, 64).is_err(), "{:?}", String::from_utf8_lossy(bytes));
        }
        assert!(run(&[b'1'; MAX_LINE + 2], 1024).is_err());
    }
}
