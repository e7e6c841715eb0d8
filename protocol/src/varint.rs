//! bincode's numbers and byte strings, and with them the two heads that are on the path of every request: the module
//! encodes one and decodes the other. This takes a tenth of the instructions of serde's way, which defines the bytes:
//! the tests compare them.
//!
//! A number below 251 is one byte; otherwise 251, 252 or 253 is followed by two, four or eight bytes, little endian. A
//! byte string follows its length.

use crate::request::{BodyLength, RequestHead};
use crate::response::ResponseHead;

const TWO_BYTES: u8 = 251;
const FOUR_BYTES: u8 = 252;
const EIGHT_BYTES: u8 = 253;

fn put(out: &mut Vec<u8>, value: u64) {
    if value < u64::from(TWO_BYTES) {
        out.push(value as u8);
    } else if let Ok(value) = u16::try_from(value) {
        let [low, high] = value.to_le_bytes();
        out.extend_from_slice(&[TWO_BYTES, low, high]);
    } else if let Ok(value) = u32::try_from(value) {
        out.push(FOUR_BYTES);
        out.extend_from_slice(&value.to_le_bytes());
    } else {
        out.push(EIGHT_BYTES);
        out.extend_from_slice(&value.to_le_bytes());
    }
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends a request's head.
pub(crate) fn put_request_head(out: &mut Vec<u8>, head: &RequestHead<'_>) {
    out.extend_from_slice(&head.settings_digest.0);
    put(out, u64::from(head.settings_len));
    put_bytes(out, head.app.group);
    put_bytes(out, head.app.root);
    out.push(head.app.kind as u8);
    put_bytes(out, head.app.start_command);
    for part in [head.method, head.uri, head.base_uri, head.document_root, head.remote_addr] {
        put_bytes(out, part);
    }
    put(out, u64::from(head.remote_port));
    put_bytes(out, head.remote_user);
    put_bytes(out, head.server_software);
    out.extend_from_slice(&[u8::from(head.https), u8::from(head.upgrade)]);
    put(out, head.started_ms);
    match head.body {
        BodyLength::None => out.push(0),
        BodyLength::Known(len) => {
            out.push(1);
            put(out, len);
        }
        BodyLength::Unknown => out.push(2),
    }
}

/// The bytes not yet read; `None` at the end of the input, and for what is not an encoding.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    /// Reads a number of 64 bits.
    fn number(&mut self) -> Option<u64> {
        let [first] = self.array()?;
        Some(match first {
            TWO_BYTES => u64::from(u16::from_le_bytes(self.array()?)),
            FOUR_BYTES => u64::from(u32::from_le_bytes(self.array()?)),
            EIGHT_BYTES => u64::from_le_bytes(self.array()?),
            254.. => return None,
            value => u64::from(value),
        })
    }

    /// Reads a number of 32 bits, for which the encoding of a larger one is not valid, whatever its value.
    fn number_of_32_bits(&mut self) -> Option<u32> {
        if self.0.first() == Some(&EIGHT_BYTES) { None } else { u32::try_from(self.number()?).ok() }
    }

    /// Reads a number of 16 bits.
    fn number_of_16_bits(&mut self) -> Option<u16> {
        if self.0.first() == Some(&FOUR_BYTES) { None } else { u16::try_from(self.number_of_32_bits()?).ok() }
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(self.number()?).ok()?;
        self.take(len)
    }

    fn body_length(&mut self) -> Option<BodyLength> {
        Some(match self.number_of_32_bits()? {
            0 => BodyLength::None,
            1 => BodyLength::Known(self.number()?),
            2 => BodyLength::Unknown,
            _ => return None,
        })
    }
}

/// Reads a response's head from the start of `payload`; also returns its length in bytes. `None` if it is damaged.
pub(crate) fn take_response_head(payload: &[u8]) -> Option<(ResponseHead<'_>, usize)> {
    let mut input = Input(payload);
    let head = ResponseHead {
        status: input.number_of_16_bits()?,
        reason: input.bytes()?,
        body: input.body_length()?,
        process_pid: input.number_of_32_bits()?,
        queue_us: input.number()?,
        app_us: input.number()?,
    };
    Some((head, payload.len() - input.0.len()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::payload;
    use crate::request::{AppKind, AppRef};
    use crate::settings::Digest;

    const KINDS: [AppKind; 5] =
        [AppKind::Ruby, AppKind::Python, AppKind::Node, AppKind::Meteor, AppKind::Generic];

    /// Numbers of every length, and those at which it changes.
    fn numbers() -> impl Strategy<Value = u64> {
        let limits = [0, 250, 251, 252, 255, 65_535, 65_536, u64::from(u32::MAX), 1 << 32, u64::MAX];
        prop_oneof![prop::sample::select(limits.to_vec()), any::<u64>(), 0..1000u64]
    }

    fn lengths() -> impl Strategy<Value = BodyLength> {
        prop_oneof![Just(BodyLength::None), Just(BodyLength::Unknown), numbers().prop_map(BodyLength::Known)]
    }

    /// Bytes that are often the start of longer numbers.
    fn damaged() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(prop_oneof![0..4u8, 248..=255u8, any::<u8>()], 0..40)
    }

    proptest! {
        #[test]
        fn a_request_head_has_the_bytes_of_serde(
            texts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 10),
            digest in any::<[u8; 16]>(),
            (settings_len, started_ms, remote_port) in (numbers(), numbers(), numbers()),
            (https, upgrade, kind) in (any::<bool>(), any::<bool>(), 0..KINDS.len()),
            body in lengths(),
        ) {
            let head = RequestHead {
                settings_digest: Digest(digest),
                settings_len: settings_len as u32,
                app: AppRef {
                    group: &texts[0],
                    root: &texts[1],
                    kind: KINDS[kind],
                    start_command: &texts[2],
                },
                method: &texts[3],
                uri: &texts[4],
                base_uri: &texts[5],
                document_root: &texts[6],
                remote_addr: &texts[7],
                remote_port: remote_port as u16,
                remote_user: &texts[8],
                server_software: &texts[9],
                https,
                upgrade,
                started_ms,
                body,
            };
            let (mut serdes, mut ours) = (Vec::new(), Vec::new());
            payload::encode("request head", &head, &mut serdes).unwrap();
            put_request_head(&mut ours, &head);
            prop_assert_eq!(ours, serdes);
        }

        #[test]
        fn a_response_head_is_read_as_by_serde(
            reason in prop::collection::vec(any::<u8>(), 0..300),
            (status, process_pid, queue_us, app_us) in (any::<u16>(), numbers(), numbers(), numbers()),
            body in lengths(),
            end in 0..400usize,
        ) {
            let process_pid = process_pid as u32;
            let head = ResponseHead { status, reason: &reason, body, process_pid, queue_us, app_us };
            let mut bytes = Vec::new();
            payload::encode("response head", &head, &mut bytes).unwrap();
            prop_assert_eq!(take_response_head(&bytes), Some((head, bytes.len())));
            let cut = &bytes[..end.min(bytes.len())];
            prop_assert_eq!(take_response_head(cut), payload::decode("response head", cut).ok());
        }

        #[test]
        fn a_damaged_response_head_is_refused_as_by_serde(bytes in damaged()) {
            prop_assert_eq!(take_response_head(&bytes), payload::decode("response head", &bytes).ok());
        }
    }
}
