//! Fake peers: a daemon or a module of another release, and a daemon that the tools find.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use protocol::frame::{FrameHeader, FrameType, HEADER_LEN};
use protocol::hello::{Hello, Refusal, Welcome};
use protocol::response::{Abort, AbortReason};
use serde_json::json;

/// A daemon that supports only the given versions, and refuses other modules.
pub struct FakeDaemon;

impl FakeDaemon {
    /// Listens at `socket` until the test process ends.
    pub fn listen(socket: &Path, versions: &[u16], release: &str) -> Self {
        let (versions, release) = (versions.to_vec(), release.to_owned());
        Self::serve(socket, move |stream| refuse(stream, &versions, &release))
    }

    /// A daemon of this version without the status page: it does not know the frame.
    pub fn without_status_page(socket: &Path) -> Self {
        Self::serve(socket, reject_status)
    }

    /// A daemon of this version that accepts everything and records the instance names in hellos.
    pub fn noting_instances(socket: &Path) -> (Self, Arc<Mutex<Vec<String>>>) {
        let names = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&names);
        (Self::serve(socket, move |stream| note_instance(stream, &noted)), names)
    }

    fn serve(socket: &Path, each: impl Fn(UnixStream) + Clone + Send + 'static) -> Self {
        let listener = UnixListener::bind(socket).unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let each = each.clone();
                thread::spawn(move || each(stream.unwrap()));
            }
        });
        Self
    }
}

/// Welcomes the module, and answers a frame of type 0x07 as a daemon that does not know it.
fn reject_status(mut stream: UnixStream) {
    let welcome = Welcome { version: protocol::CURRENT_VERSION, daemon_version: "0.0.9".to_owned() };
    let _the_module_may_be_gone = stream.write_all(&welcome.to_frame());
    while let Some((header, _)) = read_frame(&mut stream) {
        if header.kind == FrameType::Status {
            let message = "frame type 0x07 is unknown";
            let mut frame = Vec::new();
            Abort { reason: AbortReason::BadRequest, message }.write_frame(&mut frame);
            let _the_module_may_be_gone = stream.write_all(&frame);
            return;
        }
    }
}

fn note_instance(mut stream: UnixStream, names: &Mutex<Vec<String>>) {
    if let Some((_, payload)) = read_frame(&mut stream) {
        let welcome = Welcome { version: protocol::CURRENT_VERSION, daemon_version: "0.1.0".to_owned() };
        let _the_module_may_be_gone = stream.write_all(&welcome.to_frame());
        names.lock().unwrap().push(Hello::decode(&payload).expect("the module says hello").instance);
        while read_frame(&mut stream).is_some() {}
    }
}

fn refuse(mut stream: UnixStream, versions: &[u16], release: &str) {
    let Some((header, payload)) = read_frame(&mut stream) else {
        return;
    };
    assert_eq!(header.kind, FrameType::Hello, "a connection opens with a hello");
    let hello = Hello::decode(&payload).expect("the module says hello");
    let refusal = Refusal::no_common_version(&hello, versions, release);
    let _the_module_may_be_gone = stream.write_all(&refusal.to_frame());
}

/// A module that supports only the given versions.
pub struct FakeModule {
    stream: UnixStream,
}

impl FakeModule {
    /// Connects and sends the hello.
    pub fn send_hello(socket: &Path, versions: &[u16], release: &str) -> Self {
        let mut stream = UnixStream::connect(socket).expect("the daemon listens");
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let hello = Hello {
            versions: versions.to_vec(),
            using: versions[0],
            module_version: release.to_owned(),
            nginx_version: "1.99.9".to_owned(),
            hears_goodbye: false,
            takes_log_line: false,
            instance: String::new(),
        };
        stream.write_all(&hello.to_frame()).unwrap();
        Self { stream }
    }

    /// The daemon's refusal; the daemon closes the connection after it.
    pub fn refusal(mut self) -> Refusal {
        let (header, payload) = read_frame(&mut self.stream).expect("the daemon answers");
        assert_eq!(header.kind, FrameType::Refused);
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).unwrap();
        assert!(rest.is_empty(), "a refusal is the last frame");
        Refusal::decode(&payload).expect("a refusal can be read")
    }
}

fn read_frame(stream: &mut UnixStream) -> Option<(FrameHeader, Vec<u8>)> {
    let mut header = [0; HEADER_LEN];
    stream.read_exact(&mut header).ok()?;
    let header = FrameHeader::decode(&header).expect("a frame header").expect("all of it");
    let mut payload = vec![0; header.len as usize];
    stream.read_exact(&mut payload).ok()?;
    Some((header, payload))
}

/// A daemon in a registry that gives all tools the same answer.
pub struct FakeInstance {
    _lock: Flock<File>,
}

impl FakeInstance {
    /// Creates `registry` and registers one in it; it answers until the test process exits.
    pub fn answering(registry: &Path, status: u16, body: &str) -> Self {
        let dir = registry.join("passenger.Fake000");
        fs::create_dir_all(&dir).unwrap();
        let properties = json!({
            "name": "FakeFake", "pid": std::process::id(), "socket_file": "/nonexistent", "version": "0.0.0",
            "started_ms": 0,
        });
        fs::write(dir.join("properties.json"), properties.to_string()).unwrap();
        let lock = Flock::lock(File::create(dir.join("lock")).unwrap(), FlockArg::LockExclusive).unwrap();
        let listener = UnixListener::bind(dir.join("admin.sock")).unwrap();
        let answer = format!("HTTP/1.1 {status} Fake\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut asked = Vec::new();
                while !asked.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
                    let mut bytes = [0; 1024];
                    match stream.read(&mut bytes) {
                        Ok(0) | Err(_) => break,
                        Ok(came) => asked.extend_from_slice(&bytes[..came]),
                    }
                }
                let _the_tool_may_be_gone = stream.write_all(answer.as_bytes());
            }
        });
        Self { _lock: lock }
    }
}
