//! A connection from nginx as every stage of a request uses it: the stream, what was read of it, what goes out by it, and
//! the buffers towards the app. What comes by it is read in [`super::connection`].

pub(crate) mod descriptors;
pub(crate) mod roster;
pub(crate) mod tunnel_share;

use std::rc::Rc;

use super::app_protocol::buffer::Input;
use super::app_protocol::response_head::Head;
use super::apps::OpenConfiguration;
use super::metrics::active_requests::RequestSlot;
use super::response::{Backlog, Writer};
use crate::sys::stream::Stream;
use roster::RosterReceiver;

/// A connection from nginx with its buffers. Buffers live as long as the connection.
pub(crate) struct NginxConn<'s> {
    pub(crate) stream: &'s Stream,
    pub(crate) input: Input,
    /// Which apps it says that it has.
    pub(super) roster: RosterReceiver,
    /// The configuration that it follows; `None` until it says so.
    pub(super) configuration: Option<OpenConfiguration>,
    /// It has carried a request.
    pub(super) served: bool,
    pub(super) goodbye: GoodbyeState,
    pub(crate) frames: Writer,
    /// What the client has not taken yet of an answer.
    pub(crate) backlog: Backlog,
    /// Bytes for the app.
    pub(crate) to_app: Vec<u8>,
    /// Bytes from the app.
    pub(crate) from_app: Input,
    pub(crate) head: Head,
    /// Method and URI of the request, for the log.
    pub(crate) line: Vec<u8>,
    /// The request as nginx sent it, without its body.
    pub(crate) request: Vec<u8>,
    /// Where its request lies for administrators to see.
    pub(crate) request_slot: Rc<RequestSlot>,
}

impl<'s> NginxConn<'s> {
    /// A connection that has said nothing yet.
    pub(super) fn new(stream: &'s Stream, roster: RosterReceiver, request_slot: Rc<RequestSlot>) -> Self {
        Self {
            stream,
            input: Input::default(),
            roster,
            configuration: None,
            served: false,
            goodbye: GoodbyeState::NoHello,
            frames: Writer::default(),
            backlog: Backlog::default(),
            to_app: Vec::new(),
            from_app: Input::default(),
            head: Head::default(),
            line: Vec::new(),
            request: Vec::new(),
            request_slot,
        }
    }
}

impl NginxConn<'_> {
    /// When nginx read the configuration it follows, in milliseconds since 1970; 0 until it says so.
    pub(crate) fn configured_ms(&self) -> u64 {
        self.configuration.as_ref().map_or(0, |configuration| configuration.configured_ms)
    }
}

/// How a connection that waits for a request can be given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GoodbyeState {
    /// It has said nothing yet. nginx connects when it has something to say.
    NoHello,
    /// It is closed: the module is from before the goodbye. What nginx writes in that moment is lost.
    Unsupported,
    /// By a goodbye; then nginx closes it.
    Supported,
    /// The goodbye was said.
    Sent,
}

/// What the connection is good for after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeepAlive {
    /// The next request.
    Keep,
    /// Nothing: its state is not known, or it was used up.
    Close,
}
