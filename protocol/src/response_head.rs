//! The encoding of a response head, which every response pays for: the router encodes it and the module decodes it, in
//! bincode's format without its generic machinery. Tests compare both.

use crate::reader::{ReadError, Reader};
use crate::request_head::{body_length, put_body_length};
use crate::response::ResponseHead;
use crate::varint::{bytes, number, put, put_bytes};

/// Appends a head.
pub(crate) fn encode(out: &mut Vec<u8>, head: &ResponseHead<'_>) {
    put(out, u64::from(head.status));
    put_bytes(out, head.reason);
    put_body_length(out, head.body);
    put(out, u64::from(head.process_pid));
    put(out, head.queue_us);
    put(out, head.app_us);
}

/// Decodes a head from the start of `payload`; also returns what follows it.
pub(crate) fn decode(payload: &[u8]) -> Result<(ResponseHead<'_>, &[u8]), ReadError> {
    let mut reader = Reader::new(payload);
    let head = read(&mut reader)?;
    Ok((head, reader.rest()))
}

fn read<'a>(reader: &mut Reader<'a>) -> Result<ResponseHead<'a>, ReadError> {
    Ok(ResponseHead {
        status: number(reader, "status")?,
        reason: bytes(reader, "reason")?,
        body: body_length(reader)?,
        process_pid: number(reader, "process")?,
        queue_us: number(reader, "time in the queue")?,
        app_us: number(reader, "time in the app")?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::payload;
    use crate::request_head::tests::{lengths, numbers};

    /// The head that is read, and its length in bytes.
    fn decoded(bytes: &[u8]) -> Option<(ResponseHead<'_>, usize)> {
        decode(bytes).ok().map(|(head, rest)| (head, bytes.len() - rest.len()))
    }

    /// Bytes that are often the start of longer numbers.
    fn damaged() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(prop_oneof![0..4u8, 248..=255u8, any::<u8>()], 0..40)
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_response_head_is_written_and_read_as_by_serde(
            reason in prop::collection::vec(any::<u8>(), 0..300),
            (status, process_pid, queue_us, app_us) in (any::<u16>(), numbers(), numbers(), numbers()),
            body in lengths(),
            end in 0..400usize,
        ) {
            let process_pid = process_pid as u32;
            let head = ResponseHead { status, reason: &reason, body, process_pid, queue_us, app_us };
            let mut bytes = Vec::new();
            payload::encode("response head", &head, &mut bytes).unwrap();
            let mut ours = Vec::new();
            encode(&mut ours, &head);
            prop_assert_eq!(&ours, &bytes);
            prop_assert_eq!(decoded(&bytes), Some((head, bytes.len())));
            let cut = &bytes[..end.min(bytes.len())];
            prop_assert_eq!(decoded(cut), payload::decode("response head", cut).ok());
        }

        #[test]
        fn a_damaged_response_head_is_refused_as_by_serde(bytes in damaged()) {
            prop_assert_eq!(decoded(&bytes), payload::decode("response head", &bytes).ok());
        }
    }
}
