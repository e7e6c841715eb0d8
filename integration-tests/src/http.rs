//! A client that shows every byte: raw writes and reads, with parsing on top for convenience.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use crate::response::{Head, Response};

const READ_PATIENCE: Duration = Duration::from_secs(30);

/// One connection.
pub struct Connection {
    stream: TcpStream,
    /// Received and not yet consumed.
    pending: Vec<u8>,
}

/// A request, for tests to which its exact bytes do not matter.
#[derive(Debug, Clone)]
pub struct Request {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Connection {
    /// Connects to a port of this machine.
    pub fn to(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("cannot connect");
        Self::over(stream)
    }

    /// Connects from this local address.
    pub fn from_address(address: &str, port: u16) -> Self {
        use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, socket};
        let at = |address: &str, port| {
            SockaddrIn::from(std::net::SocketAddrV4::new(address.parse().expect("an IPv4 address"), port))
        };
        let flags = SockFlag::SOCK_CLOEXEC;
        let socket =
            socket(AddressFamily::Inet, SockType::Stream, flags, None).expect("cannot create a socket");
        bind(std::os::fd::AsRawFd::as_raw_fd(&socket), &at(address, 0)).expect("cannot bind");
        connect(std::os::fd::AsRawFd::as_raw_fd(&socket), &at("127.0.0.1", port)).expect("cannot connect");
        Self::over(TcpStream::from(socket))
    }

    /// As [`Connection::to`], where failing to connect is a result.
    pub fn try_to(port: u16) -> io::Result<Self> {
        TcpStream::connect(("127.0.0.1", port)).map(Self::over)
    }

    fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(READ_PATIENCE)).unwrap();
        stream.set_write_timeout(Some(READ_PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, pending: Vec::new() }
    }

    /// Our own port, as the server sees it.
    pub fn local_port(&self) -> u16 {
        self.stream.local_addr().unwrap().port()
    }

    /// Writes exactly these bytes.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.stream.write_all(bytes.as_ref()).expect("the server closed the connection while we wrote");
        self
    }

    /// As [`Connection::send`], where a closed connection is a result.
    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Ends our direction only.
    pub fn half_close(&mut self) -> &mut Self {
        self.stream.shutdown(Shutdown::Write).unwrap();
        self
    }

    /// The response to a GET.
    #[track_caller]
    pub fn read_response(&mut self) -> Response {
        self.read_response_to("GET")
    }

    /// The response to this method.
    #[track_caller]
    pub fn read_response_to(&mut self, method: &str) -> Response {
        self.try_read_response(method).expect("no response")
    }

    /// As [`Connection::read_response_to`], where a lost connection is a result.
    pub fn try_read_response(&mut self, method: &str) -> io::Result<Response> {
        let head = self.try_read_head()?;
        let mut body = Vec::new();
        let complete = self.read_body(&head, method, |bytes| body.extend_from_slice(bytes))?;
        Ok(Response { head, body, complete })
    }

    /// The head only; the body is still to be read.
    #[track_caller]
    pub fn read_head(&mut self) -> Head {
        self.try_read_head().expect("no response head")
    }

    fn try_read_head(&mut self) -> io::Result<Head> {
        let end = loop {
            if let Some(at) = find(&self.pending, b"\r\n\r\n") {
                break at + 4;
            }
            if self.fill()? == 0 {
                let text = String::from_utf8_lossy(&self.pending).into_owned();
                return Err(io::Error::new(ErrorKind::UnexpectedEof, format!("no head, only {text:?}")));
            }
        };
        Ok(Head::parse(self.pending.drain(..end).collect()))
    }

    /// Passes the body to `sink` as it arrives; true when it ended as the head announced.
    pub fn read_body(&mut self, head: &Head, method: &str, mut sink: impl FnMut(&[u8])) -> io::Result<bool> {
        if method == "HEAD" || head.status == 204 || head.status == 304 || head.status < 200 {
            return Ok(true);
        }
        if head.is_chunked() {
            return self.read_chunks(&mut sink);
        }
        match head.content_length() {
            Some(len) => self.pass(len, &mut sink),
            None => {
                while !self.pending.is_empty() || self.fill()? > 0 {
                    sink(&self.pending);
                    self.pending.clear();
                }
                Ok(true)
            }
        }
    }

    fn read_chunks(&mut self, sink: &mut impl FnMut(&[u8])) -> io::Result<bool> {
        loop {
            let Some(line) = self.line()? else {
                return Ok(false);
            };
            let len =
                u64::from_str_radix(line.trim(), 16).unwrap_or_else(|_| panic!("not a chunk: {line:?}"));
            if !self.pass(len, sink)? || self.line()?.is_none() {
                return Ok(false);
            }
            if len == 0 {
                return Ok(true);
            }
        }
    }

    /// Hands `len` bytes to `sink`; false when the connection ended before.
    fn pass(&mut self, mut len: u64, sink: &mut impl FnMut(&[u8])) -> io::Result<bool> {
        while len > 0 {
            if self.pending.is_empty() && self.fill()? == 0 {
                return Ok(false);
            }
            let take = self.pending.len().min(usize::try_from(len).unwrap_or(usize::MAX));
            sink(&self.pending[..take]);
            self.pending.drain(..take);
            len -= take as u64;
        }
        Ok(true)
    }

    fn line(&mut self) -> io::Result<Option<String>> {
        loop {
            if let Some(at) = find(&self.pending, b"\r\n") {
                let line: Vec<u8> = self.pending.drain(..at + 2).collect();
                return Ok(Some(String::from_utf8_lossy(&line).into_owned()));
            }
            if self.fill()? == 0 {
                return Ok(None);
            }
        }
    }

    /// Reads until `text` has come, and returns all up to its end.
    #[track_caller]
    pub fn read_until(&mut self, text: &str) -> String {
        loop {
            if let Some(at) = find(&self.pending, text.as_bytes()) {
                let all: Vec<u8> = self.pending.drain(..at + text.len()).collect();
                return String::from_utf8_lossy(&all).into_owned();
            }
            let got = self.fill().unwrap_or_else(|error| panic!("{error} while waiting for {text:?}"));
            let so_far = String::from_utf8_lossy(&self.pending);
            assert!(got > 0, "the connection ended before {text:?} came: {so_far:?}");
        }
    }

    /// Exactly this many bytes.
    #[track_caller]
    pub fn read_exact(&mut self, len: usize) -> Vec<u8> {
        while self.pending.len() < len {
            assert!(self.fill().expect("no answer") > 0, "the connection ended too early");
        }
        self.pending.drain(..len).collect()
    }

    /// Everything until the server ends the connection.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        while self.fill().is_ok_and(|got| got > 0) {}
        std::mem::take(&mut self.pending)
    }

    /// As [`Connection::read_exact`]; `None` if the connection ends before, or is silent for this long.
    pub fn read_exact_within(&mut self, len: usize, silence: Duration) -> Option<Vec<u8>> {
        self.stream.set_read_timeout(Some(silence)).unwrap();
        while self.pending.len() < len {
            match self.fill() {
                Ok(got) if got > 0 => {}
                _ => return None,
            }
        }
        Some(self.pending.drain(..len).collect())
    }

    fn fill(&mut self) -> io::Result<usize> {
        let mut buffer = [0; 65536];
        let got = loop {
            match self.stream.read(&mut buffer) {
                // A machine that stops for a moment interrupts reads that have a time limit.
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                done => break done?,
            }
        };
        self.pending.extend_from_slice(&buffer[..got]);
        Ok(got)
    }
}

impl Request {
    /// A GET.
    pub fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    /// A POST with a body.
    pub fn post(path: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::new("POST", path).body(body)
    }

    /// Any method.
    pub fn new(method: &str, path: &str) -> Self {
        Self { method: method.to_owned(), path: path.to_owned(), headers: Vec::new(), body: Vec::new() }
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the body, which goes with a Content-Length.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends it on a new connection.
    #[track_caller]
    pub fn send_to(&self, port: u16) -> Response {
        let mut connection = Connection::to(port);
        connection.send(self.bytes("close"));
        connection.read_response_to(&self.method)
    }

    /// The bytes that go out.
    pub fn bytes(&self, connection: &str) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\nConnection: {connection}\r\n", self.method, self.path);
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("Host")) {
            head.push_str("Host: localhost\r\n");
        }
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !self.body.is_empty() || self.method == "POST" || self.method == "PUT" {
            head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        head.push_str("\r\n");
        [head.as_bytes(), &self.body].concat()
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
