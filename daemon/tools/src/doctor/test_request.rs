//! The one request to the private daemon's socket, as nginx would send it, and the response.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use protocol::frame::{FrameHeader, FrameType, HEADER_LEN};
use protocol::hello::Hello;
use protocol::pairs;
use protocol::request::{AppRef, BodyLength, RequestHead};
use protocol::response::{Abort, Response};
use protocol::settings::Digest;

use super::app::TestedApp;

/// Maximum number of bytes kept of a body.
const MAX_BODY: usize = 2048;

/// Maximum time to read a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// The response.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct TestResponse {
    pub(super) status: u16,
    /// The PID of the process that responded; 0 for the daemon.
    pub(super) pid: u32,
    /// Time until the response head was complete.
    pub(super) took: Duration,
    /// The beginning of the body.
    pub(super) body: String,
    /// Why the response is incomplete, if it is.
    pub(super) abort_reason: Option<String>,
}

/// The encoded request, created before the daemon is started.
#[derive(Debug)]
pub(super) struct TestRequest {
    frames: Vec<u8>,
    /// Maximum time for the response.
    timeout: Duration,
}

impl TestRequest {
    /// Creates a GET request for `path`. Fails when the request is too long to be sent.
    pub(super) fn new(app: &TestedApp, path: &str, timeout: Duration) -> Result<Self, String> {
        let block = app.settings.encode().map_err(|err| err.to_string())?;
        let root = app.root.as_os_str().as_encoded_bytes();
        let public = app.root.join("public");
        let head = RequestHead {
            settings_digest: Digest::of(&block),
            settings_len: u32::try_from(block.len()).map_err(|err| err.to_string())?,
            app: AppRef {
                group: app.group.as_bytes(),
                root,
                kind: app.kind,
                start_command: app.found.start_command.as_bytes(),
            },
            method: b"GET",
            uri: path.as_bytes(),
            base_uri: b"",
            document_root: public.as_os_str().as_encoded_bytes(),
            remote_addr: b"127.0.0.1",
            remote_port: 0,
            remote_user: b"",
            server_software: b"passenger-config",
            https: false,
            upgrade: false,
            started_ms: common::sys::clock::now_ms(),
            body: BodyLength::None,
        };
        let hello = Hello {
            versions: protocol::SPOKEN_VERSIONS.to_vec(),
            using: protocol::CURRENT_VERSION,
            module_version: env!("CARGO_PKG_VERSION").to_owned(),
            nginx_version: "passenger-config".to_owned(),
            hears_goodbye: false,
            takes_log_line: false,
            instance: String::new(),
        };
        let mut frames = hello.to_frame();
        let headers = |out: &mut Vec<u8>| {
            pairs::put(out, b"Host", b"localhost");
            pairs::put(out, b"User-Agent", b"passenger-config doctor");
        };
        head.write_frame(&block, headers, &mut frames).map_err(|err| err.to_string())?;
        Ok(Self { frames, timeout })
    }

    /// Sends the request and reads the response.
    pub(super) fn send(&self, socket: &Path) -> Result<TestResponse, String> {
        self.exchange(socket).map_err(|err| {
            if is_timeout(&err) {
                format!("no response within {} s", self.timeout.as_secs())
            } else {
                format!("the connection to the daemon failed: {err}")
            }
        })
    }

    fn exchange(&self, socket: &Path) -> io::Result<TestResponse> {
        let mut deadline = Instant::now() + self.timeout;
        let mut stream = UnixStream::connect(socket)?;
        stream.write_all(&self.frames)?;
        let mut response = TestResponse::default();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            stream.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
            let (header, payload) = match read_frame(&mut stream) {
                // An endless response is also a response.
                Err(err) if response.status != 0 && is_timeout(&err) => return Ok(response),
                read => read?,
            };
            match header.kind {
                FrameType::Response => {
                    let head = Response::decode(&payload).map_err(io::Error::other)?.head;
                    response.status = head.status;
                    response.pid = head.process_pid;
                    response.took = Duration::from_micros(head.app_us);
                    deadline = deadline.min(Instant::now() + BODY_TIMEOUT);
                }
                FrameType::ResponseBody => {
                    let room = MAX_BODY.saturating_sub(response.body.len()).min(payload.len());
                    response.body.push_str(&String::from_utf8_lossy(&payload[..room]));
                }
                FrameType::Abort => {
                    let abort = Abort::decode(&payload).map_err(io::Error::other)?;
                    response.abort_reason = Some(abort.message.to_owned());
                    return Ok(response);
                }
                _ => continue,
            }
            if header.is_end() {
                return Ok(response);
            }
        }
    }
}

impl TestResponse {
    /// Whether the app itself responded, and without an error.
    pub(super) fn is_success(&self) -> bool {
        self.pid != 0 && (100..500).contains(&self.status) && self.abort_reason.is_none()
    }
}

fn is_timeout(err: &io::Error) -> bool {
    matches!(err.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

fn read_frame(stream: &mut UnixStream) -> io::Result<(FrameHeader, Vec<u8>)> {
    let mut bytes = [0; HEADER_LEN];
    stream.read_exact(&mut bytes)?;
    let header = FrameHeader::decode(&bytes).map_err(io::Error::other)?;
    let header = header.ok_or(io::ErrorKind::UnexpectedEof)?;
    let mut payload = vec![0; header.len as usize];
    stream.read_exact(&mut payload)?;
    Ok((header, payload))
}
