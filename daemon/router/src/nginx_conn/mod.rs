//! State of a connection from nginx, shared by all stages of a request: the stream, its input and output, and the
//! buffers for the app. [`crate::nginx::connection`] reads the frames.

pub(crate) mod descriptors;
pub(crate) mod roster;
pub(crate) mod tunnel_share;

use std::sync::Arc;

use super::app_protocol::buffer::{Input, SMALL};
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
    /// The apps that this nginx reports as configured.
    pub(super) roster: RosterReceiver,
    /// The configuration that this worker follows; `None` until it is received.
    pub(super) configuration: Option<OpenConfiguration>,
    /// Whether it has carried a request.
    pub(super) served: bool,
    pub(super) goodbye: GoodbyeState,
    pub(crate) frames: Writer,
    /// The part of a response that the client has not taken yet.
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
    /// The slot of its request in the list for administrators.
    pub(crate) request_slot: Arc<RequestSlot>,
}

impl<'s> NginxConn<'s> {
    /// Creates the state of a connection on which nothing was received yet.
    pub(super) fn new(stream: &'s Stream, roster: RosterReceiver, request_slot: Arc<RequestSlot>) -> Self {
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

    /// When nginx read the configuration that this worker follows, in milliseconds since 1970; 0 until it is received.
    pub(crate) fn configured_ms(&self) -> u64 {
        self.configuration.as_ref().map_or(0, |configuration| configuration.configured_ms)
    }

    /// Frees the memory of a large request or response.
    pub(super) fn shrink_buffers(&mut self) {
        self.input.shrink();
        self.from_app.shrink();
        for buffer in [&mut self.to_app, &mut self.request] {
            if buffer.capacity() > SMALL {
                *buffer = Vec::new();
            }
        }
    }
}

/// How a connection that waits for a request can be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GoodbyeState {
    /// Nothing was received yet. nginx connects when it has something to send.
    NoHello,
    /// By closing it: the module predates the goodbye. What nginx writes at that moment is lost.
    Unsupported,
    /// By a goodbye, after which nginx closes it.
    Supported,
    /// The goodbye was sent.
    Sent,
}

/// Whether the connection can be used after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeepAlive {
    /// It can carry the next request.
    Keep,
    /// It cannot: its state is not known, or it was used up.
    Close,
}
