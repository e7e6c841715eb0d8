//! The first worker's own connection to each daemon: it says what the configuration says to the daemon as a whole before
//! any visitor comes, stays open, and is opened anew when the daemon was.

use std::rc::Rc;

use module_core::pre_start::Url;
use module_core::response_head::{HeadError, find_welcome};

use crate::ffi::log::{self, Level};
use crate::ffi::outgoing::{self, Conversation, How, Listen, Over};
use crate::ffi::peer::{self, Peer};
use crate::ffi::timer;
use crate::ffi::upstream_block::UpstreamRef;
use crate::pre_start::Visits;
use crate::unreachable;

/// What the first worker of a configuration does.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// What is said first on each connection.
    greeting: Vec<u8>,
    /// Where requests go.
    upstreams: Vec<UpstreamRef>,
    /// What is visited when a daemon is there.
    pre_starts: Vec<Rc<Url>>,
}

impl Plan {
    /// Requests go there.
    pub(crate) fn add_upstream(&mut self, upstream: UpstreamRef, greeting: &[u8]) {
        // All levels say the same to the daemon, as only `http` can.
        self.greeting = greeting.to_vec();
        if !self.upstreams.contains(&upstream) {
            self.upstreams.push(upstream);
        }
    }

    /// This is visited when a daemon is there.
    pub(crate) fn add_pre_start(&mut self, url: Url) {
        self.pre_starts.push(Rc::new(url));
    }

    fn peers(&self) -> Vec<Peer> {
        let mut peers: Vec<Peer> = Vec::new();
        for peer in self.upstreams.iter().flat_map(|upstream| peer::of_upstream(*upstream)) {
            if !peers.contains(&peer) {
                peers.push(peer);
            }
        }
        peers
    }
}

/// Pauses between two attempts, in milliseconds.
const FIRST_PAUSE: usize = 1000;
const LONGEST_PAUSE: usize = 30_000;

/// One daemon, as seen from here.
struct Herald {
    peer: Rc<Peer>,
    greeting: Rc<[u8]>,
    pre_starts: Rc<[Rc<Url>]>,
    visits: Visits,
    pause: usize,
    /// What was complained about; the same again is not worth a line.
    complaint: String,
    /// What the daemon has said and was not understood yet.
    heard: Vec<u8>,
    was_welcome: bool,
}

/// Sets out when the worker has begun to work.
pub(crate) fn begin(plan: &Plan) {
    let greeting: Rc<[u8]> = plan.greeting.as_slice().into();
    let pre_starts: Rc<[Rc<Url>]> = plan.pre_starts.as_slice().into();
    let visits = Visits::default();
    for peer in plan.peers() {
        let herald = Box::new(Herald {
            peer: Rc::new(peer),
            greeting: Rc::clone(&greeting),
            pre_starts: Rc::clone(&pre_starts),
            visits: visits.clone(),
            pause: FIRST_PAUSE,
            complaint: String::new(),
            heard: Vec::new(),
            was_welcome: false,
        });
        timer::after(1, move || herald.set_out());
    }
}

impl Herald {
    fn set_out(mut self: Box<Self>) {
        self.heard.clear();
        self.was_welcome = false;
        let peer = Rc::clone(&self.peer);
        outgoing::open(&peer, How::default(), self);
    }

    fn complain(&mut self, level: Level, complaint: String) {
        if self.complaint != complaint {
            log::of_process().write(level, format_args!("{complaint}"));
            self.complaint = complaint;
        }
    }

    fn is_welcome(&mut self) {
        self.was_welcome = true;
        self.pause = FIRST_PAUSE;
        self.complaint.clear();
        self.visits.begin(&self.pre_starts);
    }

    fn understand(&mut self) -> Result<(), HeadError> {
        while let Some(used) = find_welcome(&self.heard)? {
            if self.was_welcome {
                return Err(HeadError::Unexpected(protocol::frame::FrameType::Welcome));
            }
            self.heard.drain(..used);
            self.is_welcome();
        }
        Ok(())
    }
}

impl Conversation for Herald {
    fn opening(&mut self) -> Vec<u8> {
        self.greeting.to_vec()
    }

    fn hear(&mut self, bytes: &[u8]) -> Listen {
        self.heard.extend_from_slice(bytes);
        match self.understand() {
            Ok(()) => Listen::On,
            Err(err) => {
                self.complain(Level::Error, err.to_string());
                Listen::Enough
            }
        }
    }

    fn over(mut self: Box<Self>, why: Over) {
        if let Over::Unreachable(_) = why {
            let (name, advice) = (self.peer.name().escape_ascii(), unreachable::advice(self.peer.name()));
            let complaint = format!(
                "flying-passenger cannot be told nginx's configuration yet: passenger_fly_with leads to {name}, {advice}"
            );
            self.complain(Level::Warn, complaint);
        }
        let pause = self.pause;
        self.pause = (pause * 2).min(LONGEST_PAUSE);
        timer::after(pause, move || self.set_out());
    }
}
