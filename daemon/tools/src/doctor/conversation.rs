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
const MAX_KEPT: usize = 2048;

/// Maximum time to read a body.
const BODY: Duration = Duration::from_secs(5);

/// The response.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// The PID of the process that answered; 0 when the daemon did.
    pub(super) pid: u32,
    /// Time until the response head was complete.
    pub(super) took: Duration,
    /// The beginning of the body.
    pub(super) body: String,
    /// Why the response is incomplete, if it is.
    pub(super) broken: Option<String>,
}

/// The encoded request, created before the daemon is started.
#[derive(Debug)]
pub(super) struct Question {
    frames: Vec<u8>,
    /// Maximum time for the response.
    patience: Duration,
}

impl Question {
    /// Creates a GET request for `path`.
    ///
    /// # Errors
    ///
    /// Returns a message when the request is too long to be sent.
    pub(super) fn new(app: &TestedApp, path: &str, patience: Duration) -> Result<Self, String> {
        let block = app.settings.encode().map_err(|why| why.to_string())?;
        let root = app.root.as_os_str().as_encoded_bytes();
        let public = app.root.join("public");
        let head = RequestHead {
            settings_digest: Digest::of(&block),
            settings_len: u32::try_from(block.len()).map_err(|why| why.to_string())?,
            app: AppRef {
                group: app.group.as_bytes(),
                root,
                kind: app.kind,
                start_command: app.start_command.as_bytes(),
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
            instance: String::new(),
        };
        let mut frames = hello.to_frame();
        let headers = |out: &mut Vec<u8>| {
            pairs::put(out, b"Host", b"localhost");
            pairs::put(out, b"User-Agent", b"passenger-config doctor");
        };
        head.write_frame(&block, headers, &mut frames).map_err(|why| why.to_string())?;
        Ok(Self { frames, patience })
    }

    /// Sends the request.
    ///
    /// # Errors
    ///
    /// Returns a message when there is no response.
    pub(super) fn ask(&self, socket: &Path) -> Result<Answer, String> {
        self.converse(socket).map_err(|why| {
            if is_late(&why) {
                format!("there was no answer within {} s", self.patience.as_secs())
            } else {
                format!("the conversation with the daemon broke off: {why}")
            }
        })
    }

    fn converse(&self, socket: &Path) -> io::Result<Answer> {
        let mut until = Instant::now() + self.patience;
        let mut stream = UnixStream::connect(socket)?;
        stream.write_all(&self.frames)?;
        let mut answer = Answer::default();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            stream.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
            let (header, payload) = match read_frame(&mut stream) {
                // An endless response is also a response.
                Err(why) if answer.status != 0 && is_late(&why) => return Ok(answer),
                read => read?,
            };
            match header.kind {
                FrameType::Response => {
                    answer.begin(&payload)?;
                    until = until.min(Instant::now() + BODY);
                }
                FrameType::ResponseBody => answer.add(&payload),
                FrameType::Abort => {
                    answer.broken =
                        Some(Abort::decode(&payload).map_err(io::Error::other)?.message.to_owned());
                    return Ok(answer);
                }
                _ => continue,
            }
            if header.is_end() {
                return Ok(answer);
            }
        }
    }
}

impl Answer {
    fn begin(&mut self, payload: &[u8]) -> io::Result<()> {
        let head = Response::decode(payload).map_err(io::Error::other)?.head;
        self.status = head.status;
        self.pid = head.process_pid;
        self.took = Duration::from_micros(head.app_us);
        Ok(())
    }

    fn add(&mut self, payload: &[u8]) {
        let room = MAX_KEPT.saturating_sub(self.body.len());
        self.body.push_str(&String::from_utf8_lossy(&payload[..payload.len().min(room)]));
    }

    /// Whether the app itself answered, and without an error.
    pub(super) fn is_good(&self) -> bool {
        self.pid != 0 && (100..500).contains(&self.status) && self.broken.is_none()
    }
}

fn is_late(why: &io::Error) -> bool {
    matches!(why.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
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
