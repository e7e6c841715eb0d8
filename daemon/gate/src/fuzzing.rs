//! Entry points for `fuzz/`.

use bytes::{Buf, BytesMut};
use protocol::request::{AppKind, AppRef};

use crate::http1::body::BodyDecoder;
use crate::http1::head;
use crate::http1::lines::HeadScanner;
use crate::request::encode::{Destination, frame};
use crate::request::forwarded::{self, Peer};

/// A request as the daemon would receive it.
#[derive(Debug)]
pub struct Received {
    /// The frame of its head.
    pub frame: Vec<u8>,
    /// Its body, as far as the client sent it.
    pub body: Vec<u8>,
    /// Whether that is the whole body.
    pub is_complete: bool,
}

/// Returns what the daemon receives from a client of HTTP/1 that no proxy is trusted to describe and that sends these
/// bytes.
pub fn requests_of(bytes: &[u8]) -> Vec<Received> {
    let mut buffer = BytesMut::from(bytes);
    let mut requests = Vec::new();
    while let Ok(Some(range)) = HeadScanner::default().scan(&buffer) {
        buffer.advance(range.start);
        let head = buffer.split_to(range.len()).freeze();
        let Ok(h1) = head::parse(&head) else { break };
        let Some(frame) = frame_of(&h1.head) else { break };
        let mut decoder = BodyDecoder::new(h1.framing);
        let mut body = Vec::new();
        while let Ok(Some(part)) = decoder.decode(&mut buffer) {
            body.extend_from_slice(&part);
        }
        let is_complete = decoder.is_finished();
        requests.push(Received { frame, body, is_complete });
        if !is_complete || !h1.keep_alive {
            break;
        }
    }
    requests
}

fn frame_of(head: &crate::request::Head) -> Option<Vec<u8>> {
    let settings = module_core::settings::Written::default().encode().ok()?;
    let app = AppRef { group: b"/app", root: b"/app", kind: AppKind::Ruby, start_command: b"" };
    let to = Destination { app, settings: &settings, base_uri: "", public: b"/app/public" };
    let peer = Peer { address: Some(([192, 0, 2, 1], 4711).into()), https: false };
    frame(head, &forwarded::client(peer, head, &[], false), to).ok()
}
