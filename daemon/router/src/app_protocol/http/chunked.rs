//! Strict decoder of the chunked transfer coding: what two parsers could read differently is rejected.

use std::mem;

use crate::app_protocol::response_head::ResponseError;

/// Maximum length of a chunk-size line or trailer line, in bytes; longer ones have no legitimate use.
const MAX_LINE: usize = 4096;
/// Maximum number of trailer lines.
const MAX_TRAILERS: usize = 64;

/// Decoder of a body that is received in parts of any size.
#[derive(Debug, Default)]
pub(crate) struct Chunked {
    state: State,
    /// The beginning of a line that is not complete.
    line: Vec<u8>,
}

/// Position of the next byte in the coding.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// At the line with a chunk's size.
    #[default]
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

impl Chunked {
    /// Whether the last byte was decoded.
    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Decodes from the front of `bytes`, which are not empty; returns how many were used and the body in them.
    pub(crate) fn next<'b>(&mut self, bytes: &'b [u8]) -> Result<(usize, &'b [u8]), ResponseError> {
        match self.state {
            State::Done => Err(bad("data follows the last chunk")),
            State::Data(left) => {
                let len = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                let left = left - len as u64;
                self.state = if left == 0 { State::AfterData } else { State::Data(left) };
                Ok((len, &bytes[..len]))
            }
            State::Size | State::AfterData | State::Trailer(_) => Ok((self.line(bytes)?, &[])),
        }
    }

    /// Decodes a line, or keeps the beginning of one; returns how many bytes were used.
    fn line(&mut self, bytes: &[u8]) -> Result<usize, ResponseError> {
        let (part, end) = match memchr::memchr(b'\n', bytes) {
            Some(end) => (&bytes[..end], Some(end)),
            None => (bytes, None),
        };
        if self.line.len() + part.len() > MAX_LINE + 1 {
            return Err(bad("a line is too long"));
        }
        let Some(end) = end else {
            self.line.extend_from_slice(part);
            return Ok(part.len());
        };
        let mut kept = mem::take(&mut self.line);
        let line = if kept.is_empty() {
            part
        } else {
            kept.extend_from_slice(part);
            &kept
        };
        self.state = self.state.after_line(line.strip_suffix(b"\r").ok_or(bad("a line ends without CR"))?)?;
        Ok(end + 1)
    }
}

impl State {
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

    /// Returns the body, and how many bytes were used until its end.
    fn run(bytes: &[u8], step: usize) -> Result<(Vec<u8>, Option<usize>), ResponseError> {
        let (mut chunked, mut body, mut used_all) = (Chunked::default(), Vec::new(), 0);
        for mut piece in bytes.chunks(step) {
            while !piece.is_empty() {
                let (used, data) = chunked.next(piece)?;
                body.extend_from_slice(data);
                used_all += used;
                if chunked.is_done() {
                    return Ok((body, Some(used_all)));
                }
                piece = &piece[used..];
            }
        }
        Ok((body, None))
    }

    #[test]
    fn a_body_is_the_same_for_every_read_size() {
        let bytes = b"5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\nX-Trailer: 1\r\n\r\n";
        for step in 1..=bytes.len() {
            assert_eq!(run(bytes, step), Ok((b"hello world".to_vec(), Some(bytes.len()))));
        }
    }

    #[test]
    fn uses_nothing_after_the_end() {
        assert_eq!(run(b"0\r\n\r\nHTTP/1.1", 64), Ok((Vec::new(), Some(5))));
        let mut chunked = Chunked::default();
        b"0\r\n\r\n".chunks(3).for_each(|piece| drop(chunked.next(piece)));
        assert!(chunked.is_done() && chunked.next(b"x").is_err());
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
            for step in [1, 64] {
                assert!(run(bytes, step).is_err(), "{:?}", String::from_utf8_lossy(bytes));
            }
        }
        assert!(run(&[b'1'; MAX_LINE + 2], 1024).is_err());
    }
}
