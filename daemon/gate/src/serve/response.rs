//! Both halves of a request's connection to its client, for every version of HTTP.

use std::future::Future;
use std::io;

use bytes::Bytes;

use crate::request::Refused;

/// The head of a response.
#[derive(Debug, Clone, Default)]
pub(crate) struct ResponseHead {
    pub(crate) status: u16,
    /// The reason phrase; empty for the standard one.
    pub(crate) reason: Vec<u8>,
    pub(crate) headers: Vec<(Vec<u8>, Vec<u8>)>,
}

/// The body of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ResponseBody {
    /// There is none, and the headers contain what is to be said about its length.
    None,
    Known(u64),
    Unknown,
}

/// Why a request's body ended early.
#[derive(Debug)]
pub(crate) enum BodyError {
    /// The client has left.
    Gone(io::Error),
    /// The client violates the protocol, or is too slow.
    Refused(Refused),
}

impl From<io::Error> for BodyError {
    fn from(err: io::Error) -> Self {
        Self::Gone(err)
    }
}

/// The body of a request. Both methods can be cancelled.
pub(crate) trait RequestBody: Send {
    /// Returns the next part; `None` at the end.
    fn next(&mut self) -> impl Future<Output = Result<Option<Bytes>, BodyError>> + Send;

    /// Waits until the client leaves, after the end of the body.
    fn closed(&mut self) -> impl Future<Output = ()> + Send;
}

/// Where a response is sent. Nothing is sent before [`flush`](Responder::flush), unless a buffer is full.
pub(crate) trait Responder: Send {
    /// Has the client send the body that it announced.
    fn send_continue(&mut self) -> impl Future<Output = io::Result<()>> + Send;

    /// Sends an interim response, if the client can receive it.
    fn interim(&mut self, head: ResponseHead) -> impl Future<Output = io::Result<()>> + Send;

    /// Begins the response.
    fn head(&mut self, head: ResponseHead, body: ResponseBody)
    -> impl Future<Output = io::Result<()>> + Send;

    /// Adds a part of its body.
    fn data(&mut self, bytes: Bytes) -> impl Future<Output = io::Result<()>> + Send;

    /// Sends what was added.
    fn flush(&mut self) -> impl Future<Output = io::Result<()>> + Send;

    /// Completes the response.
    fn end(&mut self) -> impl Future<Output = io::Result<()>> + Send;

    /// Waits until the client gives the response up, where that is noticed here and not with the body of the request.
    fn given_up(&mut self) -> impl Future<Output = ()> + Send;

    /// Whether a head was added.
    fn has_begun(&self) -> bool;

    /// Closes the connection after this response, where it has not begun.
    fn close_after(&mut self);
}
