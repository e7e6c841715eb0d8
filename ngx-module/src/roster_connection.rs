//! The roster connection: the first worker's own connection to each daemon. It sends the daemon-wide settings and the
//! apps of the configuration before any request, stays open, and is opened again when the daemon restarts.

use std::ops::ControlFlow;
use std::rc::Rc;

use module_core::response_head::{Greeting, HeadError, find_greeting};
use module_core::roster::{self, ConfiguredApps, RosterSource};
use protocol::frame::FrameType;

use crate::ffi::conf::worker_tasks::WorkerTasks;
use crate::ffi::log::{self, Level};
use crate::ffi::process::client_connection::{self, ConnectionHandler};
use crate::ffi::process::peer::{self, Peer};
use crate::ffi::process::worker::Nginx;
use crate::ffi::process::{WorkerStart, timer};
use crate::ffi::release::SERVER_SOFTWARE;
use crate::ffi::upstream::connect_advice;

/// Shortest and longest pause between two attempts, in milliseconds.
const MIN_PAUSE: usize = 1000;
const MAX_PAUSE: usize = 30_000;

/// The connection to one daemon.
pub(crate) struct RosterConnection {
    peer: Rc<Peer>,
    nginx: Nginx,
    greeting: Rc<[u8]>,
    apps: Vec<Rc<ConfiguredApps>>,
    pause: usize,
    /// The last logged problem; it is not logged again.
    logged: String,
    /// Bytes received from the daemon and not decoded yet.
    received: Vec<u8>,
    was_welcome: bool,
}

impl WorkerStart for RosterConnection {
    /// Connects when the worker has started.
    fn start(tasks: &WorkerTasks, nginx: &Nginx) {
        let greeting: Rc<[u8]> = tasks.greeting.as_slice().into();
        for (peer, apps) in peers(tasks) {
            let connection = Box::new(RosterConnection {
                peer: Rc::new(peer),
                nginx: nginx.clone(),
                greeting: Rc::clone(&greeting),
                apps,
                pause: MIN_PAUSE,
                logged: String::new(),
                received: Vec::new(),
                was_welcome: false,
            });
            timer::after(1, move || connection.connect());
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
    fn connect(mut self: Box<Self>) {
        self.received.clear();
        self.was_welcome = false;
        let peer = Rc::clone(&self.peer);
        client_connection::open(&peer, self);
    }

    fn log_once(&mut self, level: Level, problem: String) {
        if self.logged != problem {
            log::of_process().write(level, format_args!("{problem}"));
            self.logged = problem;
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
            self.log_once(
                Level::Error,
                format!("cannot send the list of applications to flying-passenger: {err}"),
            );
            Vec::new()
        })
    }

    fn read_greetings(&mut self) -> Result<ControlFlow<()>, HeadError> {
        while let Some(greeting) = find_greeting(&self.received)? {
            let used = match greeting {
                Greeting::Goodbye => return Ok(ControlFlow::Break(())),
                Greeting::Welcome(_) if self.was_welcome => {
                    return Err(HeadError::Unexpected(FrameType::Welcome));
                }
                Greeting::Welcome(used) => used,
            };
            self.received.drain(..used);
            self.was_welcome = true;
            self.pause = MIN_PAUSE;
            self.logged.clear();
        }
        Ok(ControlFlow::Continue(()))
    }
}

impl ConnectionHandler for RosterConnection {
    fn on_connect(&mut self) -> Vec<u8> {
        [self.greeting.to_vec(), self.roster()].concat()
    }

    fn on_data(&mut self, bytes: &[u8]) -> ControlFlow<()> {
        self.received.extend_from_slice(bytes);
        self.read_greetings().unwrap_or_else(|err| {
            self.log_once(Level::Error, err.to_string());
            ControlFlow::Break(())
        })
    }

    fn on_close(mut self: Box<Self>, was_established: bool) {
        if !was_established {
            let problem = format!(
                "cannot send nginx's configuration to flying-passenger yet: {}",
                connect_advice::problem(self.peer.name())
            );
            self.log_once(Level::Warn, problem);
        }
        let pause = self.pause;
        self.pause = (pause * 2).min(MAX_PAUSE);
        timer::after(pause, move || self.connect());
    }
}
