//! Tests that the messages are encoded as the bytes in `testdata/` and decoded from them.
//!
//! The bytes change only together with the protocol's version, or by a field appended to the hello.
//! `UPDATE_GOLDEN=1 cargo test -p flying-passenger-protocol` writes them again.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests say what they expect by unwrapping")]

use std::path::PathBuf;

use protocol::frame::{FLAG_END, FrameHeader, FrameType, HEADER_LEN};
use protocol::globals::Globals;
use protocol::hello::{Hello, Refusal, Welcome};
use protocol::pairs;
use protocol::request::{AppKind, AppRef, BodyLength, Request, RequestHead};
use protocol::response::{Abort, AbortReason, Response, ResponseHead};
use protocol::roster::{Entry, Roster, Start};
use protocol::settings::{Digest, Settings, Value};
use protocol::status::{StatusPart, StatusQuestion};

fn golden(name: &str, written: &[u8]) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, written).unwrap();
    }
    let kept = std::fs::read(&path).unwrap_or_else(|err| panic!("{}: {err}", path.display()));
    assert_eq!(written, kept, "{name}: what is written is not what the protocol says");
    kept
}

fn payload(frame: &[u8], kind: FrameType) -> &[u8] {
    let header = FrameHeader::decode(frame).unwrap().unwrap();
    assert_eq!((header.kind, header.len as usize), (kind, frame.len() - HEADER_LEN));
    &frame[HEADER_LEN..]
}

fn settings() -> Settings {
    let mut settings = Settings::new();
    settings.set("app_env", Value::Text("production".into()));
    settings.set("env_var", Value::Map(vec![("SECRET".into(), "a b".into())]));
    settings.set("force_max_concurrent_requests_per_process", Value::Number(-1));
    settings.set("friendly_error_pages", Value::Flag(true));
    settings.set("monitor_log_file", Value::List(vec!["/a".into(), "/b".into()]));
    settings
}

fn request_head(block: &[u8]) -> RequestHead<'static> {
    RequestHead {
        settings_digest: Digest::of(block),
        settings_len: block.len() as u32,
        app: AppRef {
            group: b"/srv/app (production)",
            root: b"/srv/app",
            kind: AppKind::Python,
            start_command: b"",
        },
        method: b"POST",
        uri: b"/shop/cart?item=%C3%BC",
        base_uri: b"/shop",
        document_root: b"/srv/app/public",
        remote_addr: b"192.0.2.7",
        remote_port: 40_000,
        remote_user: b"ann",
        server_software: b"nginx/1.22.1",
        https: true,
        upgrade: false,
        started_ms: 1_795_000_000_123,
        body: BodyLength::Known(3),
    }
}

#[test]
fn hello() {
    let hello = Hello {
        versions: vec![1],
        using: 1,
        module_version: "0.1.0".into(),
        nginx_version: "1.22.1".into(),
        hears_goodbye: true,
        takes_log_line: false,
        instance: "0123456789abcdef0123456789abcdef".into(),
    };
    let kept = golden("hello.bin", &hello.to_frame());
    assert_eq!(Hello::decode(payload(&kept, FrameType::Hello)), Ok(hello));
}

/// Encoded by a module older than the field `instance`.
#[test]
fn hello_before_the_instance() {
    let kept = include_bytes!("../testdata/hello-before-instance.bin");
    let hello = Hello::decode(payload(kept, FrameType::Hello)).unwrap();
    assert_eq!((hello.using, hello.hears_goodbye, hello.instance.as_str()), (1, true, ""));
    assert_eq!(hello.to_frame(), kept, "a module without a name writes the same");
}

/// Encoded by a module older than the frame `Goodbye`.
#[test]
fn hello_before_the_goodbye() {
    let kept = include_bytes!("../testdata/hello-before-goodbye.bin");
    let hello = Hello::decode(payload(kept, FrameType::Hello)).unwrap();
    assert_eq!((hello.using, hello.module_version.as_str(), hello.hears_goodbye), (1, "0.1.0", false));
}

#[test]
fn goodbye() {
    let kept = golden("goodbye.bin", &FrameHeader::new(FrameType::Goodbye, 0, 0).encode());
    assert!(payload(&kept, FrameType::Goodbye).is_empty());
}

#[test]
fn globals() {
    let mut settings = Settings::new();
    settings.set("max_pool_size", Value::Number(12));
    settings.set("show_version_in_header", Value::Flag(false));
    let globals = Globals { configured_ms: 1_795_000_000_123, settings };
    let kept = golden("globals.bin", &globals.to_frame().unwrap());
    assert_eq!(Globals::decode(payload(&kept, FrameType::Globals)), Ok(globals));
}

#[test]
fn globals_of_a_front_without_settings() {
    let kept = golden("globals-time.bin", &Globals::time_only_frame(1_795_000_000_123));
    let payload = payload(&kept, FrameType::Globals);
    assert_eq!(Globals::time_only(payload), Some(1_795_000_000_123));
    assert_eq!(Globals::time_only(&[payload, &[0]].concat()), None);
}

#[test]
fn roster() {
    let block = settings().encode().unwrap();
    let head = request_head(&block);
    let start = Start {
        app: head.app,
        base_uri: head.base_uri,
        server_software: head.server_software,
        settings: &block,
    };
    let entries = vec![
        Entry { group: head.app.group, start: Some(start) },
        Entry { group: b"/srv/shop (production)", start: None },
    ];
    let roster = Roster { instance: b"/etc/nginx/nginx.conf", master: 4711, is_complete: true, entries };
    let kept = golden("roster.bin", &roster.clone().to_frames().unwrap());
    assert_eq!(Roster::decode(payload(&kept, FrameType::Roster)), Ok(roster));
}

#[test]
fn welcome() {
    let welcome = Welcome { version: 1, daemon_version: "0.1.0".into() };
    let kept = golden("welcome.bin", &welcome.to_frame());
    assert_eq!(Welcome::decode(payload(&kept, FrameType::Welcome)), Ok(welcome));
}

#[test]
fn refused() {
    let refusal = Refusal {
        versions: vec![7, 6],
        daemon_version: "9.0.0".into(),
        advice: "upgrade the nginx module".into(),
    };
    let kept = golden("refused.bin", &refusal.to_frame());
    assert_eq!(Refusal::decode(payload(&kept, FrameType::Refused)), Ok(refusal));
}

#[test]
fn settings_block() {
    let kept = golden("settings.bin", &settings().encode().unwrap());
    assert_eq!(Settings::decode(&kept), Ok(settings()));
}

#[test]
fn request() {
    let block = settings().encode().unwrap();
    let head = request_head(&block);
    let mut frame = Vec::new();
    let headers = |out: &mut Vec<u8>| {
        pairs::put(out, b"Host", b"example.org");
        pairs::put(out, b"Content-Length", b"3");
        pairs::put(out, b"X-Empty", b"");
    };
    head.write_frame(&block, headers, &mut frame).unwrap();
    let kept = golden("request.bin", &frame);
    let request = Request::decode(payload(&kept, FrameType::Request)).unwrap();
    assert_eq!((request.head, request.settings), (head, block.as_slice()));
    let read: Vec<_> = request.headers.iter().collect();
    let sent: [(&[u8], &[u8]); 3] = [(b"Host", b"example.org"), (b"Content-Length", b"3"), (b"X-Empty", b"")];
    assert_eq!(read, sent);
}

#[test]
fn request_body() {
    let mut frame = FrameHeader::new(FrameType::RequestBody, FLAG_END, 3).encode().to_vec();
    frame.extend_from_slice(b"a=b");
    let kept = golden("request-body.bin", &frame);
    assert_eq!(payload(&kept, FrameType::RequestBody), b"a=b");
    assert!(FrameHeader::decode(&kept).unwrap().unwrap().is_end());
}

#[test]
fn status() {
    let question = StatusQuestion { part: StatusPart::Data, to_head: false };
    let mut frame = Vec::new();
    question.write_frame(&mut frame).unwrap();
    let kept = golden("status.bin", &frame);
    assert_eq!(StatusQuestion::decode(payload(&kept, FrameType::Status)), Ok(question));
}

#[test]
fn health() {
    for (name, part) in [("health.bin", StatusPart::Health), ("health-json.bin", StatusPart::HealthJson)] {
        let question = StatusQuestion { part, to_head: true };
        let mut frame = Vec::new();
        question.write_frame(&mut frame).unwrap();
        let kept = golden(name, &frame);
        assert_eq!(StatusQuestion::decode(payload(&kept, FrameType::Status)), Ok(question));
    }
}

#[test]
fn response() {
    let head = ResponseHead {
        status: 404,
        reason: b"Gone Fishing",
        body: BodyLength::Unknown,
        process_pid: 4711,
        queue_us: 250,
        app_us: 1_500_000,
    };
    let mut frame = Vec::new();
    let headers = |out: &mut Vec<u8>| pairs::put(out, b"Set-Cookie", b"a=1");
    head.write_frame(FrameType::Response, 0, headers, &mut frame).unwrap();
    let kept = golden("response.bin", &frame);
    let response = Response::decode(payload(&kept, FrameType::Response)).unwrap();
    assert_eq!((response.head, response.headers.get(b"set-cookie")), (head, Some(b"a=1".as_slice())));
}

#[test]
fn abort() {
    let abort = Abort { reason: AbortReason::AppClosed, message: "it closed the connection" };
    let mut frame = Vec::new();
    abort.write_frame(&mut frame);
    let kept = golden("abort.bin", &frame);
    assert_eq!(Abort::decode(payload(&kept, FrameType::Abort)), Ok(abort));
}
