//! Tests of [`super::request_body`].

use std::time::Duration;

use protocol::frame::{FLAG_END, FrameHeader, FrameType, HEADER_LEN};
use protocol::request::BodyLength;
use tokio::io::{AsyncWriteExt, duplex};

use super::buffer::Input;
use super::request_body::{Body, BodyError, Framing, ahead};

fn frame(flags: u8, data: &[u8]) -> Vec<u8> {
    let mut out = FrameHeader::new(FrameType::RequestBody, flags, data.len() as u32).encode().to_vec();
    out.extend_from_slice(data);
    out
}

fn sent(length: BodyLength, framing: Framing, bytes: &[u8], pipe: usize) -> Result<Vec<u8>, BodyError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let (mut nginx, mut far) = duplex(pipe);
        let mut body = Body::new(length, framing);
        let (mut input, mut app, mut out) = (Input::default(), Vec::new(), b"head".to_vec());
        let write = async {
            far.write_all(bytes).await.unwrap();
            drop(far);
        };
        let (result, ()) = tokio::join!(body.send(&mut nginx, &mut input, &mut app, &mut out), write);
        result.map(|()| app)
    })
}

#[test]
fn a_body_is_relayed_whatever_the_read_size() {
    let bytes = [frame(0, b"hello "), frame(0, b""), frame(FLAG_END, b"world")].concat();
    for pipe in 1..=bytes.len() {
        let app = sent(BodyLength::Known(11), Framing::Plain, &bytes, pipe).unwrap();
        assert_eq!(app, b"headhello world");
    }
}

#[test]
fn a_body_of_unknown_length_is_framed_for_the_app() {
    let bytes = [frame(0, b"hello"), frame(FLAG_END, b"")].concat();
    let session = sent(BodyLength::Unknown, Framing::SessionChunks, &bytes, 64).unwrap();
    assert_eq!(session, b"head\x05\0\0\0hello\0\0\0\0");
    let http = sent(BodyLength::Unknown, Framing::HttpChunks, &bytes, 64).unwrap();
    assert_eq!(http, b"head5\r\nhello\r\n0\r\n\r\n");
}

#[test]
fn rejects_a_body_of_another_length() {
    let short = sent(BodyLength::Known(5), Framing::Plain, &frame(FLAG_END, b"1234"), 64);
    assert!(matches!(short, Err(BodyError::WrongLength)));
    let long = sent(BodyLength::Known(5), Framing::Plain, &frame(FLAG_END, b"123456"), 64);
    assert!(matches!(long, Err(BodyError::WrongLength)));
}

#[test]
fn a_body_that_was_not_written_is_not_delivered() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let (mut nginx, mut far) = duplex(64);
        far.write_all(&frame(FLAG_END, b"hello")).await.unwrap();
        // An app that takes four bytes and no more.
        let (mut app, _app_side) = duplex(4);
        let mut body = Body::new(BodyLength::Known(5), Framing::Plain);
        let (mut input, mut out) = (Input::default(), Vec::new());
        tokio::select! {
            biased;
            _ = body.send(&mut nginx, &mut input, &mut app, &mut out) => panic!("it does not fit"),
            () = std::future::ready(()) => {}
        }
        assert!(body.is_done() && !body.is_delivered());
    });
}

/// Returns how long a body, a part of which is received, was waited for after an hour.
fn waited(app_takes: usize) -> Duration {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let (mut nginx, mut far) = duplex(1024);
        far.write_all(&frame(0, &[b'x'; 500])).await.unwrap();
        let (mut app, _app_side) = duplex(app_takes);
        let mut body = Body::new(BodyLength::Known(1000), Framing::Plain).with_min_rate(500);
        let rate = body.rate().unwrap();
        let (mut input, mut out) = (Input::default(), Vec::new());
        let sent = body.send(&mut nginx, &mut input, &mut app, &mut out);
        assert!(tokio::time::timeout(Duration::from_secs(3600), sent).await.is_err());
        Duration::from_secs(21) - rate.time_left()
    })
}

#[test]
fn only_waiting_for_nginx_counts_as_upload_time() {
    assert_eq!(waited(1024), Duration::from_secs(21), "at min_rate: it is too slow");
    assert_eq!(waited(499), Duration::ZERO);
}

#[test]
fn bytes_received_in_the_queue_are_counted_once() {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut input = Input::default();
        let bytes = [frame(0, &[b'x'; 500]), frame(FLAG_END, &[b'x'; 500])].concat();
        let mut body = Body::new(BodyLength::Known(1000), Framing::Plain).with_min_rate(500);
        let rate = body.rate().unwrap();
        input.fill(&mut &bytes[..600], 1024).await.unwrap();
        body.measure_ahead(&input);
        let granted = rate.time_left();
        let mut nothing: &[u8] = b"";
        drop(body.send(&mut nothing, &mut input, &mut Vec::new(), &mut Vec::new()).await);
        assert_eq!((rate.time_left(), rate.is_complete()), (granted, false));
        input.fill(&mut &bytes[600..], 1024).await.unwrap();
        body.measure_ahead(&input);
        assert!(rate.is_complete());
    });
}

#[test]
fn a_client_that_disconnects_is_noticed() {
    let cut = sent(BodyLength::Known(5), Framing::Plain, &frame(0, b"123"), 64);
    assert!(matches!(cut, Err(BodyError::ClientGone)));
    let cancel = FrameHeader::new(FrameType::Cancel, 0, 0).encode();
    assert!(matches!(sent(BodyLength::Known(5), Framing::Plain, &cancel, 64), Err(BodyError::ClientGone)));
}

#[test]
fn rejects_unexpected_frames() {
    let bytes = FrameHeader::new(FrameType::Request, 0, 0).encode();
    let refused = sent(BodyLength::Known(5), Framing::Plain, &bytes, 64);
    assert!(matches!(refused, Err(BodyError::Unexpected(FrameType::Request))));
}

#[test]
fn counts_the_payload_of_all_frames() {
    let (first, last) = (frame(0, b"hello"), frame(FLAG_END, b"world"));
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
    let next = [b"lo".to_vec(), frame(FLAG_END, b"")].concat();
    assert_eq!(ahead(&next, Some((2, false))), (2, true));
    assert_eq!(ahead(b"lo and the next request", Some((2, true))), (2, true));
    assert_eq!(ahead(b"l", Some((2, true))), (1, false));
}

#[test]
fn stops_at_frames_of_other_types() {
    assert_eq!(ahead(&FrameHeader::new(FrameType::Cancel, 0, 0).encode(), None), (0, false));
    assert_eq!(ahead(&[0xff; 64], None), (0, false));
}
