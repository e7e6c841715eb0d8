//! Both directions of a request in HTTP/2.

use std::future::poll_fn;
use std::io;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use tokio::time::timeout;

use crate::listen::stream::WRITE_TIMEOUT;
use crate::request::Refused;
use crate::request::encode::SERVER_SOFTWARE;
use crate::serve::response::{BodyError, RequestBody, Responder, ResponseBody, ResponseHead};

/// Time between two parts of a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// The body of a request. The client may send more when a part has been passed on.
pub(super) struct H2Body {
    stream: RecvStream,
    /// Bytes of the part that was returned last.
    taken: usize,
}

impl H2Body {
    pub(super) fn new(stream: RecvStream) -> Self {
        Self { stream, taken: 0 }
    }
}

impl RequestBody for H2Body {
    async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        let taken = std::mem::take(&mut self.taken);
        if taken > 0 {
            self.stream.flow_control().release_capacity(taken).map_err(other)?;
        }
        match timeout(BODY_TIMEOUT, self.stream.data()).await {
            Ok(None) => Ok(None),
            Ok(Some(part)) => {
                let part = part.map_err(other)?;
                self.taken = part.len();
                Ok(Some(part))
            }
            Err(_) => Err(BodyError::Refused(Refused::status(408, "the body did not arrive in time"))),
        }
    }

    async fn closed(&mut self) {
        // The responder notices it.
        std::future::pending().await
    }
}

fn other(err: h2::Error) -> io::Error {
    io::Error::other(err)
}

/// Where a response is.
enum State {
    NotBegun(SendResponse<Bytes>),
    Body(SendStream<Bytes>),
    Ended,
}

/// Sends one response.
pub(super) struct H2Responder {
    state: State,
    expects_continue: bool,
    /// Bytes of the body that the head announces and that were not sent.
    left: Option<u64>,
}

impl H2Responder {
    pub(super) fn new(respond: SendResponse<Bytes>, expects_continue: bool) -> Self {
        Self { state: State::NotBegun(respond), expects_continue, left: None }
    }

    /// Breaks the response off, so that the client notices.
    pub(super) fn reset(&mut self) {
        match &mut self.state {
            State::NotBegun(respond) => respond.send_reset(Reason::INTERNAL_ERROR),
            State::Body(stream) => stream.send_reset(Reason::INTERNAL_ERROR),
            State::Ended => {}
        }
    }
}

fn response(head: ResponseHead) -> io::Result<Response<()>> {
    let invalid = |_| io::Error::from(io::ErrorKind::InvalidData);
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(head.status).map_err(|_| io::ErrorKind::InvalidData)?;
    for (name, value) in head.headers {
        let value =
            HeaderValue::from_maybe_shared(Bytes::from(value)).map_err(|_| io::ErrorKind::InvalidData)?;
        let name = HeaderName::from_bytes(&name).map_err(invalid)?;
        if name.as_str() != "proxy-connection" {
            response.headers_mut().append(name, value);
        }
    }
    Ok(response)
}

impl Responder for H2Responder {
    async fn send_continue(&mut self) -> io::Result<()> {
        if let (State::NotBegun(respond), true) =
            (&mut self.state, std::mem::take(&mut self.expects_continue))
        {
            let mut response = Response::new(());
            *response.status_mut() = StatusCode::CONTINUE;
            respond.send_informational(response).map_err(other)?;
        }
        Ok(())
    }

    async fn interim(&mut self, head: ResponseHead) -> io::Result<()> {
        if let State::NotBegun(respond) = &mut self.state {
            respond.send_informational(response(head)?).map_err(other)?;
        }
        Ok(())
    }

    async fn head(&mut self, mut head: ResponseHead, body: ResponseBody) -> io::Result<()> {
        let State::NotBegun(respond) = &mut self.state else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        if let ResponseBody::Known(len) = body {
            head.headers.push((b"content-length".to_vec(), len.to_string().into_bytes()));
            self.left = Some(len);
        }
        let mut response = response(head)?;
        let headers = response.headers_mut();
        headers.entry("server").or_insert(HeaderValue::from_static(SERVER_SOFTWARE));
        if let Ok(date) = HeaderValue::from_str(&httpdate::fmt_http_date(SystemTime::now())) {
            headers.entry("date").or_insert(date);
        }
        let ends = matches!(body, ResponseBody::None | ResponseBody::Known(0));
        let stream = respond.send_response(response, ends).map_err(other)?;
        self.state = if ends { State::Ended } else { State::Body(stream) };
        Ok(())
    }

    async fn data(&mut self, mut bytes: Bytes) -> io::Result<()> {
        let State::Body(stream) = &mut self.state else { return Ok(()) };
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(bytes.len() as u64).ok_or(io::ErrorKind::InvalidData)?;
        }
        while !bytes.is_empty() {
            stream.reserve_capacity(bytes.len());
            let mut capacity = stream.capacity();
            if capacity == 0 {
                let granted = timeout(WRITE_TIMEOUT, poll_fn(|cx| stream.poll_capacity(cx))).await;
                let granted = granted.map_err(|_| io::ErrorKind::TimedOut)?;
                capacity = granted.ok_or(io::ErrorKind::ConnectionReset)?.map_err(other)?;
            }
            let part = bytes.split_to(capacity.min(bytes.len()));
            stream.send_data(part, false).map_err(other)?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    async fn end(&mut self) -> io::Result<()> {
        if self.left.is_some_and(|left| left > 0) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let State::Body(stream) = &mut self.state {
            stream.send_data(Bytes::new(), true).map_err(other)?;
            self.state = State::Ended;
        }
        Ok(())
    }

    async fn given_up(&mut self) {
        match &mut self.state {
            State::NotBegun(respond) => {
                let _reset = poll_fn(|cx| respond.poll_reset(cx)).await;
            }
            State::Body(stream) => {
                let _reset = poll_fn(|cx| stream.poll_reset(cx)).await;
            }
            State::Ended => std::future::pending().await,
        }
    }

    fn has_begun(&self) -> bool {
        !matches!(self.state, State::NotBegun(_))
    }

    fn close_after(&mut self) {}
}
