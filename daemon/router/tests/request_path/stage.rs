//! A router in this process, with the supervisor, nginx and one application process played by the test. What plays
//! nginx and the process allocates no memory for a request, so that every allocation is the router's.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use common::config::{AppOutput, DaemonOption};
use common::link::channel::{Buffer, Channel};
use common::link::{Address, AppUser, Notice, Order, ProcessId, ProcessRecord, RestartFiles, RouterConfig};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use protocol::app_kind::AppKind;
use protocol::frame::{FrameHeader, FrameType, HEADER_LEN};
use protocol::globals::Globals;
use protocol::hello::Hello;
use protocol::pairs;
use protocol::request::{AppRef, BodyLength, RequestHead};
use protocol::settings::{Digest, Settings, Value};

/// When nginx has read its configuration.
const CONFIGURED_MS: u64 = 1_795_000_000_000;
/// How long a response may take, also under valgrind.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// The headers of a browser's request.
const HEADERS: [(&str, &str); 7] = [
    ("Host", "www.example.org"),
    ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("Accept-Language", "en-US,en;q=0.5"),
    ("Accept-Encoding", "gzip, deflate"),
    ("Cookie", "session=0123456789abcdef0123456789abcdef"),
    ("X-Request-Id", "0123456789abcdef0123456789abcdef"),
];

/// The router, and the threads that play the others.
pub(crate) struct Stage {
    dir: PathBuf,
    kind: AppKind,
    supervisor: Channel,
    router: Option<JoinHandle<()>>,
}

/// A connection of nginx's worker.
pub(crate) struct Nginx {
    stream: UnixStream,
    request: Vec<u8>,
    room: Vec<u8>,
}

impl Stage {
    /// Starts a router with one process of this kind, which serves one request at a time. `serve` plays it on each of
    /// its connections.
    pub(crate) fn new(kind: AppKind, serve: impl Fn(UnixStream) + Send + Sync + 'static) -> Self {
        let dir = std::env::temp_dir().join(format!("request-path.{}.{kind:?}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let app = UnixListener::bind(dir.join("app")).unwrap();
        let serve = Arc::new(serve);
        thread::spawn(move || {
            for stream in app.incoming() {
                let (stream, serve) = (stream.unwrap(), serve.clone());
                thread::spawn(move || serve(stream));
            }
        });
        let (supervisor, link) = Channel::pair().unwrap();
        let router = thread::Builder::new().name("router".into()).spawn(move || {
            router::run(link.into_fd());
        });
        let stage = Self { dir, kind, supervisor, router: Some(router.unwrap()) };
        stage.configure();
        stage
    }

    /// Opens a connection as nginx's worker does.
    pub(crate) fn nginx(&self, method: &[u8]) -> Nginx {
        let mut stream = UnixStream::connect(self.dir.join("nginx")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let globals = Globals { configured_ms: CONFIGURED_MS, settings: Settings::new() };
        stream.write_all(&[hello().to_frame(), globals.to_frame().unwrap()].concat()).unwrap();
        Nginx { stream, request: request(self.kind, &self.dir, method), room: vec![0; 64 * 1024] }
    }

    fn configure(&self) {
        let [nginx, tools] = ["nginx", "tools"].map(|name| UnixListener::bind(self.dir.join(name)).unwrap());
        let config = Box::new(config(&self.dir));
        self.supervisor.send(&Notice::Config(*config), &[nginx.as_fd(), tools.as_fd()]).unwrap();
        let (output, input) = std::io::pipe().unwrap();
        // The router takes the end of its output for the end of a process.
        std::mem::forget(input);
        let record = process(self.kind, &self.dir);
        self.supervisor.send(&Notice::Adopt(record), &[output.as_fd()]).unwrap();
        self.supervisor.send(&Notice::Serve, &[]).unwrap();
        let link = Channel::new(self.supervisor.as_fd().try_clone_to_owned().unwrap()).unwrap();
        thread::spawn(move || play_supervisor(&link));
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // Ends both the router and what plays the supervisor.
        let link = nix::sys::socket::shutdown(
            std::os::fd::AsRawFd::as_raw_fd(&self.supervisor),
            nix::sys::socket::Shutdown::Both,
        );
        link.unwrap();
        self.router.take().map(JoinHandle::join);
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

impl Nginx {
    /// Sends one request.
    pub(crate) fn send(&mut self) {
        self.stream.write_all(&self.request).unwrap();
    }

    /// Reads a response; returns when its last frame has arrived.
    pub(crate) fn receive(&mut self) {
        let mut received = 0;
        loop {
            let more = self.stream.read(&mut self.room[received..]).unwrap();
            assert!(more > 0, "the router has closed the connection");
            received += more;
            let mut rest = &self.room[..received];
            while let Some(header) = FrameHeader::decode(rest).unwrap() {
                let Some(behind) = rest.get(HEADER_LEN + header.len as usize..) else { break };
                assert_ne!(header.kind, FrameType::Abort);
                if header.is_end() {
                    return;
                }
                rest = behind;
            }
        }
    }

    /// Reads once.
    pub(crate) fn receive_some(&mut self) -> &[u8] {
        let received = self.stream.read(&mut self.room).unwrap();
        &self.room[..received]
    }

    /// Closes the connection.
    pub(crate) fn close(self) {
        self.stream.shutdown(Shutdown::Both).unwrap();
    }
}

fn hello() -> Hello {
    Hello {
        versions: vec![1],
        using: 1,
        module_version: "0.1.0".into(),
        nginx_version: "1.22.1".into(),
        hears_goodbye: true,
        takes_log_line: true,
        instance: "test".into(),
    }
}

fn app(kind: AppKind, dir: &Path) -> (String, AppKind, &'static [u8]) {
    let command: &[u8] = if kind == AppKind::Generic { b"./serve" } else { b"" };
    (dir.display().to_string(), kind, command)
}

fn request(kind: AppKind, dir: &Path, method: &[u8]) -> Vec<u8> {
    let (root, kind, start_command) = app(kind, dir);
    let block = Settings::new().encode().unwrap();
    let head = RequestHead {
        settings_digest: Digest::of(&block),
        settings_len: block.len() as u32,
        app: AppRef { group: root.as_bytes(), root: root.as_bytes(), kind, start_command },
        method,
        uri: b"/articles/2026/11?page=2",
        base_uri: b"",
        document_root: b"/srv/www/public",
        remote_addr: b"203.0.113.7",
        remote_port: 51_234,
        remote_user: b"",
        server_software: b"nginx/1.22.1",
        https: true,
        upgrade: false,
        started_ms: CONFIGURED_MS,
        body: BodyLength::None,
    };
    let headers = |out: &mut Vec<u8>| {
        HEADERS.iter().for_each(|(name, value)| pairs::put(out, name.as_bytes(), value.as_bytes()));
    };
    let mut frame = Vec::new();
    head.write_frame(&block, headers, &mut frame).unwrap();
    frame
}

/// The options without which no process may run.
fn options(dir: &Path) -> Vec<DaemonOption> {
    let option = |name: &str, value| DaemonOption { name: name.into(), value, given: None };
    vec![
        option("max_pool_size", Value::Number(6)),
        option("stat_throttle_rate", Value::Number(10)),
        option("data_buffer_dir", Value::Text(dir.display().to_string())),
    ]
}

fn config(dir: &Path) -> RouterConfig {
    RouterConfig {
        socket_file: dir.join("nginx"),
        instance_name: "test".into(),
        options: options(dir),
        app_defaults: Vec::new(),
        globals: Vec::new(),
        overridden: Vec::new(),
        shutdown_limit: 5,
        drain_limit: 5,
        admin_uid: 0,
        status_gid: None,
        app_output: AppOutput::Log,
        app_output_limit: 0,
        min_upload_rate: 500,
        hooks: Vec::new(),
        problems: Vec::new(),
        generation: 0,
        environment: None,
        threads: 1,
    }
}

/// A process as an earlier router handed it over.
fn process(kind: AppKind, dir: &Path) -> ProcessRecord {
    let (root, kind, start_command) = app(kind, dir);
    let block = Settings::new().encode().unwrap();
    let (root, software) = (root.as_bytes(), "nginx/1.22.1".as_bytes());
    let handed_over = (root, root, kind, start_command, &b""[..], software, &block[..], CONFIGURED_MS);
    let handover_data = bincode::serde::encode_to_vec(handed_over, bincode::config::standard());
    ProcessRecord {
        process: ProcessId(1),
        pid: std::process::id().cast_signed(),
        address: Address::Unix(dir.join("app")),
        user: AppUser { uid: 0, gid: 0, name: "root".into() },
        started_ms: 1,
        max_concurrent: Some(1),
        revision: None,
        native: None,
        environment: std::collections::BTreeMap::new(),
        handover_data: handover_data.unwrap(),
    }
}

/// Answers what the router asks the supervisor while it serves requests.
fn play_supervisor(link: &Channel) {
    let mut buffer = Buffer::default();
    loop {
        poll(&mut [PollFd::new(link.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE).unwrap();
        match link.recv::<Order>(&mut buffer) {
            Ok(Some((Order::CheckRestartFiles { ticket, .. }, _))) => {
                let found = RestartFiles { restart_mtime: None, always: false };
                link.send(&Notice::RestartFiles { ticket, found }, &[]).unwrap();
            }
            Ok(Some(_)) => {}
            _ => return,
        }
    }
}
