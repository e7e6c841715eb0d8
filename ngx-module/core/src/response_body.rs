//! Decoder of a response's body frames. It returns ranges of the received bytes, however they are split, so that
//! nothing is copied.

use std::ops::Range;

use protocol::frame::{FrameError, FrameHeader, FrameType, HEADER_LEN};
use protocol::request::BodyLength;
use protocol::response::Abort;

pub use crate::complete_body::complete_length;
use crate::response_head::name;

/// Decodes one response's body.
#[derive(Debug)]
pub struct BodyDecoder {
    state: State,
    /// Announced bytes not yet received; `None` when the length is unknown.
    remaining: Option<u64>,
}

/// The type of the next bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// A part of the body: this range of the input.
    Data(Range<usize>),
    /// All input is consumed.
    NeedMore,
    /// The body is complete; input after `used` does not belong to it.
    End {
        /// Bytes of the input that belong to this response.
        used: usize,
    },
}

/// Why the body cannot be completed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The daemon aborted the response.
    #[error("flying-passenger aborted the response: {0}")]
    Aborted(String),
    /// The bytes are not a frame.
    #[error("flying-passenger sent an invalid frame: {0}")]
    Frame(#[from] FrameError),
    /// A frame of this type is not allowed here.
    #[error("flying-passenger sent a {0:?} frame inside a response body")]
    Unexpected(FrameType),
    /// The body is longer than announced.
    #[error("flying-passenger sent a longer response body than announced")]
    TooMuch,
    /// The body ended this many bytes early.
    #[error("flying-passenger ended the response body {0} bytes early")]
    TooShort(u64),
}

#[derive(Debug)]
enum State {
    /// Before or inside a frame header.
    Header { bytes: [u8; HEADER_LEN], have: usize },
    /// Inside a body frame.
    Data { left: u32, last: bool },
    /// Inside an abort frame.
    Abort { len: usize, payload: Vec<u8> },
    /// The body is complete.
    Ended,
}

const HEADER: State = State::Header { bytes: [0; HEADER_LEN], have: 0 };

impl BodyDecoder {
    /// Returns a decoder of the body after a head. `ends`: the head's frame is marked as the last.
    pub fn new(length: BodyLength, ends: bool) -> Self {
        let remaining = match length {
            BodyLength::None => Some(0),
            BodyLength::Known(len) => Some(len),
            BodyLength::Unknown => None,
        };
        Self { state: if ends { State::Ended } else { HEADER }, remaining }
    }

    /// Whether the last frame has been received.
    pub fn has_ended(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    /// Returns how many more bytes are needed at least: 1 or more until the body has ended.
    pub fn needs(&self) -> usize {
        match &self.state {
            State::Header { have, .. } => HEADER_LEN - have,
            State::Data { left, .. } => *left as usize,
            State::Abort { len, payload } => (len - payload.len()).max(1),
            State::Ended => 0,
        }
    }

    /// Returns how many bytes of body are known to follow.
    pub fn expects(&self) -> u64 {
        match (self.remaining, &self.state) {
            (Some(remaining), _) => remaining,
            (None, State::Data { left, .. }) => u64::from(*left),
            (None, _) => 0,
        }
    }

    /// Reads `input` from `*at` on, and advances `*at` past the consumed bytes.
    ///
    /// # Errors
    ///
    /// [`BodyError`]: the response cannot be completed and the connection cannot be reused.
    pub fn next(&mut self, input: &[u8], at: &mut usize) -> Result<Piece, BodyError> {
        loop {
            let start = *at;
            let mut take = |most: usize| {
                let taken = input.get(start..).unwrap_or_default();
                let taken = taken.get(..most).unwrap_or(taken);
                *at += taken.len();
                taken
            };
            match &mut self.state {
                State::Ended => {
                    self.check_end()?;
                    return Ok(Piece::End { used: *at });
                }
                State::Header { bytes, have } => {
                    let taken = take(HEADER_LEN - *have);
                    let whole = if taken.len() == HEADER_LEN {
                        taken
                    } else {
                        bytes[*have..*have + taken.len()].copy_from_slice(taken);
                        *have += taken.len();
                        &bytes[..*have]
                    };
                    let Some(header) = FrameHeader::decode(whole)? else {
                        return Ok(Piece::NeedMore);
                    };
                    self.begin(header)?;
                }
                State::Data { left, last } => {
                    let taken = take(*left as usize).len();
                    if taken == 0 {
                        return Ok(Piece::NeedMore);
                    }
                    *left -= taken as u32;
                    if *left == 0 {
                        self.state = if *last { State::Ended } else { HEADER };
                    }
                    self.count_body(taken)?;
                    return Ok(Piece::Data(start..*at));
                }
                State::Abort { len, payload } => {
                    payload.extend_from_slice(take(*len - payload.len()));
                    if payload.len() < *len {
                        return Ok(Piece::NeedMore);
                    }
                    return Err(BodyError::Aborted(match Abort::decode(payload) {
                        Ok(abort) => format!("{}: {}", name(abort.reason), abort.message),
                        Err(err) => err.to_string(),
                    }));
                }
            }
        }
    }

    fn begin(&mut self, header: FrameHeader) -> Result<(), BodyError> {
        self.state = match header.kind {
            FrameType::ResponseBody if header.len > 0 => {
                State::Data { left: header.len, last: header.is_end() }
            }
            FrameType::ResponseBody if header.is_end() => State::Ended,
            FrameType::ResponseBody => HEADER,
            FrameType::Abort => State::Abort { len: header.len as usize, payload: Vec::new() },
            other => return Err(BodyError::Unexpected(other)),
        };
        self.check_end()
    }

    fn count_body(&mut self, len: usize) -> Result<(), BodyError> {
        if let Some(remaining) = &mut self.remaining {
            *remaining = remaining.checked_sub(len as u64).ok_or(BodyError::TooMuch)?;
        }
        self.check_end()
    }

    fn check_end(&self) -> Result<(), BodyError> {
        match self.remaining {
            Some(remaining) if remaining > 0 && self.has_ended() => Err(BodyError::TooShort(remaining)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use protocol::frame::FLAG_END;
    use protocol::response::AbortReason;

    use super::*;

    fn frame(kind: FrameType, flags: u8, payload: &[u8]) -> Vec<u8> {
        let header = FrameHeader::new(kind, flags, payload.len() as u32).encode();
        [header.as_slice(), payload].concat()
    }

    fn body(flags: u8, payload: &[u8]) -> Vec<u8> {
        frame(FrameType::ResponseBody, flags, payload)
    }

    /// Decodes the parts one after another; returns the body and the bytes after its end.
    fn decode(decoder: &mut BodyDecoder, parts: &[&[u8]]) -> Result<(Vec<u8>, Vec<u8>), BodyError> {
        let (mut data, mut behind) = (Vec::new(), Vec::new());
        for part in parts {
            let mut at = 0;
            loop {
                match decoder.next(part, &mut at)? {
                    Piece::Data(range) => data.extend_from_slice(&part[range]),
                    Piece::NeedMore => break,
                    Piece::End { used } => {
                        behind.extend_from_slice(&part[used..]);
                        break;
                    }
                }
            }
        }
        Ok((data, behind))
    }

    #[test]
    fn a_body_of_several_frames_is_joined() {
        let bytes = [body(0, b"he"), body(0, b""), body(0, b"ll"), body(FLAG_END, b"o")].concat();
        let mut decoder = BodyDecoder::new(BodyLength::Known(5), false);
        assert_eq!(decode(&mut decoder, &[&bytes]), Ok((b"hello".to_vec(), Vec::new())));
        assert!(decoder.has_ended());
    }

    #[test]
    fn bytes_after_the_end_are_not_consumed() {
        let bytes = [body(FLAG_END, b"x"), b"more".to_vec()].concat();
        let mut decoder = BodyDecoder::new(BodyLength::Unknown, false);
        assert_eq!(decode(&mut decoder, &[&bytes]), Ok((b"x".to_vec(), b"more".to_vec())));
    }

    #[test]
    fn a_head_that_ends_has_no_body() {
        let mut decoder = BodyDecoder::new(BodyLength::None, true);
        assert_eq!(decode(&mut decoder, &[b"next"]), Ok((Vec::new(), b"next".to_vec())));
        assert_eq!(decoder.needs(), 0);
    }

    #[test]
    fn rejects_a_body_longer_than_announced() {
        let bytes = body(FLAG_END, b"toolong");
        let mut decoder = BodyDecoder::new(BodyLength::Known(3), false);
        assert_eq!(decode(&mut decoder, &[&bytes]), Err(BodyError::TooMuch));
    }

    #[test]
    fn rejects_an_early_end() {
        for bytes in [body(FLAG_END, b"abc"), [body(0, b"abc"), body(FLAG_END, b"")].concat()] {
            let mut decoder = BodyDecoder::new(BodyLength::Known(5), false);
            assert_eq!(decode(&mut decoder, &[&bytes]), Err(BodyError::TooShort(2)));
        }
    }

    #[test]
    fn rejects_a_head_that_ends_before_its_body() {
        let mut decoder = BodyDecoder::new(BodyLength::Known(5), true);
        assert_eq!(decode(&mut decoder, &[b""]), Err(BodyError::TooShort(5)));
    }

    #[test]
    fn rejects_a_frame_other_than_body() {
        let bytes = frame(FrameType::Response, 0, b"");
        let mut decoder = BodyDecoder::new(BodyLength::Unknown, false);
        let refused = decode(&mut decoder, &[&bytes]);
        assert_eq!(refused, Err(BodyError::Unexpected(FrameType::Response)));
    }

    #[test]
    fn an_abort_contains_its_reason_however_it_is_split() {
        let mut bytes = body(0, b"ab");
        Abort { reason: AbortReason::AppClosed, message: "pid 7 ended" }.write_frame(&mut bytes);
        for cut in 0..bytes.len() {
            let (one, two) = bytes.split_at(cut);
            let mut decoder = BodyDecoder::new(BodyLength::Unknown, false);
            let aborted = decode(&mut decoder, &[one, two]);
            assert!(matches!(&aborted, Err(BodyError::Aborted(why)) if why.contains("pid 7 ended")), "{cut}");
        }
    }

    #[test]
    fn an_abort_without_payload_ends_too() {
        let bytes = frame(FrameType::Abort, 0, b"");
        let mut decoder = BodyDecoder::new(BodyLength::Unknown, false);
        assert!(matches!(decode(&mut decoder, &[&bytes]), Err(BodyError::Aborted(_))));
    }

    #[test]
    fn needs_are_positive_until_the_end() {
        let mut decoder = BodyDecoder::new(BodyLength::Unknown, false);
        assert_eq!(decoder.needs(), HEADER_LEN);
        let bytes = body(FLAG_END, b"hello");
        decode(&mut decoder, &[&bytes[..HEADER_LEN + 2]]).unwrap();
        assert_eq!((decoder.needs(), decoder.expects()), (3, 3));
        decode(&mut decoder, &[&bytes[HEADER_LEN + 2..]]).unwrap();
        assert_eq!(decoder.needs(), 0);
    }

    proptest! {
        #[test]
        fn the_body_does_not_depend_on_how_bytes_are_split(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..6),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let mut bytes: Vec<u8> = chunks.iter().flat_map(|chunk| body(0, chunk)).collect();
            bytes.extend(body(FLAG_END, b""));
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
            at.extend([0, bytes.len()]);
            at.sort_unstable();
            let parts: Vec<&[u8]> = at.windows(2).map(|two| &bytes[two[0]..two[1]]).collect();
            let whole = chunks.concat();
            let mut decoder = BodyDecoder::new(BodyLength::Known(whole.len() as u64), false);
            prop_assert_eq!(decode(&mut decoder, &parts), Ok((whole, Vec::new())));
            prop_assert!(decoder.has_ended());
        }

        #[test]
        fn arbitrary_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut decoder = BodyDecoder::new(BodyLength::Unknown, false);
            let _any_outcome = decode(&mut decoder, &[&bytes]);
        }
    }
}
