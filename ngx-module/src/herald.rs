//! The roster connection: the first worker's own connection to each daemon. It sends the daemon-wide settings and the
//! apps of the configuration before any request, stays open, and is opened again when the daemon restarts.

use std::rc::Rc;

use module_core::announced::{self, Announced, Announcer};
use module_core::pre_start::Url;
use module_core::response_head::{Greeting, HeadError, find_greeting};

use crate::ffi::log::{self, Level};
use crate::ffi::outgoing::{self, Conversation, How, Listen, Over};
use crate::ffi::peer::{self, Peer};
use crate::ffi::plan::Plan;
use crate::ffi::process::FirstWork;
use crate::ffi::release::SERVER_SOFTWARE;
use crate::ffi::timer;
use crate::ffi::worker::Nginx;
use crate::pre_start::Visits;
use crate::unreachable;

/// Shortest and longest pause between two attempts, in milliseconds.
const FIRST_PAUSE: usize = 1000;
const LONGEST_PAUSE: usize = 30_000;

/// The connection to one daemon.
pub(crate) struct Herald {
    peer: Rc<Peer>,
    nginx: Nginx,
    greeting: Rc<[u8]>,
    apps: Vec<Rc<Announced>>,
    pre_starts: Rc<[Rc<Url>]>,
    visits: Visits,
    pause: usize,
    /// The last logged problem; it is not logged again.
    complaint: String,
    /// Bytes received from the daemon and not decoded yet.
    heard: Vec<u8>,
    was_welcome: bool,
}

impl FirstWork for Herald {
    /// Connects when the worker has started.
    fn begin(plan: &Plan, nginx: &Nginx) {
        let greeting: Rc<[u8]> = plan.greeting.as_slice().into();
        let pre_starts: Rc<[Rc<Url>]> = plan.pre_starts.as_slice().into();
        let visits = Visits::default();
        for (peer, apps) in peers(plan) {
            let herald = Box::new(Herald {
                peer: Rc::new(peer),
                nginx: nginx.clone(),
                greeting: Rc::clone(&greeting),
                apps,
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
}

/// Returns each daemon with its apps.
fn peers(plan: &Plan) -> Vec<(Peer, Vec<Rc<Announced>>)> {
    let mut peers: Vec<(Peer, Vec<Rc<Announced>>)> = Vec::new();
    for (upstream, apps) in &plan.upstreams {
        for peer in peer::of_upstream(*upstream) {
            match peers.iter_mut().find(|(known, _)| *known == peer) {
                Some((_, known)) => known.extend_from_slice(apps),
                None => peers.push((peer, apps.clone())),
            }
        }
    }
    peers
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

    /// Returns the frames of the roster, including apps deployed since the last connection, which may be started now.
    fn roster(&mut self) -> Vec<u8> {
        let announcer = Announcer {
            instance: &self.nginx.conf_file,
            master: self.nginx.master,
            server_software: SERVER_SOFTWARE,
        };
        announced::frames(&self.apps, announcer).unwrap_or_else(|err| {
            self.complain(
                Level::Error,
                format!("flying-passenger cannot be told which applications there are: {err}"),
            );
            Vec::new()
        })
    }

    fn is_welcome(&mut self) {
        self.was_welcome = true;
        self.pause = FIRST_PAUSE;
        self.complaint.clear();
        self.visits.begin(&self.pre_starts);
    }

    fn understand(&mut self) -> Result<Listen, HeadError> {
        while let Some(greeting) = find_greeting(&self.heard)? {
            let used = match greeting {
                Greeting::Goodbye => return Ok(Listen::Enough),
                Greeting::Welcome(used) => used,
            };
            if self.was_welcome {
                return Err(HeadError::Unexpected(protocol::frame::FrameType::Welcome));
            }
            self.heard.drain(..used);
            self.is_welcome();
        }
        Ok(Listen::On)
    }
}

impl Conversation for Herald {
    fn opening(&mut self) -> Vec<u8> {
        [self.greeting.to_vec(), self.roster()].concat()
    }

    fn hear(&mut self, bytes: &[u8]) -> Listen {
        self.heard.extend_from_slice(bytes);
        self.understand().unwrap_or_else(|err| {
            self.complain(Level::Error, err.to_string());
            Listen::Enough
        })
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
