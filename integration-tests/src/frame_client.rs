//! The module's side of the protocol without nginx, to test the daemon alone.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use protocol::frame::{FLAG_END, FrameHeader, FrameType, HEADER_LEN};
use protocol::globals::Globals;
use protocol::hello::Hello;
use protocol::pairs;
use protocol::request::{AppKind, AppRef, BodyLength, RequestHead};
use protocol::response::Response;
use protocol::roster::Roster;
use protocol::settings::{Digest, Settings, Value};

use crate::language::Language;

/// A connection to the daemon, as a worker of nginx keeps it.
pub struct FrameClient {
    stream: UnixStream,
    /// Settings of the requested app.
    settings: Settings,
    /// The instance name of its nginx.
    instance: String,
}

/// The daemon's response.
#[derive(Debug)]
pub struct Answer {
    /// The status code; 0 when the response was aborted before its head.
    pub status: u16,
    /// The status codes of the interim responses before it.
    pub interim: Vec<u16>,
    /// The body as far as it was received.
    pub body: Vec<u8>,
    /// The reason if it was aborted.
    pub aborted: Option<String>,
    /// Whether a goodbye preceded it.
    pub is_last: bool,
}

impl FrameClient {
    /// Connects and sends the hello. The welcome is read with the first response.
    pub fn connect(socket: &Path) -> Self {
        let mut client = Self::silent(socket);
        client.send_hello(false);
        client
    }

    /// Connects as the nginx with this instance name.
    pub fn of_instance(socket: &Path, name: &str) -> Self {
        let mut client = Self { instance: name.to_owned(), ..Self::silent(socket) };
        client.send_hello(false);
        client
    }

    /// Connects without sending anything.
    pub fn silent(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).expect("the daemon listens");
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut settings = Settings::new();
        settings.set("app_env", Value::Text("production".to_owned()));
        Self { stream, settings, instance: String::new() }
    }

    /// Adds a setting to its requests.
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.set(name, Value::Text(value.to_owned()));
        self
    }

    /// Sends globals with the time at which the configuration was read, in milliseconds since 1970.
    pub fn send_globals(&mut self, configured_ms: u64) {
        self.send(&Globals { configured_ms, settings: Settings::new() }.to_frame().unwrap());
    }

    /// Sends the roster of configured apps.
    pub fn send_roster(&mut self, roster: Roster<'_>) {
        self.send(&roster.to_frames().unwrap());
    }

    /// Sends the hello.
    pub fn send_hello(&mut self, hears_goodbye: bool) {
        let hello = Hello {
            versions: protocol::SPOKEN_VERSIONS.to_vec(),
            using: protocol::CURRENT_VERSION,
            module_version: "0.0.0".to_owned(),
            nginx_version: "1.22.1".to_owned(),
            hears_goodbye,
            takes_log_line: false,
            instance: self.instance.clone(),
        };
        self.send(&hello.to_frame());
    }

    /// Sends the head of a request to the app in `root`; a given `body` follows in its own frames.
    pub fn ask(&mut self, root: &Path, language: Language, uri: &str, body: Option<&[u8]>) {
        let (kind, start_command) = match language {
            Language::Ruby => (AppKind::Ruby, ""),
            Language::Python => (AppKind::Python, ""),
            Language::Node => (AppKind::Node, ""),
            Language::Generic => (AppKind::Generic, "node server.js"),
        };
        let block = self.settings.encode().unwrap();
        let root = root.to_str().unwrap();
        let (group, public) = (format!("{root} (production)"), format!("{root}/public"));
        let head = RequestHead {
            settings_digest: Digest::of(&block),
            settings_len: block.len() as u32,
            app: AppRef {
                group: group.as_bytes(),
                root: root.as_bytes(),
                kind,
                start_command: start_command.as_bytes(),
            },
            method: if body.is_some() { b"POST" } else { b"GET" },
            uri: uri.as_bytes(),
            base_uri: b"",
            document_root: public.as_bytes(),
            remote_addr: b"192.0.2.1",
            remote_port: 50_000,
            remote_user: b"",
            server_software: b"nginx/1.22.1",
            https: false,
            upgrade: false,
            started_ms: 0,
            body: body.map_or(BodyLength::None, |body| BodyLength::Known(body.len() as u64)),
        };
        let mut out = Vec::new();
        let headers = |out: &mut Vec<u8>| pairs::put(out, b"Host", b"localhost");
        head.write_frame(&block, headers, &mut out).unwrap();
        if let Some(body) = body {
            let header = FrameHeader::new(FrameType::RequestBody, FLAG_END, body.len() as u32);
            out.extend_from_slice(&header.encode());
            out.extend_from_slice(body);
        }
        self.send(&out);
    }

    /// Sends raw bytes.
    pub fn send(&mut self, bytes: &[u8]) {
        let _the_daemon_may_hang_up = self.stream.write_all(bytes);
    }

    /// Sends a frame of this type with this payload, valid or not.
    pub fn send_frame(&mut self, kind: FrameType, payload: &[u8]) {
        self.send(&[&FrameHeader::new(kind, 0, payload.len() as u32).encode(), payload].concat());
    }

    /// Cancels the active request.
    pub fn cancel(&mut self) {
        self.send(&FrameHeader::new(FrameType::Cancel, 0, 0).encode());
    }

    /// Reads one response.
    pub fn answer(&mut self) -> Answer {
        let mut answer =
            Answer { status: 0, interim: Vec::new(), body: Vec::new(), aborted: None, is_last: false };
        loop {
            let (header, payload) = self.read_frame().expect("the daemon answers");
            match header.kind {
                FrameType::Response => answer.status = Response::decode(&payload).unwrap().head.status,
                FrameType::ResponseBody => answer.body.extend_from_slice(&payload),
                FrameType::Abort => {
                    answer.aborted = Some(String::from_utf8_lossy(&payload).into_owned());
                    return answer;
                }
                FrameType::Goodbye => answer.is_last = true,
                FrameType::Interim => {
                    answer.interim.push(Response::decode(&payload).unwrap().head.status);
                    continue;
                }
                FrameType::Welcome => continue,
                other => panic!("{other:?} has no place in a response"),
            }
            if header.is_end() {
                return answer;
            }
        }
    }

    /// Sends a request and reads its response.
    pub fn get(&mut self, root: &Path, language: Language, uri: &str) -> Answer {
        self.ask(root, language, uri, None);
        self.answer()
    }

    /// Whether the next frame is a goodbye.
    pub fn hears_goodbye(&mut self) -> bool {
        self.read_frame().is_ok_and(|(header, _)| header.kind == FrameType::Goodbye)
    }

    /// Whether the daemon has closed the connection, possibly after other frames.
    pub fn is_closed(mut self) -> bool {
        self.stream.read_to_end(&mut Vec::new()).is_ok()
    }

    fn read_frame(&mut self) -> io::Result<(FrameHeader, Vec<u8>)> {
        let mut header = [0; HEADER_LEN];
        self.stream.read_exact(&mut header)?;
        let header = FrameHeader::decode(&header).expect("a frame header").expect("all of it");
        let mut payload = vec![0; header.len as usize];
        self.stream.read_exact(&mut payload)?;
        Ok((header, payload))
    }
}

impl Answer {
    /// The body of a 200.
    #[track_caller]
    pub fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.body).into_owned();
        assert_eq!((self.status, &self.aborted), (200, &None), "{text}");
        text
    }
}
