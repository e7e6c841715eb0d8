//! The roster connection: the first worker's own connection to each daemon. It sends the daemon-wide settings and the
//! apps of the configuration before any request, stays open, and is opened again when the daemon restarts.

use std::ops::ControlFlow;
use std::rc::Rc;

use module_core::pre_start::Url;
use module_core::response_head::{Greeting, HeadError, find_greeting};
use module_core::roster::{self, ConfiguredApps, RosterSource};

use crate::connect_advice;
use crate::ffi::conf::worker_tasks::WorkerTasks;
use crate::ffi::log::{self, Level};
use crate::ffi::process::WorkerStart;
use crate::ffi::process::client_connection;
use crate::ffi::process::client_connection::{CloseReason, ConnectionHandler, Options};
use crate::ffi::process::peer;
use crate::ffi::process::peer::Peer;
use crate::ffi::process::timer;
use crate::ffi::process::worker::Nginx;
use crate::ffi::release::SERVER_SOFTWARE;
use crate::pre_start::Visits;

/// Shortest and longest pause between two attempts, in milliseconds.
const FIRST_PAUSE: usize = 1000;
const LONGEST_PAUSE: usize = 30_000;

/// The connection to one daemon.
pub(crate) struct RosterConnection {
    peer: Rc<Peer>,
    nginx: Nginx,
    greeting: Rc<[u8]>,
    apps: Vec<Rc<ConfiguredApps>>,
    pre_starts: Rc<[Rc<Url>]>,
    visits: Visits,
    pause: usize,
    /// The last logged problem; it is not logged again.
    complaint: String,
    /// Bytes received from the daemon and not decoded yet.
    heard: Vec<u8>,
    was_welcome: bool,
}

impl WorkerStart for RosterConnection {
    /// Connects when the worker has started.
    fn begin(tasks: &WorkerTasks, nginx: &Nginx) {
        let greeting: Rc<[u8]> = tasks.greeting.as_slice().into();
        let pre_starts: Rc<[Rc<Url>]> = tasks.pre_starts.as_slice().into();
        let visits = Visits::default();
        for (peer, apps) in peers(tasks) {
            let connection = Box::new(RosterConnection {
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
            timer::after(1, move || connection.set_out());
        }
    }
}

/// Returns each daemon with its apps.
fn peers(tasks: &WorkerTasks) -> Vec<(Peer, Vec<Rc<ConfiguredApps>>)> {
    let mut peers: Vec<(Peer, Vec<Rc<ConfiguredApps>>)> = Vec::new();
    for (upstream, apps) in &tasks.upstreams {
        for peer in peer::of_upstream(*upstream) {
            match peers.iter_mut().find(|(known, _)| *known == peer) {
                Some((_, known)) => known.extend_from_slice(apps),
                None => peers.push((peer, apps.clone())),
            }
        }
    }
    peers
}

impl RosterConnection {
    fn set_out(mut self: Box<Self>) {
        self.heard.clear();
        self.was_welcome = false;
        let peer = Rc::clone(&self.peer);
        client_connection::open(&peer, Options::default(), self);
    }

    fn complain(&mut self, level: Level, complaint: String) {
        if self.complaint != complaint {
            log::of_process().write(level, format_args!("{complaint}"));
            self.complaint = complaint;
        }
    }

    /// Returns the frames of the roster, including apps deployed since the last connection, which may be started now.
    fn roster(&mut self) -> Vec<u8> {
        let source = RosterSource {
            instance: &self.nginx.conf_file,
            master: self.nginx.master,
            server_software: SERVER_SOFTWARE,
        };
        roster::frames(&self.apps, source).unwrap_or_else(|err| {
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

    fn understand(&mut self) -> Result<ControlFlow<()>, HeadError> {
        while let Some(greeting) = find_greeting(&self.heard)? {
            let used = match greeting {
                Greeting::Goodbye => return Ok(ControlFlow::Break(())),
                Greeting::Welcome(used) => used,
            };
            if self.was_welcome {
                return Err(HeadError::Unexpected(protocol::frame::FrameType::Welcome));
            }
            self.heard.drain(..used);
            self.is_welcome();
        }
        Ok(ControlFlow::Continue(()))
    }
}

impl ConnectionHandler for RosterConnection {
    fn on_connect(&mut self) -> Vec<u8> {
        [self.greeting.to_vec(), self.roster()].concat()
    }

    fn on_data(&mut self, bytes: &[u8]) -> ControlFlow<()> {
        self.heard.extend_from_slice(bytes);
        self.understand().unwrap_or_else(|err| {
            self.complain(Level::Error, err.to_string());
            ControlFlow::Break(())
        })
    }

    fn on_close(mut self: Box<Self>, why: CloseReason) {
        if let CloseReason::Unreachable(_) = why {
            let (name, advice) = (self.peer.name().escape_ascii(), connect_advice::advice(self.peer.name()));
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
