//! The exchange between nginx and the daemon for one request: the trait that encodes requests and decodes responses.
//! [`super::upstream`] calls it from nginx's callbacks.

use core::ops::Range;

use super::body::Body;
use super::reply::Reply;
use super::response_body::{BodyRead, ResponseBody};
use crate::ffi::conf::upstream_conf::UpstreamConf;
use crate::ffi::pool::OutOfMemory;
use crate::ffi::request::Request;

/// The exchange between nginx and the daemon for one request.
pub(crate) trait Exchange: Sized + 'static {
    /// The configuration of its location.
    type Location: AsRef<UpstreamConf> + 'static;

    /// Whether the request's body is sent. nginx reads it in any case.
    const SENDS_BODY: bool;

    /// Returns the first bytes of a new connection.
    fn greeting(location: &Self::Location) -> &[u8];

    /// Appends the request's head to `out`.
    ///
    /// # Errors
    ///
    /// A message for the log; the request ends with 500.
    fn write_head(
        &mut self,
        request: Request<'_>,
        location: &Self::Location,
        body: Body,
        out: &mut Vec<u8>,
    ) -> Result<(), String>;

    /// Searches the received bytes for the response's head. `room` is its maximum length.
    fn read_head(
        &mut self,
        request: Request<'_>,
        location: &Self::Location,
        reply: &mut Reply<'_>,
        bytes: &[u8],
        room: usize,
    ) -> HeadRead;

    /// Returns the response to send in place of nginx's error page, when there is no response of the daemon.
    fn without_daemon(&self, _request: Request<'_>) -> Option<OwnResponse> {
        None
    }

    /// Returns status and HTML of the page for a daemon that cannot be connected to; `problem` finds cause and remedy.
    fn unreachable_page(
        _location: &Self::Location,
        _problem: impl FnOnce() -> String,
    ) -> Option<(u16, Vec<u8>)> {
        None
    }

    /// Returns the decoder of the response's body.
    fn body(&mut self) -> &mut ResponseBody;

    /// Decodes received bytes: calls `take` with each range of `bytes` that is body.
    fn read_body(
        &mut self,
        request: Request<'_>,
        _location: &Self::Location,
        bytes: &[u8],
        take: &mut dyn FnMut(Range<usize>) -> Result<(), OutOfMemory>,
    ) -> BodyRead {
        self.body().read(request, bytes, take)
    }
}

/// A short response of the module itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OwnResponse {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) body: &'static str,
}

/// The result of a search for a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeadRead {
    /// It is not complete.
    NeedMore,
    /// It took this many bytes.
    Found(usize),
    /// An interim response took this many bytes; the head follows.
    Interim(usize),
    /// It cannot be used; the reason is in the log. The client gets 502.
    Invalid,
    /// nginx is out of memory. The client gets 500.
    Failed,
}

/// Whether this nginx can send interim responses. It asks for the head again after each.
pub(crate) const SENDS_EARLY_HINTS: bool = cfg!(nginx_has_early_hints);
