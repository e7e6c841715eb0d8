//! Length of the received part of a request body that was not taken yet.

use protocol::frame::{FrameHeader, FrameType, HEADER_LEN};

/// Returns the number of body bytes in what nginx has sent, and whether they are the last. `frame` is what is left of
/// the frame that `unread` begins in, and whether that is the last one.
pub(super) fn ahead(unread: &[u8], frame: Option<(u64, bool)>) -> (u64, bool) {
    let (mut bytes, mut rest, mut frame) = (0, unread, frame);
    loop {
        let (left, last) = match (frame.take(), FrameHeader::decode(rest)) {
            (Some(frame), _) => frame,
            (None, Ok(Some(header))) if header.kind == FrameType::RequestBody => {
                rest = &rest[HEADER_LEN..];
                (u64::from(header.len), header.is_end())
            }
            _ => return (bytes, false),
        };
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
        bytes += len as u64;
        rest = &rest[len..];
        if (len as u64) < left || last {
            return (bytes, len as u64 == left);
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::frame::FLAG_END;

    use super::*;

    fn frame(kind: FrameType, flags: u8, data: &[u8]) -> Vec<u8> {
        [&FrameHeader::new(kind, flags, data.len() as u32).encode()[..], data].concat()
    }

    #[test]
    fn counts_the_payload_of_all_frames() {
        let (first, last) =
            (frame(FrameType::RequestBody, 0, b"hello"), frame(FrameType::RequestBody, FLAG_END, b"world"));
        let both = [first, last].concat();
        for len in 0..=both.len() {
            let (in_first, in_last) =
                (len.saturating_sub(HEADER_LEN).min(5), len.saturating_sub(2 * HEADER_LEN + 5));
            let expected = ((in_first + in_last) as u64, len == both.len());
            assert_eq!(ahead(&both[..len], None), expected, "{len}");
        }
    }

    #[test]
    fn counts_the_rest_of_a_frame() {
        let next = [b"lo".to_vec(), frame(FrameType::RequestBody, FLAG_END, b"")].concat();
        assert_eq!(ahead(&next, Some((2, false))), (2, true));
        assert_eq!(ahead(b"lo and the next request", Some((2, true))), (2, true));
        assert_eq!(ahead(b"l", Some((2, true))), (1, false));
    }

    #[test]
    fn stops_at_frames_of_other_types() {
        assert_eq!(ahead(&frame(FrameType::Cancel, 0, b""), None), (0, false));
        assert_eq!(ahead(&[0xff; 64], None), (0, false));
    }
}
