//! One answer from app to nginx: read, decode, frame, write, until it is complete.
//!
//! What one read brings is written before the next read, so a slow client slows the app and costs one buffer.

use std::fmt;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite};

use super::super::app::http;
use super::super::app::reply::{Event, Head, Mode, ReplyError};
use super::super::app::session;
use super::super::dispatch::Session;
use super::super::figures::Figures;
use super::super::input::{Input, LARGE, SMALL};
use super::super::under_way::{Desk, Phase};
use super::{Origin, Writer};

/// Decodes either protocol; a hijacked session goes on as HTTP.
#[derive(Debug)]
pub(crate) enum Decoder {
    Session(session::Decoder),
    Http(http::Decoder),
}

/// Why an answer ended early.
#[derive(Debug)]
pub(crate) enum RelayError {
    /// The app's fault.
    App(ReplyError),
    /// Reading from the app failed.
    AppRead(io::Error),
    /// nginx does not take it: the client has gone.
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

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Complete {
    /// It is complete.
    Answer,
    /// Its head switched protocols: the connection is a tunnel from here on.
    Tunnel,
}

/// An answer on its way.
#[derive(Debug)]
pub(crate) struct Relay {
    pub(crate) decoder: Decoder,
    /// Anything of a final answer was given to nginx.
    pub(crate) begun: bool,
    /// The app has sent anything at all.
    pub(crate) heard: bool,
    to_head_request: bool,
    upgrade: bool,
    pid: u32,
    /// Microseconds that the request waited for the process.
    queue_us: u64,
    /// When the process was asked.
    asked: Instant,
    /// Where the request lies that is answered.
    desk: Rc<Desk>,
    /// What is counted for its app.
    figures: Rc<Figures>,
    /// The session of the process that answers.
    pub(crate) session: Option<Rc<Session>>,
}

impl Decoder {
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

    /// The app writes the body itself, on a connection that its loader has left to it.
    fn is_raw(&self) -> bool {
        matches!(self, Self::Session(decoder) if decoder.is_raw())
    }

    /// The app took the connection: what follows is an HTTP answer, which no other request may come after.
    pub(crate) fn follow_hijack(&mut self, to_head_request: bool) -> bool {
        let hijacked = matches!(self, Self::Session(decoder) if decoder.is_hijacked());
        if hijacked {
            *self = Self::Http(http::Decoder::after_hijack(to_head_request));
        }
        hijacked
    }
}

impl Relay {
    pub(crate) fn new(
        speaks_session: bool,
        to_head_request: bool,
        upgrade: bool,
        pid: u32,
        waited: Duration,
        desk: Rc<Desk>,
        figures: Rc<Figures>,
    ) -> Self {
        let decoder = if speaks_session {
            Decoder::Session(session::Decoder::new(to_head_request))
        } else {
            Decoder::Http(http::Decoder::new(to_head_request, upgrade))
        };
        let queue_us = microseconds(waited);
        let asked = Instant::now();
        Self {
            decoder,
            begun: false,
            heard: false,
            to_head_request,
            upgrade,
            pid,
            queue_us,
            asked,
            desk,
            figures,
            session: None,
        }
    }

    /// Passes the answer on until it is complete. Its last part is in the writer then, not yet written: by that time
    /// the app can be given to another request.
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
            let came = input.fill(app, room).await.map_err(RelayError::AppRead)?;
            // A read that fills its room has more behind it: a large body is worth a large buffer.
            room = if came == room { LARGE } else { room };
            if came > 0 && !self.heard {
                self.heard = true;
                self.desk.enter(Phase::Responding);
            }
            let complete = if came == 0 {
                self.decoder.at_eof()?;
                self.end_by_eof(nginx, writer).await?
            } else {
                self.take(input, nginx, writer, head).await?
            };
            if let Some(complete) = complete {
                return Ok(complete);
            }
            writer.flush(nginx).await.map_err(RelayError::Nginx)?;
        }
    }

    /// Moves everything that `input` holds to the writer.
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
                Event::More if self.decoder.follow_hijack(self.to_head_request) => {
                    self.hijacked();
                    None
                }
                Event::More => {
                    input.consume(used);
                    return Ok(None);
                }
                Event::Interim => {
                    self.interim(writer, head)?;
                    None
                }
                Event::Head(mode) => self.head(mode, writer, head)?,
                Event::Data(data) => self.data(data, nginx, writer).await?,
                Event::End => {
                    writer.body(&[], true, nginx).await.map_err(RelayError::Nginx)?;
                    Some(Complete::Answer)
                }
            };
            input.consume(used);
            if complete.is_some() {
                return Ok(complete);
            }
        }
    }

    /// Only 103 means anything to a client here: 100 was answered by nginx, the others have no use.
    fn interim(&self, writer: &mut Writer, head: &Head) -> Result<(), ReplyError> {
        if head.status == 103 { writer.interim(head, self.origin()) } else { Ok(()) }
    }

    fn head(&mut self, mode: Mode, writer: &mut Writer, head: &Head) -> Result<Option<Complete>, RelayError> {
        if mode == Mode::Tunnel && !self.upgrade {
            let why = "it switches protocols although nobody asked for it";
            return Err(ReplyError::BadHead(why.into()).into());
        }
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
        let took = Duration::from_micros(origin.queue_us.saturating_add(origin.app_us));
        self.figures.answer_time.add(took);
        Ok(complete)
    }

    /// The app has taken the connection.
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

    async fn end_by_eof(
        &mut self,
        nginx: &mut (impl AsyncWrite + Unpin),
        writer: &mut Writer,
    ) -> Result<Option<Complete>, RelayError> {
        writer.body(&[], true, nginx).await.map_err(RelayError::Nginx)?;
        Ok(Some(Complete::Answer))
    }
}

fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
