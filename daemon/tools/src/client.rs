//! Client of a daemon's admin socket: one HTTP request per connection.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use common::instance::Found;

/// Timeout of a response.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum number of headers of a response.
const MAX_HEADERS: usize = 32;

/// A client of one daemon.
#[derive(Debug)]
pub(crate) struct Client {
    /// The daemon.
    pub(crate) found: Found,
    socket: PathBuf,
}

/// A daemon's response.
#[derive(Debug)]
pub(crate) struct Response {
    /// HTTP status.
    pub(crate) status: u16,
    /// The body, as text.
    pub(crate) body: String,
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    /// This user may not use the socket.
    #[error("cannot connect to {}: permission denied; run this command as root", .0.display())]
    Permission(PathBuf),
    /// The connection failed.
    #[error("the daemon at {} does not respond: {err}", socket.display())]
    Io {
        socket: PathBuf,
        #[source]
        err: io::Error,
    },
    /// The response is not valid.
    #[error(
        "the daemon sent an invalid response; check that the daemon and the tools are of the same release"
    )]
    InvalidResponse,
    /// The daemon rejected the request, with this status and message.
    #[error("{1}")]
    Rejected(u16, String),
}

impl From<RequestError> for String {
    fn from(err: RequestError) -> Self {
        err.to_string()
    }
}

impl Client {
    pub(crate) fn new(found: &Found) -> Self {
        Self { found: found.clone(), socket: found.admin_socket() }
    }

    /// Gets JSON.
    pub(crate) fn get_json(&self, path: &str) -> Result<Value, RequestError> {
        self.request("GET", path, "")?.json()
    }

    /// Sends a JSON body to a path and returns the JSON in the response.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<Value, RequestError> {
        self.request("POST", path, &body.to_string())?.json()
    }

    /// Sends any request. A response with an error status is not an error.
    pub(crate) fn request(&self, method: &str, path: &str, body: &str) -> Result<Response, RequestError> {
        let bytes = self.exchange(method, path, body).map_err(|err| match err.kind() {
            io::ErrorKind::PermissionDenied => RequestError::Permission(self.socket.clone()),
            _ => RequestError::Io { socket: self.socket.clone(), err },
        })?;
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut head = httparse::Response::new(&mut headers);
        match head.parse(&bytes) {
            Ok(httparse::Status::Complete(used)) => Ok(Response {
                status: head.code.unwrap_or(0),
                body: String::from_utf8_lossy(&bytes[used..]).into_owned(),
            }),
            _ => Err(RequestError::InvalidResponse),
        }
    }

    fn exchange(&self, method: &str, path: &str, body: &str) -> io::Result<Vec<u8>> {
        let mut stream = UnixStream::connect(&self.socket)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}"
        )?;
        let mut response = Vec::new();
        stream.read_to_end(&mut response)?;
        Ok(response)
    }
}

impl Response {
    /// Whether the status is a success.
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Returns the body of a successful response; otherwise the daemon's message is the error.
    pub(crate) fn text(self) -> Result<String, RequestError> {
        if self.is_success() {
            return Ok(self.body);
        }
        let message = serde_json::from_str::<Value>(&self.body).ok();
        let message = message.and_then(|value| value["message"].as_str().map(str::to_owned));
        let message = message.unwrap_or_else(|| format!("the daemon responded with status {}", self.status));
        Err(RequestError::Rejected(self.status, message))
    }

    fn json(self) -> Result<Value, RequestError> {
        serde_json::from_str(&self.text()?).map_err(|_| RequestError::InvalidResponse)
    }
}
