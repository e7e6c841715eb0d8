//! Decoder of a request head: reads what bincode would read, without its generic machinery, as every request pays for
//! it. A test compares both.
//!
//! Numbers of up to 250 are one byte; 251, 252 and 253 announce two, four and eight bytes. Bytes follow their length, an
//! enum's fields its number.

use crate::app_kind::AppKind;
use crate::limits::MAX_REQUEST_HEAD;
use crate::reader::{ReadError, Reader};
use crate::request::{AppRef, BodyLength, RequestHead};
use crate::settings::Digest;

const TWO_BYTES: u8 = 251;
const FOUR_BYTES: u8 = 252;
const EIGHT_BYTES: u8 = 253;

/// The kinds in the order of their numbers.
const KINDS: [AppKind; 5] =
    [AppKind::Ruby, AppKind::Python, AppKind::Node, AppKind::Meteor, AppKind::Generic];

/// Decodes a head from the start of `payload`; also returns what follows it.
pub(crate) fn decode(payload: &[u8]) -> Result<(RequestHead<'_>, &[u8]), ReadError> {
    if payload.len() > MAX_REQUEST_HEAD as usize {
        return Err(ReadError::InvalidValue("length"));
    }
    let mut reader = Reader::new(payload);
    let head = read(&mut reader)?;
    Ok((head, reader.rest()))
}

fn read<'a>(reader: &mut Reader<'a>) -> Result<RequestHead<'a>, ReadError> {
    Ok(RequestHead {
        settings_digest: Digest(reader.array("settings digest")?),
        settings_len: number(reader, "length of the settings")?,
        app: AppRef {
            group: bytes(reader, "group")?,
            root: bytes(reader, "root")?,
            kind: kind(reader)?,
            start_command: bytes(reader, "start command")?,
        },
        method: bytes(reader, "method")?,
        uri: bytes(reader, "URI")?,
        base_uri: bytes(reader, "base URI")?,
        document_root: bytes(reader, "document root")?,
        remote_addr: bytes(reader, "client's address")?,
        remote_port: number(reader, "client's port")?,
        remote_user: bytes(reader, "user")?,
        server_software: bytes(reader, "server software")?,
        https: flag(reader, "flag for HTTPS")?,
        upgrade: flag(reader, "flag for upgrades")?,
        started_ms: number(reader, "time")?,
        body: body(reader)?,
    })
}

/// Reads a number; one that announces more bytes than `N` has, or does not fit, is invalid.
fn number<N: TryFrom<u64>>(reader: &mut Reader<'_>, what: &'static str) -> Result<N, ReadError> {
    let first = reader.u8(what)?;
    let number = match first {
        TWO_BYTES => u64::from(u16::from_le_bytes(reader.array(what)?)),
        FOUR_BYTES if size_of::<N>() >= 4 => u64::from(u32::from_le_bytes(reader.array(what)?)),
        EIGHT_BYTES if size_of::<N>() >= 8 => u64::from_le_bytes(reader.array(what)?),
        FOUR_BYTES.. => return Err(ReadError::InvalidValue(what)),
        small => u64::from(small),
    };
    N::try_from(number).map_err(|_| ReadError::InvalidValue(what))
}

fn bytes<'a>(reader: &mut Reader<'a>, what: &'static str) -> Result<&'a [u8], ReadError> {
    let len = number::<usize>(reader, what)?;
    reader.take(len, what)
}

fn flag(reader: &mut Reader<'_>, what: &'static str) -> Result<bool, ReadError> {
    match reader.u8(what)? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(ReadError::InvalidValue(what)),
    }
}

fn kind(reader: &mut Reader<'_>) -> Result<AppKind, ReadError> {
    const WHAT: &str = "app type";
    let at = number::<u32>(reader, WHAT)?;
    KINDS.get(at as usize).copied().ok_or(ReadError::InvalidValue(WHAT))
}

fn body(reader: &mut Reader<'_>) -> Result<BodyLength, ReadError> {
    const WHAT: &str = "length of the body";
    match number::<u32>(reader, WHAT)? {
        0 => Ok(BodyLength::None),
        1 => Ok(BodyLength::Known(number(reader, WHAT)?)),
        2 => Ok(BodyLength::Unknown),
        _ => Err(ReadError::InvalidValue(WHAT)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::frame::HEADER_LEN;
    use crate::payload;
    use crate::request::tests::sample;

    /// What both decoders make of these bytes: the head and its length.
    fn both(bytes: &[u8]) -> [Option<(RequestHead<'_>, usize)>; 2] {
        let ours = decode(bytes).ok().map(|(head, rest)| (head, bytes.len() - rest.len()));
        [ours, payload::decode("request head", bytes).ok()]
    }

    fn agree(bytes: &[u8]) {
        let [ours, bincodes] = both(bytes);
        assert_eq!(ours, bincodes, "{bytes:?}");
    }

    fn heads() -> Vec<Vec<u8>> {
        let lengths = [0, 1, 250, 251, 252, 253, 254, 255, 256, 65_535, 65_536];
        let numbers = [0, 250, 251, 65_535, 65_536, u64::from(u32::MAX), u64::from(u32::MAX) + 1, u64::MAX];
        let bodies =
            numbers.map(BodyLength::Known).into_iter().chain([BodyLength::None, BodyLength::Unknown]);
        let long = "u".repeat(65_536);
        let mut heads = Vec::new();
        for (at, body) in bodies.enumerate() {
            for kind in AppKind::ALL {
                let number = numbers[at % numbers.len()];
                let uri = &long.as_bytes()[..lengths[(at + heads.len()) % lengths.len()]];
                let app = AppRef { kind, ..sample().app };
                let remote_port = number.min(u64::from(u16::MAX)) as u16;
                let settings_len = number.min(u64::from(u32::MAX)) as u32;
                let head =
                    RequestHead { app, uri, body, remote_port, settings_len, started_ms: number, ..sample() };
                let mut frame = Vec::new();
                head.write_frame(b"", |_| (), &mut frame).unwrap();
                heads.push(frame.split_off(HEADER_LEN));
            }
        }
        heads
    }

    #[test]
    fn every_head_is_read_as_bincode_reads_it() {
        for head in heads() {
            let [ours, bincodes] = both(&head);
            assert!(ours.is_some());
            assert_eq!(ours, bincodes);
        }
    }

    #[test]
    fn a_head_with_any_byte_changed_is_read_or_refused_as_by_bincode() {
        let mut frame = Vec::new();
        sample().write_frame(b"", |_| (), &mut frame).unwrap();
        let head = frame.split_off(HEADER_LEN);
        for at in 0..head.len() {
            agree(&head[..at]);
            for byte in 0..=u8::MAX {
                let mut changed = head.clone();
                changed[at] = byte;
                agree(&changed);
                // The changed byte may announce bytes that are then missing.
                changed.extend([7; 16]);
                agree(&changed);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_bytes_are_read_or_refused_as_by_bincode(bytes in vec(any::<u8>(), 0..300)) {
            agree(&bytes);
            // Lengths that fit are more likely with small numbers.
            agree(&bytes.iter().map(|byte| byte % 4).collect::<Vec<_>>());
        }
    }
}
