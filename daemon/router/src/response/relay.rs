//! Relay of one response from an app to nginx: read, decode, frame and write until it is complete.
//!
//! The data of one read is written before the next read, so that a slow client slows the app and costs one buffer.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::frame::FrameType;
use protocol::request::BodyLength;
use tokio::io::{AsyncRead, AsyncWrite};

use super::super::dispatch::Session;
use super::{Origin, Writer};
use crate::app_protocol::buffer::{Input, LARGE, SMALL};
use crate::app_protocol::http;
use crate::app_protocol::response_head::{Event, Head, Mode, ResponseError};
use crate::app_protocol::session;
use crate::fair_share::FairShare;
use crate::metrics::active_requests::{Phase, RequestSlot};
use crate::metrics::counters::AppMetrics;

/// How long one head may take from its first byte to its last.
const HEAD_LIMIT: Duration = Duration::from_secs(60);
/// Maximum number of interim responses before one response.
const MAX_INTERIMS: u32 = 32;

/// Decoder of either protocol; a hijacked session continues as HTTP.
#[derive(Debug)]
pub(crate) enum Decoder {
    Session(session::Decoder),
    Http(http::Decoder),
}

/// Why a response ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RelayError {
    /// The app is at fault.
    #[error(transparent)]
    App(#[from] ResponseError),
    #[error("cannot read its response: {0}")]
    AppRead(io::Error),
    /// The client has closed the connection.
    #[error("cannot write the response to nginx: {0}")]
    Nginx(io::Error),
}

/// How a response ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Complete {
    /// It is complete.
    Response,
    /// Its head switched protocols: the connection is a tunnel from now on.
    Tunnel,
}

/// A response that is being relayed.
#[derive(Debug)]
pub(crate) struct Relay<'s> {
    pub(crate) decoder: Decoder,
    /// Any part of a final response was passed to nginx.
    pub(crate) begun: bool,
    /// Any byte was received from the app.
    pub(crate) received: bool,
    to_head_request: bool,
    pid: u32,
    /// Microseconds that the request waited for the process.
    queue_us: u64,
    /// When the request was sent to the process.
    sent_at: Instant,
    head_limit: Duration,
    /// When the first byte of an incomplete head arrived.
    head_began: Option<tokio::time::Instant>,
    interims: u32,
    /// What it may do before other tasks run: decoder steps and kilobytes.
    share: FairShare,
    /// The slot of the request.
    request_slot: Arc<RequestSlot>,
    /// The metrics of its app.
    metrics: Arc<AppMetrics>,
    /// The session with the process that responds.
    pub(crate) session: Option<&'s Session>,
}

impl Decoder {
    pub(crate) fn new(speaks_session: bool, to_head_request: bool, upgrade: bool) -> Self {
        if speaks_session {
            Self::Session(session::Decoder::new(to_head_request, upgrade))
        } else {
            Self::Http(http::Decoder::new(to_head_request, upgrade))
        }
    }

    pub(crate) fn is_reusable(&self) -> bool {
        match self {
            Self::Session(decoder) => decoder.is_reusable(),
            Self::Http(decoder) => decoder.is_reusable(),
        }
    }

    pub(crate) fn next<'b>(
        &mut self,
        bytes: &'b [u8],
        head: &mut Head,
    ) -> Result<(usize, Event<'b>), ResponseError> {
        match self {
            Self::Session(decoder) => decoder.next(bytes, head),
            Self::Http(decoder) => decoder.next(bytes, head),
        }
    }

    pub(crate) fn at_eof(&mut self) -> Result<(), ResponseError> {
        match self {
            Self::Session(decoder) => decoder.at_eof(),
            Self::Http(decoder) => decoder.at_eof(),
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        match self {
            Self::Session(decoder) => decoder.is_done(),
            Self::Http(decoder) => decoder.is_done(),
        }
    }

    /// Whether the app writes the body itself, on a connection that its loader has passed to it.
    fn is_raw(&self) -> bool {
        matches!(self, Self::Session(decoder) if decoder.is_raw())
    }

    /// Switches to HTTP if the app took over the connection: an HTTP response follows, and no other request may.
    pub(crate) fn follow_hijack(&mut self) -> bool {
        let Self::Session(decoder) = self else { return false };
        let Some(http) = decoder.hijacked() else { return false };
        *self = Self::Http(http);
        true
    }
}

impl Relay<'_> {
    pub(crate) fn new(
        decoder: Decoder,
        to_head_request: bool,
        pid: u32,
        waited: Duration,
        sent_at: Instant,
        request_slot: Arc<RequestSlot>,
        metrics: Arc<AppMetrics>,
    ) -> Self {
        Self {
            decoder,
            begun: false,
            received: false,
            to_head_request,
            pid,
            queue_us: microseconds(waited),
            sent_at,
            head_limit: HEAD_LIMIT,
            head_began: None,
            interims: 0,
            share: FairShare::default(),
            request_slot,
            metrics,
            session: None,
        }
    }

    /// Relays the response until it is complete. Its last part is then in the writer, not yet written, so that the app
    /// can be given to another request before that.
    pub(crate) async fn run(
        &mut self,
        app: &mut (impl AsyncRead + Unpin),
        input: &mut Input,
        nginx: &mut (impl AsyncWrite + Unpin),
        writer: &mut Writer,
        head: &mut Head,
    ) -> Result<Complete, RelayError> {
        let mut room = SMALL;
        loop {
            let asked = self.share.limit_read(room);
            let received = self.fill(input, app, asked).await?;
            if received == 0 {
                self.decoder.at_eof()?;
                return end(nginx, writer).await;
            }
            self.share.spend(received / 1024 + 1).await;
            // A read that fills its buffer has more behind it: a large body justifies a large buffer.
            room = if received == asked { LARGE } else { room };
            if !self.received {
                self.received = true;
                self.request_slot.enter(Phase::Responding);
            }
            if let Some(complete) = self.decode(input, nginx, writer, head).await? {
                return Ok(complete);
            }
            if !self.begun && self.head_began.is_none() && !input.is_empty() {
                self.head_began = Some(tokio::time::Instant::now());
            }
            writer.flush(nginx).await.map_err(RelayError::Nginx)?;
            self.share.pace(received).await;
        }
    }

    /// Reads once, at most for the time that is left to an incomplete head.
    async fn fill(
        &mut self,
        input: &mut Input,
        app: &mut (impl AsyncRead + Unpin),
        room: usize,
    ) -> Result<usize, RelayError> {
        let Some(began) = self.head_began else {
            return input.fill(app, room).await.map_err(RelayError::AppRead);
        };
        let too_slow = || RelayError::App(ResponseError::HeadTooSlow(self.head_limit));
        let left = self.head_limit.checked_sub(began.elapsed()).ok_or_else(too_slow)?;
        let received = tokio::time::timeout(left, input.fill(app, room)).await;
        received.map_err(|_| too_slow())?.map_err(RelayError::AppRead)
    }

    /// Decodes the content of `input` and passes it to the writer.
    async fn decode(
        &mut self,
        input: &mut Input,
        nginx: &mut (impl AsyncWrite + Unpin),
        writer: &mut Writer,
        head: &mut Head,
    ) -> Result<Option<Complete>, RelayError> {
        loop {
            let (used, event) = self.decoder.next(input.unread(), head)?;
            let complete = match event {
                Event::More if self.decoder.follow_hijack() => {
                    self.hijacked();
                    None
                }
                Event::More => {
                    input.consume(used);
                    return Ok(None);
                }
                Event::Interim => {
                    self.interim(writer, head)?;
                    // The next head begins with the next byte.
                    self.head_began = None;
                    None
                }
                Event::Head(mode) => self.head(mode, writer, head)?,
                Event::Data(data) => self.data(data, nginx, writer).await?,
                Event::End => Some(end(nginx, writer).await?),
            };
            input.consume(used);
            if complete.is_some() {
                return Ok(complete);
            }
            self.share.spend_item(used).await;
        }
    }

    /// Relays 103 only: nginx sends 100 itself, and clients have no use for the others.
    fn interim(&mut self, writer: &mut Writer, head: &Head) -> Result<(), ResponseError> {
        self.interims += 1;
        if self.interims > MAX_INTERIMS {
            return Err(ResponseError::TooManyInterims);
        }
        if head.status == 103 {
            writer.head(FrameType::Interim, head, BodyLength::None, false, self.origin())?;
        }
        Ok(())
    }

    fn head(&mut self, mode: Mode, writer: &mut Writer, head: &Head) -> Result<Option<Complete>, RelayError> {
        if self.decoder.is_raw() {
            self.hijacked();
        }
        let complete = match mode {
            Mode::Tunnel => Some(Complete::Tunnel),
            Mode::Framed => self.decoder.is_done().then_some(Complete::Response),
        };
        let end = complete == Some(Complete::Response);
        let origin = self.origin();
        let length = head.body_length(self.to_head_request);
        writer.head(FrameType::Response, head, length, end, origin)?;
        self.begun = true;
        self.head_began = None;
        let took = Duration::from_micros(origin.queue_us.saturating_add(origin.app_us));
        self.metrics.response_time.add(took);
        self.metrics.count_response(head.status);
        Ok(complete)
    }

    /// Records that the app has taken over the connection.
    fn hijacked(&self) {
        if let Some(session) = self.session {
            session.hijacked();
        }
    }

    fn origin(&self) -> Origin {
        Origin { pid: self.pid, queue_us: self.queue_us, app_us: microseconds(self.sent_at.elapsed()) }
    }

    async fn data(
        &mut self,
        data: &[u8],
        nginx: &mut (impl AsyncWrite + Unpin),
        writer: &mut Writer,
    ) -> Result<Option<Complete>, RelayError> {
        let end = self.decoder.is_done();
        if end || !data.is_empty() {
            writer.body(data, end, nginx).await.map_err(RelayError::Nginx)?;
        }
        Ok(end.then_some(Complete::Response))
    }
}

/// Adds the end of a response whose last part did not mark it.
async fn end(nginx: &mut (impl AsyncWrite + Unpin), writer: &mut Writer) -> Result<Complete, RelayError> {
    writer.body(&[], true, nginx).await.map_err(RelayError::Nginx)?;
    Ok(Complete::Response)
}

fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;
    use crate::metrics::active_requests::ActiveRequests;

    /// Returns the result of a response that arrives in `pieces`, one per second.
    fn relayed(speaks_session: bool, pieces: Vec<Vec<u8>>) -> Result<Complete, RelayError> {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let (mut app, mut router) = tokio::io::duplex(1 << 16);
            let write = async {
                for piece in pieces {
                    app.write_all(&piece).await.unwrap();
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                std::future::pending::<()>().await;
            };
            let (request_slot, metrics) = (ActiveRequests::default().open(), Arc::default());
            let decoder = Decoder::new(speaks_session, false, false);
            let mut relay =
                Relay::new(decoder, false, 1, Duration::ZERO, Instant::now(), request_slot, metrics);
            let (mut input, mut out, mut writer) = (Input::default(), Vec::new(), Writer::default());
            let mut head = Head::default();
            let relayed = relay.run(&mut router, &mut input, &mut out, &mut writer, &mut head);
            tokio::select! {
                relayed = relayed => relayed,
                () = write => unreachable!("it never ends"),
            }
        })
    }

    #[test]
    fn a_head_that_never_completes_times_out() {
        for speaks_session in [false, true] {
            let head = "HTTP/1.1 200 OK\r\n".to_owned() + &"X-A: 1\r\n".repeat(100);
            let whole = if speaks_session {
                [&[255, 0, 0, 0, 1, 0, 0, 0], &[b'x'; 255][..]].concat()
            } else {
                head.into()
            };
            let pieces = whole.iter().map(|byte| vec![*byte]).collect();
            let error = relayed(speaks_session, pieces).unwrap_err();
            assert!(matches!(error, RelayError::App(ResponseError::HeadTooSlow(_))), "{error}");
        }
    }

    #[test]
    fn the_head_limit_restarts_after_an_interim_response() {
        let mut pieces = vec![b"HTTP/1.1 103 Early Hints\r\n\r\n".to_vec()];
        pieces.resize(100, Vec::new());
        pieces.push(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec());
        assert_eq!(relayed(false, pieces).unwrap(), Complete::Response);
    }

    #[test]
    fn interim_responses_are_limited() {
        let many = |count| {
            let mut response = "HTTP/1.1 100 Continue\r\n\r\n".repeat(count);
            response += "HTTP/1.1 204 No Content\r\n\r\n";
            relayed(false, vec![response.into()])
        };
        assert_eq!(many(32).unwrap(), Complete::Response);
        assert!(matches!(many(33), Err(RelayError::App(ResponseError::TooManyInterims))));
    }
}
