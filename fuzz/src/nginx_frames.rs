//! Arbitrary bytes as nginx's frames, read by the decoders that the daemon uses: nothing panics, and a message with a
//! single encoding is encoded again to the same bytes.

use protocol::frame::{FrameHeader, HEADER_LEN};
use protocol::globals::Globals;
use protocol::hello::{Hello, Refusal, Welcome};
use protocol::limits::MAX_HEADERS;
use protocol::request::Request;
use protocol::response::{Abort, Response};
use protocol::roster::Roster;
use protocol::settings::Settings;
use protocol::status::StatusQuestion;

/// Reads the bytes as a frame header and as each type of payload.
pub fn check(data: &[u8]) {
    if let Ok(Some(header)) = FrameHeader::decode(data) {
        assert_eq!(header.encode(), data[..HEADER_LEN]);
        assert!(header.len <= header.kind.max_len());
    }
    check_handshake(data);
    if let Ok(settings) = Settings::decode(data) {
        assert_eq!(settings.encode().as_deref(), Ok(data));
    }
    if let Ok(globals) = Globals::decode(data) {
        assert_eq!(globals.payload(), data);
    }
    if let Ok(question) = StatusQuestion::decode(data) {
        let mut frame = Vec::new();
        assert_eq!(question.write_frame(&mut frame), Ok(()));
        assert_eq!(Ok(question), StatusQuestion::decode(&frame[HEADER_LEN..]));
    }
    if let Ok(roster) = Roster::decode(data)
        && let Ok(frame) = roster.clone().to_frames()
        && roster.entries.len() < 2
    {
        assert_eq!(Roster::decode(&frame[HEADER_LEN..]), Ok(roster));
    }
    if let Ok(request) = Request::decode(data) {
        assert!(request.settings.len() <= data.len());
        assert!(request.headers.iter().count() <= MAX_HEADERS);
    }
    if let Ok(response) = Response::decode(data) {
        assert!(response.headers.iter().all(|(name, _)| !name.is_empty()));
    }
    // Any result is accepted, as long as decoding returns.
    drop(Abort::decode(data).map(|abort| abort.message.len()));
}

/// Later versions may append fields, so the input starts with the encoded message.
fn check_handshake(data: &[u8]) {
    if let Ok(hello) = Hello::decode(data) {
        assert_eq!(Hello::decode(&hello.to_frame()[HEADER_LEN..]).map(|again| again.using), Ok(hello.using));
    }
    if let Ok(welcome) = Welcome::decode(data) {
        assert_eq!(
            Welcome::decode(&welcome.to_frame()[HEADER_LEN..]).map(|again| again.version),
            Ok(welcome.version)
        );
    }
    if let Ok(refusal) = Refusal::decode(data) {
        assert_eq!(
            Refusal::decode(&refusal.to_frame()[HEADER_LEN..]).map(|again| again.versions),
            Ok(refusal.versions)
        );
    }
}
