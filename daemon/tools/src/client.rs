//! Client of a daemon's admin socket: one HTTP request per connection.

use std::fmt;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use common::instance::{Found, Properties};

/// Timeout of a response.
const PATIENCE: Duration = Duration::from_secs(30);
/// Maximum number of headers of a response.
const MAX_HEADERS: usize = 32;

/// A client of one daemon.
#[derive(Debug)]
pub struct Client {
    /// The properties that the daemon registered.
    pub properties: Properties,
    socket: PathBuf,
}

/// A daemon's response.
#[derive(Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// The body, as text.
    pub body: String,
}

/// Why a daemon did not answer.
#[derive(Debug)]
pub enum AskError {
    /// This user may not use the socket.
    Permission(PathBuf),
    /// The connection failed.
    Io(PathBuf, io::Error),
    /// The response is not valid HTTP.
    Malformed,
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Permission(path) => {
                write!(
                    f,
                    "you may not connect to {}: run this as root, with sudo for example",
                    path.display()
                )
            }
            Self::Io(path, err) => write!(f, "the daemon at {} does not answer: {err}", path.display()),
            Self::Malformed => {
                f.write_str("the daemon's answer makes no sense; are daemon and tools of one release?")
            }
        }
    }
}

impl std::error::Error for AskError {}

impl Client {
    pub(super) fn new(found: &Found) -> Self {
        Self { properties: found.properties.clone(), socket: found.admin_socket() }
    }

    /// Sends a GET request.
    ///
    /// # Errors
    ///
    /// Returns [`AskError`] when there is no response; a response with an error status is a [`Reply`].
    pub fn get(&self, path: &str) -> Result<Reply, AskError> {
        self.ask("GET", path, "")
    }

    /// Sends a JSON body to a path.
    ///
    /// # Errors
    ///
    /// As [`Client::get`].
    pub fn post(&self, path: &str, body: &serde_json::Value) -> Result<Reply, AskError> {
        self.ask("POST", path, &body.to_string())
    }

    /// Sends any request.
    ///
    /// # Errors
    ///
    /// As [`Client::get`].
    pub fn ask(&self, method: &str, path: &str, body: &str) -> Result<Reply, AskError> {
        let bytes = self.exchange(method, path, body).map_err(|err| match err.kind() {
            io::ErrorKind::PermissionDenied => AskError::Permission(self.socket.clone()),
            _ => AskError::Io(self.socket.clone(), err),
        })?;
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut head = httparse::Response::new(&mut headers);
        match head.parse(&bytes) {
            Ok(httparse::Status::Complete(used)) => Ok(Reply {
                status: head.code.unwrap_or(0),
                body: String::from_utf8_lossy(&bytes[used..]).into_owned(),
            }),
            _ => Err(AskError::Malformed),
        }
    }

    fn exchange(&self, method: &str, path: &str, body: &str) -> io::Result<Vec<u8>> {
        let mut stream = UnixStream::connect(&self.socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}"
        )?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(answer)
    }
}
