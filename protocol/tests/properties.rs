//! Properties of the codec: encoded values decode to the same values; any bytes are decoded or refused, within their
//! bounds.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests say what they expect by unwrapping")]

use proptest::collection::vec;
use proptest::prelude::*;
use protocol::frame::{FrameHeader, HEADER_LEN};
use protocol::hello::{Hello, Refusal, Welcome};
use protocol::pairs::{self, Pairs};
use protocol::request::{AppKind, AppRef, BodyLength, Request, RequestHead};
use protocol::response::{Abort, Response, ResponseHead};
use protocol::settings::{Digest, Settings, Value};
use protocol::status::StatusQuestion;

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..64)
}

fn headers() -> impl Strategy<Value = Vec<(Vec<u8>, Vec<u8>)>> {
    vec((vec(any::<u8>(), 1..32), bytes()), 0..24)
}

fn body() -> impl Strategy<Value = BodyLength> {
    prop_oneof![Just(BodyLength::None), any::<u64>().prop_map(BodyLength::Known), Just(BodyLength::Unknown)]
}

/// Any text. `any::<String>()` compiles a regular expression of all of Unicode, which takes minutes in Miri.
fn text() -> impl Strategy<Value = String> {
    vec(any::<char>(), 0..32).prop_map(String::from_iter)
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::Flag),
        any::<i64>().prop_map(Value::Number),
        text().prop_map(Value::Text),
        vec(text(), 0..4).prop_map(Value::List),
        vec((text(), text()), 0..4).prop_map(Value::Map),
    ]
}

fn put_all(headers: &[(Vec<u8>, Vec<u8>)], out: &mut Vec<u8>) {
    for (name, value) in headers {
        pairs::put(out, name, value);
    }
}

fn owned(pairs: Pairs<'_>) -> Vec<(Vec<u8>, Vec<u8>)> {
    pairs.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_request_comes_back(texts in vec(bytes(), 9), headers in headers(), block in bytes(), body in body(),
                            numbers in any::<(u16, u64, bool, bool)>()) {
        let (remote_port, started_ms, https, upgrade) = numbers;
        let head = RequestHead {
            settings_digest: Digest::of(&block),
            settings_len: block.len() as u32,
            app: AppRef { group: &texts[0], root: &texts[1], kind: AppKind::Generic, start_command: &texts[2] },
            method: &texts[3],
            uri: &texts[4],
            base_uri: &texts[5],
            document_root: &texts[6],
            remote_addr: &texts[7],
            remote_port,
            remote_user: &texts[8],
            server_software: b"nginx",
            https,
            upgrade,
            started_ms,
            body,
        };
        let mut frame = Vec::new();
        head.write_frame(&block, |out| put_all(&headers, out), &mut frame).unwrap();
        let request = Request::decode(&frame[HEADER_LEN..]).unwrap();
        prop_assert_eq!(request.head, head);
        prop_assert_eq!(request.settings, block.as_slice());
        prop_assert_eq!(owned(request.headers), headers);
    }

    #[test]
    fn a_response_comes_back(status in 100u16..=999, reason in bytes(), headers in headers(), body in body(),
                             process_pid in any::<u32>()) {
        let head = ResponseHead { status, reason: &reason, body, process_pid, queue_us: u64::from(process_pid), app_us: 7 };
        let mut frame = Vec::new();
        let kind = protocol::frame::FrameType::Response;
        head.write_frame(kind, 0, |out| put_all(&headers, out), &mut frame).unwrap();
        let response = Response::decode(&frame[HEADER_LEN..]).unwrap();
        prop_assert_eq!(response.head, head);
        prop_assert_eq!(owned(response.headers), headers);
    }

    #[test]
    fn settings_come_back(entries in vec((text(), value()), 0..12)) {
        let mut settings = Settings::new();
        for (name, value) in &entries {
            settings.set(name, value.clone());
        }
        let block = settings.encode().unwrap();
        let read = Settings::decode(&block).unwrap();
        prop_assert_eq!(&read, &settings);
        prop_assert_eq!(read.encode().unwrap(), block);
    }

    #[test]
    fn strange_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..400)) {
        // Decoding must end with a value or an error, and the value must fit into the input.
        if let Ok(Some(header)) = FrameHeader::decode(&bytes) {
            prop_assert_eq!(&header.encode()[..], &bytes[..HEADER_LEN]);
        }
        if let Ok(request) = Request::decode(&bytes) {
            prop_assert!(request.settings.len() <= bytes.len());
            prop_assert!(request.headers.iter().map(|(n, v)| n.len() + v.len()).sum::<usize>() <= bytes.len());
        }
        if let Ok(response) = Response::decode(&bytes) {
            prop_assert!((100..=999).contains(&response.head.status));
        }
        if let Ok(settings) = Settings::decode(&bytes) {
            prop_assert_eq!(settings.encode().unwrap(), bytes.clone());
        }
        if let Ok(question) = StatusQuestion::decode(&bytes) {
            let mut frame = Vec::new();
            question.write_frame(&mut frame).unwrap();
            prop_assert_eq!(StatusQuestion::decode(&frame[HEADER_LEN..]), Ok(question));
        }
        prop_assert!(Hello::decode(&bytes).is_err(), "random bytes do not begin with the magic");
        let _ = (Welcome::decode(&bytes), Refusal::decode(&bytes), Abort::decode(&bytes));
    }

    #[test]
    fn one_flipped_byte_is_read_or_refused(at in any::<prop::sample::Index>(), to in any::<u8>(), headers in headers()) {
        let head = ResponseHead { status: 200, reason: b"OK", body: BodyLength::Known(7), process_pid: 1, queue_us: 2, app_us: 3 };
        let mut frame = Vec::new();
        let kind = protocol::frame::FrameType::Response;
        head.write_frame(kind, 0, |out| put_all(&headers, out), &mut frame).unwrap();
        let payload = &mut frame[HEADER_LEN..];
        let at = at.index(payload.len());
        payload[at] = to;
        if let Ok(response) = Response::decode(payload) {
            prop_assert!(response.headers.iter().count() <= protocol::limits::MAX_HEADERS);
        }
    }
}
