//! Readiness probe for apps that use HTTP: connects to the app's socket until the app responds as required.
//!
//! The start of listening in another process causes no event, so the probe is repeated. An app that inherits its socket
//! can be connected to before it works: it must respond to a request.

use std::cell::RefCell;
use std::io;
use std::time::Duration;

use protocol::request::AppKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::app::route::Route;
use crate::app_protocol::connect;
use crate::supervisor_link::Supervisor;
use crate::sys::stream::Stream;
use common::link::{Listen, Order, ProcessRecord};

/// Pauses between two attempts, which double.
const MIN_PAUSE: Duration = Duration::from_millis(5);
const MAX_PAUSE: Duration = Duration::from_millis(100);
/// Maximum size of a status line, in bytes.
const MAX_LINE: u64 = 1024;

/// The request that an app must answer before it gets others.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ProbeRequest {
    method: &'static str,
    uri: String,
    /// Only a response that is not an error is accepted.
    must_succeed: bool,
}

/// Probes one process.
pub(super) struct ReadinessProbe<'a> {
    record: &'a ProcessRecord,
    request: Option<ProbeRequest>,
    supervisor: &'a Supervisor,
    /// Why the last attempt failed.
    pub(super) last: RefCell<String>,
}

impl<'a> ReadinessProbe<'a> {
    pub(super) fn new(record: &'a ProcessRecord, route: &Route, supervisor: &'a Supervisor) -> Self {
        let settings = &route.settings;
        let request =
            request(route.kind, settings.process.app_listen, settings.router.app_ready_path.as_deref());
        Self { record, request, supervisor, last: RefCell::default() }
    }

    /// Whether the app must respond to a request, whatever it reports about itself.
    pub(super) fn is_required(&self) -> bool {
        self.request.is_some()
    }

    /// Resolves when the app responds as required.
    pub(super) async fn wait_until_ready(&self) {
        let mut pause = MIN_PAUSE;
        loop {
            match self.attempt().await {
                Ok(()) => return,
                Err(why) => *self.last.borrow_mut() = why,
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(MAX_PAUSE);
        }
    }

    async fn attempt(&self) -> Result<(), String> {
        let mut connection = match connect::connect(self.record).await {
            Err(why) if why.kind() == io::ErrorKind::PermissionDenied => {
                // The app has opened its socket for its own user.
                self.supervisor.send(&Order::Admit(self.record.process));
                return Err(format!("cannot connect to its socket: {why}"));
            }
            connected => connected.map_err(|why| not_connected(&why))?,
        };
        let Some(request) = &self.request else { return Ok(()) };
        let (method, uri) = (request.method, &request.uri);
        match ask(&mut connection, request).await {
            Ok(status) if !request.must_succeed || (200..400).contains(&status) => Ok(()),
            Ok(status) => {
                Err(format!("{method} {uri} was answered with {status} (passenger_app_ready_path)"))
            }
            Err(why) => Err(format!("{method} {uri} was not answered: {why}")),
        }
    }
}

fn request(kind: AppKind, listen: Listen, ready_path: Option<&str>) -> Option<ProbeRequest> {
    match (kind, ready_path) {
        (kind, _) if kind.has_sessions() => None,
        (_, Some(uri)) => Some(ProbeRequest { method: "GET", uri: uri.to_owned(), must_succeed: true }),
        (AppKind::Generic, None) if listen == Listen::Descriptor => {
            Some(ProbeRequest { method: "HEAD", uri: "/".to_owned(), must_succeed: false })
        }
        (_, None) => None,
    }
}

/// Returns the status of the app's response.
async fn ask(connection: &mut Stream, request: &ProbeRequest) -> io::Result<u16> {
    let request = format!(
        "{} {} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: flying-passenger\r\nConnection: close\r\n\r\n",
        request.method, request.uri
    );
    let mut connection = &*connection;
    connection.write_all(request.as_bytes()).await?;
    let mut answer = connection.take(MAX_LINE);
    let mut line = Vec::new();
    while !line.contains(&b'\n') {
        if answer.read_buf(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    status(&line).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the response is not HTTP"))
}

/// Returns the status in `HTTP/1.1 200 OK`.
fn status(line: &[u8]) -> Option<u16> {
    let line = line.strip_prefix(b"HTTP/1.")?;
    let digits = line.get(1..)?.strip_prefix(b" ")?.get(..3)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn not_connected(why: &io::Error) -> String {
    match why.kind() {
        io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => format!("nothing listens: {why}"),
        _ => format!("cannot connect to it: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_three_digits_after_the_version() {
        assert_eq!(status(b"HTTP/1.1 204 No Content\r\n"), Some(204));
        assert_eq!(status(b"HTTP/1.0 500\r\n"), Some(500));
        for line in [&b"HTTP/2 200\r\n"[..], b"SSH-2.0-x\r\n", b"HTTP/1.1 20", b"HTTP/1.1 abc\r\n", b""] {
            assert_eq!(status(line), None, "{line:?}");
        }
    }

    #[test]
    fn only_apps_that_speak_http_are_probed() {
        let uri = |request: Option<ProbeRequest>| request.map(|q| (q.method, q.uri, q.must_succeed));
        assert_eq!(uri(request(AppKind::Ruby, Listen::Port, Some("/up"))), None);
        assert_eq!(uri(request(AppKind::Node, Listen::Port, Some("/up"))), Some(("GET", "/up".into(), true)));
        assert_eq!(uri(request(AppKind::Generic, Listen::Port, None)), None);
        assert_eq!(uri(request(AppKind::Generic, Listen::Socket, None)), None);
        let handed = uri(request(AppKind::Generic, Listen::Descriptor, None));
        assert_eq!(handed, Some(("HEAD", "/".into(), false)));
    }
}
