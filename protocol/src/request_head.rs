//! The encoding of a request head, which every request pays for: the module encodes it and the router decodes it, in
//! bincode's format without its generic machinery. Tests compare both.

use crate::app_kind::AppKind;
use crate::limits::MAX_REQUEST_HEAD;
use crate::reader::{ReadError, Reader};
use crate::request::{AppRef, BodyLength, RequestHead};
use crate::settings::Digest;
use crate::varint::{bytes, number, put, put_bytes};

/// The kinds in the order of their numbers.
const KINDS: [AppKind; 5] =
    [AppKind::Ruby, AppKind::Python, AppKind::Node, AppKind::Meteor, AppKind::Generic];

/// Appends a head.
pub(crate) fn encode(out: &mut Vec<u8>, head: &RequestHead<'_>) {
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
    put_body_length(out, head.body);
}

/// Appends the length of a body.
pub(crate) fn put_body_length(out: &mut Vec<u8>, length: BodyLength) {
    match length {
        BodyLength::None => out.push(0),
        BodyLength::Known(len) => {
            out.push(1);
            put(out, len);
        }
        BodyLength::Unknown => out.push(2),
    }
}

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
        body: body_length(reader)?,
    })
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

/// Reads the length of a body.
pub(crate) fn body_length(reader: &mut Reader<'_>) -> Result<BodyLength, ReadError> {
    const WHAT: &str = "length of the body";
    match number::<u32>(reader, WHAT)? {
        0 => Ok(BodyLength::None),
        1 => Ok(BodyLength::Known(number(reader, WHAT)?)),
        2 => Ok(BodyLength::Unknown),
        _ => Err(ReadError::InvalidValue(WHAT)),
    }
}

#[cfg(test)]
pub(crate) mod tests {
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
    #[cfg_attr(miri, ignore = "decodes thousands of heads, which takes minutes in the interpreter")]
    fn every_head_is_read_as_bincode_reads_it() {
        for head in heads() {
            let [ours, bincodes] = both(&head);
            assert!(ours.is_some());
            assert_eq!(ours, bincodes);
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "decodes thousands of heads, which takes minutes in the interpreter")]
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

    /// Numbers of every length, and those at which it changes.
    pub(crate) fn numbers() -> impl Strategy<Value = u64> {
        let limits = [0, 250, 251, 252, 255, 65_535, 65_536, u64::from(u32::MAX), 1 << 32, u64::MAX];
        prop_oneof![prop::sample::select(limits.to_vec()), any::<u64>(), 0..1000u64]
    }

    pub(crate) fn lengths() -> impl Strategy<Value = BodyLength> {
        prop_oneof![Just(BodyLength::None), Just(BodyLength::Unknown), numbers().prop_map(BodyLength::Known)]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

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
            encode(&mut ours, &head);
            prop_assert_eq!(ours, serdes);
        }

        #[test]
        fn any_bytes_are_read_or_refused_as_by_bincode(bytes in vec(any::<u8>(), 0..300)) {
            agree(&bytes);
            // Lengths that fit are more likely with small numbers.
            agree(&bytes.iter().map(|byte| byte % 4).collect::<Vec<_>>());
        }
    }
}
