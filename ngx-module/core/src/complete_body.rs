//! A response's body that has been received completely with its head, as most are: its length.

use protocol::frame::{FrameHeader, FrameType, HEADER_LEN};
use protocol::request::BodyLength;

use crate::response_body::{BodyDecoder, Piece};

/// Returns the length of the whole body, when all its frames are in `bytes` and nothing follows them.
///
/// The body is then sent with a `Content-Length` even if the app gave none, and the connection is free immediately.
pub fn complete_length(bytes: &[u8], length: BodyLength, ends: bool) -> Option<u64> {
    if let Some(len) = length_of_only_frame(bytes).filter(|_| !ends) {
        return match length {
            BodyLength::Known(known) => (known == len).then_some(len),
            BodyLength::None => (len == 0).then_some(0),
            BodyLength::Unknown => Some(len),
        };
    }
    let mut decoder = BodyDecoder::new(length, ends);
    let (mut at, mut total) = (0, 0u64);
    loop {
        match decoder.next(bytes, &mut at) {
            Ok(Piece::Data(range)) => total += range.len() as u64,
            Ok(Piece::End { used }) => return (used == bytes.len()).then_some(total),
            Ok(Piece::NeedMore) | Err(_) => return None,
        }
    }
}

/// Returns the length of a body that is one frame, which nothing follows. Most are.
fn length_of_only_frame(bytes: &[u8]) -> Option<u64> {
    let header = FrameHeader::decode(bytes).ok()??;
    let is_only = header.kind == FrameType::ResponseBody
        && header.is_end()
        && bytes.len() - HEADER_LEN == header.len as usize;
    is_only.then_some(u64::from(header.len))
}

#[cfg(test)]
mod tests {
    use protocol::frame::FLAG_END;

    use super::*;

    fn body(flags: u8, payload: &[u8]) -> Vec<u8> {
        let header = FrameHeader::new(FrameType::ResponseBody, flags, payload.len() as u32).encode();
        [header.as_slice(), payload].concat()
    }

    #[test]
    fn a_complete_body_is_measured() {
        let bytes = [body(0, b"he"), body(FLAG_END, b"llo")].concat();
        assert_eq!(complete_length(&bytes, BodyLength::Unknown, false), Some(5));
        assert_eq!(complete_length(&bytes[..bytes.len() - 1], BodyLength::Unknown, false), None);
        assert_eq!(complete_length(&[bytes, b"x".to_vec()].concat(), BodyLength::Unknown, false), None);
        assert_eq!(complete_length(b"", BodyLength::None, true), Some(0));
    }

    #[test]
    fn a_body_of_one_frame_is_measured_as_one_of_two() {
        let whole = |end: u8, len: usize| body(end, &vec![b'x'; len]);
        for length in [
            BodyLength::None,
            BodyLength::Unknown,
            BodyLength::Known(0),
            BodyLength::Known(5),
            BodyLength::Known(6),
        ] {
            for len in [0, 5, 6] {
                let two = [whole(0, len), whole(FLAG_END, 0)].concat();
                let one = whole(FLAG_END, len);
                let expected = complete_length(&two, length, false);
                assert_eq!(complete_length(&one, length, false), expected, "{length:?}, {len}");
                assert_eq!(complete_length(&[&one[..], b"x"].concat(), length, false), None);
                assert_eq!(complete_length(&one[..one.len() - 1], length, false), None);
                assert_eq!(complete_length(&one, length, true), None, "nothing follows an end");
            }
        }
    }
}
