//! What goes on between nginx and the daemon for one request, as whoever encodes and decodes it implements it. nginx's
//! calls become calls of it in [`super::upstream`].

use core::ops::Range;

use super::body::Body;
use super::pool::OutOfMemory;
use super::reply::Reply;
use super::request::Request;
use super::upstream_conf::UpstreamConf;

/// What goes on between nginx and the daemon for one request.
pub(crate) trait Exchange: Sized + 'static {
    /// The configuration of its location.
    type Location: AsRef<UpstreamConf> + 'static;

    /// Whether the request's body goes along. nginx reads it in any case.
    const SENDS_BODY: bool;

    /// What is said first on a fresh connection.
    fn greeting(location: &Self::Location) -> &[u8];

    /// Appends the request's head to `out`.
    ///
    /// # Errors
    ///
    /// A sentence for the log; the request ends with 500.
    fn write_head(
        &mut self,
        request: Request<'_>,
        location: &Self::Location,
        body: Body,
        out: &mut Vec<u8>,
    ) -> Result<(), String>;

    /// Another attempt is made: nothing has been received.
    fn start_again(&mut self);

    /// Looks for the response's head in what was received. `room` is how long it may be.
    fn read_head(
        &mut self,
        request: Request<'_>,
        location: &Self::Location,
        reply: &mut Reply<'_>,
        bytes: &[u8],
        room: usize,
    ) -> HeadRead;

    /// Takes body out of what was received: calls `take` with each range of `bytes` that is body.
    fn read_body(
        &mut self,
        request: Request<'_>,
        location: &Self::Location,
        bytes: &[u8],
        take: &mut dyn FnMut(Range<usize>) -> Result<(), OutOfMemory>,
    ) -> BodyRead;

    /// Bytes that must still come before the body can go on; 0 when it is complete.
    fn needs(&self) -> usize;

    /// Bytes of body that are known to be still to come.
    fn expects(&self) -> u64;

    /// The exchange is over.
    fn over(&mut self, request: Request<'_>, location: &Self::Location, ending: Ending<'_>);
}

/// What came of looking for a head.
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

/// What came of looking for body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyRead {
    /// All bytes are used.
    NeedMore,
    /// The body is complete. `clean`: nothing follows it, so the connection can be used again.
    Complete {
        /// Nothing follows.
        clean: bool,
    },
    /// It cannot be completed; the reason is in the log. The client gets what there is, and sees that it is cut.
    Broken,
    /// nginx is out of memory.
    Failed,
}

/// How an exchange ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ending<'r> {
    /// The daemon could not be connected to, and the client gets 502.
    pub unreachable: bool,
    /// The address that was tried, as nginx writes it.
    pub peer: &'r [u8],
}

/// Whether this nginx can send interim responses. It asks for the head again after each.
pub(crate) const SENDS_EARLY_HINTS: bool = cfg!(nginx_has_early_hints);
