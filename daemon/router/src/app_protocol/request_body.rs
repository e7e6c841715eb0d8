//! The request body on its way from nginx's frames to the app, in the framing that the app's protocol wants.
//!
//! It never holds more than one buffer: what the app does not take, nginx keeps.

use std::fmt;
use std::io;
use std::rc::Rc;

use protocol::frame::{FrameError, FrameHeader, FrameType, HEADER_LEN};
use protocol::request::BodyLength;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::body_ahead::ahead;
use super::buffer::{Input, LARGE};
use super::http::write_chunk_head;
use super::upload_rate::Pace;

/// How a body is written to the app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// The bytes as they are.
    Plain,
    /// Chunks of the session protocol.
    SessionChunks,
    /// HTTP's chunked coding.
    HttpChunks,
}

/// Why a body could not be passed on.
#[derive(Debug)]
pub(crate) enum BodyError {
    /// nginx has closed the connection or cancelled the request: the client has gone.
    ClientGone,
    /// nginx's frames make no sense.
    Frame(FrameError),
    /// A frame of this type does not belong into a body.
    Unexpected(FrameType),
    /// The body has another length than its head said.
    WrongLength,
    /// The app does not take it any more.
    App {
        /// What the system says.
        err: io::Error,
        /// Nothing was written before; head and state are as they were, for another attempt.
        first: bool,
    },
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClientGone => f.write_str("the client has gone"),
            Self::Frame(err) => write!(f, "nginx sent a bad frame: {err}"),
            Self::Unexpected(kind) => write!(f, "nginx sent a {kind:?} frame inside a request body"),
            Self::WrongLength => f.write_str("nginx sent a request body of another length than announced"),
            Self::App { err, .. } => write!(f, "the app does not take the request body: {err}"),
        }
    }
}

impl From<FrameError> for BodyError {
    fn from(err: FrameError) -> Self {
        Self::Frame(err)
    }
}

/// How far a body has come.
#[derive(Debug)]
pub(crate) struct Body {
    framing: Framing,
    /// Bytes that the head still promises; `None` when it promised no number.
    promised: Option<u64>,
    state: State,
    /// A part of it, or of the head in front of it, was written.
    sent: bool,
    /// Head and body were written to their last byte.
    delivered: bool,
    /// Measured where a least rate holds.
    pace: Option<Rc<Pace>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    BetweenFrames,
    InFrame { left: u64, last: bool },
    Done,
}

impl Body {
    /// `unsized_framing` is used when the length is not known.
    pub(crate) fn new(length: BodyLength, unsized_framing: Framing) -> Self {
        let (framing, promised, state) = match length {
            BodyLength::None | BodyLength::Known(0) => (Framing::Plain, None, State::Done),
            BodyLength::Known(n) => (Framing::Plain, Some(n), State::BetweenFrames),
            BodyLength::Unknown => (unsized_framing, None, State::BetweenFrames),
        };
        Self { framing, promised, state, sent: false, delivered: false, pace: None }
    }

    /// The same with a least rate, in bytes a second; 0 for none.
    pub(crate) fn with_least_rate(mut self, least: u64) -> Self {
        if !self.is_done() {
            self.pace = Pace::new(least);
        }
        self
    }

    /// The same, of which `pace` was measured before it was encoded for another kind of process.
    pub(crate) fn with_pace(self, pace: Option<Rc<Pace>>) -> Self {
        Self { pace, ..self }
    }

    /// How fast it comes, where a least rate holds.
    pub(crate) fn pace(&self) -> Option<Rc<Pace>> {
        self.pace.clone()
    }

    /// Counts what `input` holds of it, and takes nothing.
    pub(crate) fn look_ahead(&self, input: &Input) {
        let Some(pace) = &self.pace else { return };
        let frame = match self.state {
            State::InFrame { left, last } => Some((left, last)),
            State::BetweenFrames | State::Done => None,
        };
        let (bytes, complete) = ahead(input.unread(), frame);
        pace.note_ahead(bytes);
        if complete {
            pace.complete();
        }
    }

    /// True when any of it, or of the head in front of it, was taken or sent; `out` is what is to be sent, and held
    /// `head_len` bytes of head.
    pub(crate) fn has_begun(&self, out: &[u8], head_len: usize) -> bool {
        self.sent || out.len() != head_len || matches!(self.state, State::InFrame { .. })
    }

    /// True when it was taken from nginx to its end.
    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// True when the app's connection holds all of it. An app may answer before: then the rest was taken from nginx but
    /// never written, and the connection cannot carry another request.
    pub(crate) fn is_delivered(&self) -> bool {
        self.delivered
    }

    /// Sends `out`, which holds the head, and then the whole body to the app.
    ///
    /// After a failure of the first write it may be called again with the same `out` and another app. A head without
    /// a body stays in `out`, so that the request can be repeated.
    pub(crate) async fn send(
        &mut self,
        nginx: &mut (impl AsyncRead + Unpin),
        input: &mut Input,
        app: &mut (impl AsyncWrite + Unpin),
        out: &mut Vec<u8>,
    ) -> Result<(), BodyError> {
        let bodiless = self.is_done() && !self.sent;
        self.note_taken(0);
        loop {
            self.take_frames(input, out)?;
            if !out.is_empty() {
                app.write_all(out).await.map_err(|err| BodyError::App { err, first: !self.sent })?;
                self.sent = !bodiless;
                if bodiless {
                    self.delivered = true;
                    return Ok(());
                }
                out.clear();
            }
            if self.is_done() {
                self.delivered = true;
                return Ok(());
            }
            if input.is_empty() || self.state == State::BetweenFrames {
                let waiting = self.pace.as_deref().map(Pace::wait);
                let came = input.fill(nginx, LARGE).await;
                drop(waiting);
                if came.map_or(true, |came| came == 0) {
                    return Err(BodyError::ClientGone);
                }
            }
        }
    }

    /// Takes the rest of a body that the app did not want; true when it has come, and the connection is in step.
    ///
    /// nginx has either sent it already, or closes the connection now that it has the answer.
    pub(crate) async fn discard(&mut self, nginx: &mut (impl AsyncRead + Unpin), input: &mut Input) -> bool {
        let mut nowhere = Vec::new();
        loop {
            if self.take_frames(input, &mut nowhere).is_err() {
                return false;
            }
            nowhere.clear();
            if self.is_done() {
                return true;
            }
            if input.fill(nginx, LARGE).await.map_or(true, |came| came == 0) {
                return false;
            }
        }
    }

    /// Moves what `input` holds of the body to `out`.
    fn take_frames(&mut self, input: &mut Input, out: &mut Vec<u8>) -> Result<(), BodyError> {
        while !self.is_done() {
            let taken = match self.state {
                State::InFrame { left, last } => self.take_data(input, out, left, last)?,
                _ => self.take_header(input, out)?,
            };
            if !taken {
                break;
            }
        }
        Ok(())
    }

    fn take_header(&mut self, input: &mut Input, out: &mut Vec<u8>) -> Result<bool, BodyError> {
        let Some(header) = FrameHeader::decode(input.unread())? else {
            return Ok(false);
        };
        match header.kind {
            FrameType::RequestBody => {}
            FrameType::Cancel => return Err(BodyError::ClientGone),
            other => return Err(BodyError::Unexpected(other)),
        }
        input.consume(HEADER_LEN);
        let left = u64::from(header.len);
        if let Some(promised) = &mut self.promised {
            *promised = promised.checked_sub(left).ok_or(BodyError::WrongLength)?;
        }
        self.state = State::InFrame { left, last: header.is_end() };
        if left == 0 {
            self.leave_frame(header.is_end(), out)?;
        }
        Ok(true)
    }

    fn take_data(
        &mut self,
        input: &mut Input,
        out: &mut Vec<u8>,
        left: u64,
        last: bool,
    ) -> Result<bool, BodyError> {
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(input.unread().len());
        if len == 0 {
            return Ok(false);
        }
        self.write_data(&input.unread()[..len], out);
        input.consume(len);
        self.note_taken(len as u64);
        self.state = State::InFrame { left: left - len as u64, last };
        if left == len as u64 {
            self.leave_frame(last, out)?;
        }
        Ok(true)
    }

    /// So much was taken, and is not ahead any more.
    fn note_taken(&self, len: u64) {
        if let Some(pace) = &self.pace {
            pace.note_ahead(0);
            pace.take(len);
        }
    }

    fn write_data(&self, data: &[u8], out: &mut Vec<u8>) {
        match self.framing {
            Framing::Plain => out.extend_from_slice(data),
            Framing::SessionChunks => {
                out.extend_from_slice(&(data.len() as u32).to_le_bytes());
                out.extend_from_slice(data);
            }
            Framing::HttpChunks => {
                write_chunk_head(data.len(), out);
                out.extend_from_slice(data);
                out.extend_from_slice(b"\r\n");
            }
        }
    }

    fn leave_frame(&mut self, last: bool, out: &mut Vec<u8>) -> Result<(), BodyError> {
        if !last {
            self.state = State::BetweenFrames;
            return Ok(());
        }
        if self.promised.is_some_and(|left| left > 0) {
            return Err(BodyError::WrongLength);
        }
        match self.framing {
            Framing::Plain => {}
            Framing::SessionChunks => out.extend_from_slice(&0u32.to_le_bytes()),
            Framing::HttpChunks => out.extend_from_slice(b"0\r\n\r\n"),
        }
        self.state = State::Done;
        if let Some(pace) = &self.pace {
            pace.complete();
        }
        Ok(())
    }
}
