//! The request body on its way from nginx's frames to the app, in the framing of the app's protocol.
//!
//! At most one buffer is held: what the app does not accept stays in nginx.

use std::io;
use std::rc::Rc;

use protocol::frame::{FrameError, FrameHeader, FrameType, HEADER_LEN};
use protocol::request::BodyLength;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::buffer::{Input, LARGE};
use super::http::write_chunk_head;
use super::upload_rate::UploadRate;
use crate::fair_share::FairShare;

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
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// nginx has closed the connection or cancelled the request.
    #[error("the client closed the connection")]
    ClientGone,
    #[error("invalid frame from nginx: {0}")]
    Frame(#[from] FrameError),
    #[error("unexpected {0:?} frame from nginx in a request body")]
    Unexpected(FrameType),
    #[error("the request body from nginx differs from the announced length")]
    WrongLength,
    #[error("cannot write the request body to the app: {err}")]
    App {
        /// The system's error.
        err: io::Error,
        /// Nothing was written before; head and state are unchanged, for another attempt.
        first: bool,
    },
}

/// The progress of a body.
#[derive(Debug)]
pub(crate) struct Body {
    framing: Framing,
    /// Remaining bytes according to the head; `None` if the length is unknown.
    remaining: Option<u64>,
    state: State,
    /// Whether a part of it, or of the head before it, was written.
    sent: bool,
    /// Whether head and body were written completely.
    delivered: bool,
    /// Measured if a minimum rate applies.
    rate: Option<Rc<UploadRate>>,
    /// What it may do before other tasks run.
    share: FairShare,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    BetweenFrames,
    InFrame { left: u64, last: bool },
    Done,
}

impl Body {
    /// Creates a body; `unsized_framing` is used if the length is unknown.
    pub(crate) fn new(length: BodyLength, unsized_framing: Framing) -> Self {
        let (framing, remaining, state) = match length {
            BodyLength::None | BodyLength::Known(0) => (Framing::Plain, None, State::Done),
            BodyLength::Known(n) => (Framing::Plain, Some(n), State::BetweenFrames),
            BodyLength::Unknown => (unsized_framing, None, State::BetweenFrames),
        };
        Self {
            framing,
            remaining,
            state,
            sent: false,
            delivered: false,
            rate: None,
            share: FairShare::default(),
        }
    }

    /// Sets a minimum rate in bytes per second; 0 for none.
    pub(crate) fn with_min_rate(mut self, min_rate: u64) -> Self {
        if !self.is_done() {
            self.rate = UploadRate::new(min_rate);
        }
        self
    }

    /// Sets measurements that were taken before the body was encoded for another kind of process.
    pub(crate) fn with_rate(self, rate: Option<Rc<UploadRate>>) -> Self {
        Self { rate, ..self }
    }

    /// Returns the measurements of its rate, if a minimum rate applies.
    pub(crate) fn rate(&self) -> Option<Rc<UploadRate>> {
        self.rate.clone()
    }

    /// Measures how much of it `input` contains, and takes nothing.
    pub(crate) fn measure_ahead(&self, input: &Input) {
        let Some(rate) = &self.rate else { return };
        let frame = match self.state {
            State::InFrame { left, last } => Some((left, last)),
            State::BetweenFrames | State::Done => None,
        };
        let (bytes, complete) = ahead(input.unread(), frame);
        rate.set_ahead(bytes);
        if complete {
            rate.complete();
        }
    }

    /// Whether any of it, or of the head before it, was taken or sent; `out` is what is to be sent, and contained
    /// `head_len` bytes of head.
    pub(crate) fn has_begun(&self, out: &[u8], head_len: usize) -> bool {
        self.sent || out.len() != head_len || matches!(self.state, State::InFrame { .. })
    }

    /// Whether it was taken from nginx completely.
    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Whether all of it was written to the app's connection. An app may respond before: then the rest was taken from
    /// nginx but never written, and the connection cannot carry another request.
    pub(crate) fn is_delivered(&self) -> bool {
        self.delivered
    }

    /// Sends `out`, which contains the head, and then the whole body to the app.
    ///
    /// After a failure of the first write, it may be called again with the same `out` and another app. A head without a
    /// body stays in `out`, so that the request can be repeated.
    pub(crate) async fn send(
        &mut self,
        nginx: &mut (impl AsyncRead + Unpin),
        input: &mut Input,
        app: &mut (impl AsyncWrite + Unpin),
        out: &mut Vec<u8>,
    ) -> Result<(), BodyError> {
        let bodiless = self.is_done() && !self.sent;
        self.count_taken(0);
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
                let waiting = self.rate.as_deref().map(UploadRate::wait);
                let received = input.fill(nginx, self.share.limit_read(LARGE)).await.unwrap_or(0);
                drop(waiting);
                if received == 0 {
                    return Err(BodyError::ClientGone);
                }
                self.share.spend(received / 1024 + 1).await;
                self.share.pace(received).await;
            }
        }
    }

    /// Takes the rest of a body that the app did not use; true if it was complete, so that the connection is usable.
    ///
    /// nginx has either sent it already, or closes the connection now that it has the response.
    pub(crate) async fn discard(&mut self, nginx: &mut (impl AsyncRead + Unpin), input: &mut Input) -> bool {
        let mut discarded = Vec::new();
        loop {
            if self.take_frames(input, &mut discarded).is_err() {
                return false;
            }
            discarded.clear();
            if self.is_done() {
                return true;
            }
            let received = input.fill(nginx, self.share.limit_read(LARGE)).await.unwrap_or(0);
            if received == 0 {
                return false;
            }
            self.share.spend(received / 1024 + 1).await;
        }
    }

    /// Moves the part of the body in `input` to `out`.
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
        if let Some(remaining) = &mut self.remaining {
            *remaining = remaining.checked_sub(left).ok_or(BodyError::WrongLength)?;
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
        self.count_taken(len as u64);
        self.state = State::InFrame { left: left - len as u64, last };
        if left == len as u64 {
            self.leave_frame(last, out)?;
        }
        Ok(true)
    }

    /// Records bytes that were taken, after which none are ahead.
    fn count_taken(&self, len: u64) {
        if let Some(rate) = &self.rate {
            rate.set_ahead(0);
            rate.take(len);
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
        if self.remaining.is_some_and(|left| left > 0) {
            return Err(BodyError::WrongLength);
        }
        match self.framing {
            Framing::Plain => {}
            Framing::SessionChunks => out.extend_from_slice(&0u32.to_le_bytes()),
            Framing::HttpChunks => out.extend_from_slice(b"0\r\n\r\n"),
        }
        self.state = State::Done;
        if let Some(rate) = &self.rate {
            rate.complete();
        }
        Ok(())
    }
}

/// Returns the number of body bytes in what nginx has sent, and whether they are the last. `frame` is what is left of
/// the frame that `unread` begins in, and whether that is the last one.
pub(super) fn ahead(unread: &[u8], frame: Option<(u64, bool)>) -> (u64, bool) {
    let (mut bytes, mut rest, mut frame) = (0, unread, frame);
    loop {
        let (left, last) = match (frame.take(), FrameHeader::decode(rest)) {
            (Some(frame), _) => frame,
            (None, Ok(Some(header))) if header.kind == FrameType::RequestBody => {
                rest = &rest[HEADER_LEN..];
                (u64::from(header.len), header.is_end())
            }
            _ => return (bytes, false),
        };
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
        bytes += len as u64;
        rest = &rest[len..];
        if (len as u64) < left || last {
            return (bytes, len as u64 == left);
        }
    }
}
