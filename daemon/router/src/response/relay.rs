//! Relay of one response from an app to nginx: read, decode, frame and write until it is complete.
//!
//! The data of one read is written before the next read, so that a slow client slows the app and costs one buffer.

use std::fmt;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite};

use super::super::dispatch::Session;
use super::{Origin, Writer};
use crate::app_protocol::buffer::{Input, LARGE, SMALL};
use crate::app_protocol::http;
use crate::app_protocol::response_head::{Event, Head, Mode, ReplyError};
use crate::app_protocol::session;
use crate::metrics::active_requests::{Phase, RequestSlot};
use crate::metrics::counters::AppMetrics;

/// How long one head may take from its first byte to its last.
const HEAD_LIMIT: Duration = Duration::from_secs(60);
/// Most interim responses of one response.
const MAX_INTERIMS: u32 = 32;
/// Work after which other tasks get their turn: decoder steps plus kilobytes.
const TURN: usize = 512;

/// Decoder of either protocol; a hijacked session continues as HTTP.
#[derive(Debug)]
pub(crate) enum Decoder {
    Session(session::Decoder),
    Http(http::Decoder),
}

/// Why a response ended early.
#[derive(Debug)]
pub(crate) enum RelayError {
    /// The app is at fault.
    App(ReplyError),
    /// Reading from the app failed.
    AppRead(io::Error),
    /// nginx does not accept it: the client has gone.
    Nginx(io::Error),
}

impl fmt::Display for RelayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::App(err) => err.fmt(f),
            Self::AppRead(err) => write!(f, "its answer cannot be read: {err}"),
            Self::Nginx(err) => write!(f, "nginx does not take the answer: {err}"),
        }
    }
}

impl From<ReplyError> for RelayError {
    fn from(err: ReplyError) -> Self {
        Self::App(err)
    }
}

/// How a response ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Complete {
    /// It is complete.
    Answer,
    /// Its head switched protocols: the connection is a tunnel from now on.
    Tunnel,
}

/// A response that is being relayed.
#[derive(Debug)]
pub(crate) struct Relay {
    pub(crate) decoder: Decoder,
    /// Any part of a final response was passed to nginx.
    pub(crate) begun: bool,
    /// The app has sent anything at all.
    pub(crate) heard: bool,
    to_head_request: bool,
    pid: u32,
    /// Microseconds that the request waited for the process.
    queue_us: u64,
    /// When the request was sent to the process.
    asked: Instant,
    head_limit: Duration,
    /// When the first byte of an incomplete head arrived.
    head_began: Option<tokio::time::Instant>,
    interims: u32,
    /// Work done since other tasks last had their turn.
    work: usize,
    /// The slot of the request.
    request_slot: Rc<RequestSlot>,
    /// The metrics of its app.
    metrics: Rc<AppMetrics>,
    /// The session with the process that responds.
    pub(crate) session: Option<Rc<Session>>,
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
    ) -> Result<(usize, Event<'b>), ReplyError> {
        match self {
            Self::Session(decoder) => decoder.next(bytes, head),
            Self::Http(decoder) => decoder.next(bytes, head),
        }
    }

    pub(crate) fn at_eof(&mut self) -> Result<(), ReplyError> {
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

impl Relay {
    pub(crate) fn new(
        decoder: Decoder,
        to_head_request: bool,
        pid: u32,
        waited: Duration,
        asked: Instant,
        request_slot: Rc<RequestSlot>,
        metrics: Rc<AppMetrics>,
    ) -> Self {
        Self {
            decoder,
            begun: false,
            heard: false,
            to_head_request,
            pid,
            queue_us: microseconds(waited),
            asked,
            head_limit: HEAD_LIMIT,
            head_began: None,
            interims: 0,
            work: 0,
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
            let came = self.fill(input, app, room).await?;
            self.take_turns(came / 1024 + 1).await;
            // A read that fills its buffer has more behind it: a large body justifies a large buffer.
            room = if came == room { LARGE } else { room };
            if came > 0 && !self.heard {
                self.heard = true;
                self.request_slot.enter(Phase::Responding);
            }
            if came == 0 {
                self.decoder.at_eof()?;
                return end(nginx, writer).await;
            }
            if let Some(complete) = self.take(input, nginx, writer, head).await? {
                return Ok(complete);
            }
            if !self.begun && self.head_began.is_none() && !input.is_empty() {
                self.head_began = Some(tokio::time::Instant::now());
            }
            writer.flush(nginx).await.map_err(RelayError::Nginx)?;
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
        let too_slow = || RelayError::App(ReplyError::HeadTooSlow(self.head_limit));
        let left = self.head_limit.checked_sub(began.elapsed()).ok_or_else(too_slow)?;
        let came = tokio::time::timeout(left, input.fill(app, room)).await;
        came.map_err(|_| too_slow())?.map_err(RelayError::AppRead)
    }

    /// Lets other tasks run after a certain amount of work, so that an app that always has more to read does not block
    /// them.
    async fn take_turns(&mut self, work: usize) {
        self.work += work;
        if self.work >= TURN {
            self.work = 0;
            tokio::task::yield_now().await;
        }
    }

    /// Moves the content of `input` to the writer.
    async fn take(
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
            self.take_turns(1).await;
        }
    }

    /// Relays 103 only: nginx sends 100 itself, and clients have no use for the others.
    fn interim(&mut self, writer: &mut Writer, head: &Head) -> Result<(), ReplyError> {
        self.interims += 1;
        if self.interims > MAX_INTERIMS {
            return Err(ReplyError::TooManyInterims);
        }
        if head.status == 103 { writer.interim(head, self.origin()) } else { Ok(()) }
    }

    fn head(&mut self, mode: Mode, writer: &mut Writer, head: &Head) -> Result<Option<Complete>, RelayError> {
        if self.decoder.is_raw() {
            self.hijacked();
        }
        let complete = match mode {
            Mode::Tunnel => Some(Complete::Tunnel),
            Mode::Framed => self.decoder.is_done().then_some(Complete::Answer),
        };
        let end = complete == Some(Complete::Answer);
        let origin = self.origin();
        writer.head(head, head.body_length(self.to_head_request), end, origin)?;
        self.begun = true;
        self.head_began = None;
        let took = Duration::from_micros(origin.queue_us.saturating_add(origin.app_us));
        self.metrics.answer_time.add(took);
        Ok(complete)
    }

    /// Records that the app has taken over the connection.
    fn hijacked(&self) {
        if let Some(session) = &self.session {
            session.hijacked();
        }
    }

    fn origin(&self) -> Origin {
        Origin { pid: self.pid, queue_us: self.queue_us, app_us: microseconds(self.asked.elapsed()) }
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
        Ok(end.then_some(Complete::Answer))
    }
}

/// Adds the end of a response whose last part did not mark it.
async fn end(nginx: &mut (impl AsyncWrite + Unpin), writer: &mut Writer) -> Result<Complete, RelayError> {
    writer.body(&[], true, nginx).await.map_err(RelayError::Nginx)?;
    Ok(Complete::Answer)
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
            let (request_slot, metrics) = (ActiveRequests::default().open(), Rc::default());
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
    fn a_head_that_drips_without_end_is_too_slow() {
        for speaks_session in [false, true] {
            let head = "HTTP/1.1 200 OK\r\n".to_owned() + &"X-A: 1\r\n".repeat(100);
            let whole = if speaks_session {
                [&[255, 0, 0, 0, 1, 0, 0, 0], &[b'x'; 255][..]].concat()
            } else {
                head.into()
            };
            let pieces = whole.iter().map(|byte| vec![*byte]).collect();
            let error = relayed(speaks_session, pieces).unwrap_err();
            assert!(matches!(error, RelayError::App(ReplyError::HeadTooSlow(_))), "{error}");
        }
    }

    #[test]
    fn an_answer_may_take_its_time_between_two_heads() {
        let mut pieces = vec![b"HTTP/1.1 103 Early Hints\r\n\r\n".to_vec()];
        pieces.resize(100, Vec::new());
        pieces.push(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec());
        assert_eq!(relayed(false, pieces).unwrap(), Complete::Answer);
    }

    #[test]
    fn interim_responses_are_limited() {
        let many = |count| {
            let mut answer = "HTTP/1.1 100 Continue\r\n\r\n".repeat(count);
            answer += "HTTP/1.1 204 No Content\r\n\r\n";
            relayed(false, vec![answer.into()])
        };
        assert_eq!(many(32).unwrap(), Complete::Answer);
        assert!(matches!(many(33), Err(RelayError::App(ReplyError::TooManyInterims))));
    }
}
