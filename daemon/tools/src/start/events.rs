//! Events of a running app: log lines of the two servers, changed files, signals.

use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;

use crate::private::process::Logged;
use common::sys::signals;

/// An event.
#[derive(Debug)]
pub(super) enum Event {
    /// The daemon logged something.
    Daemon(Logged),
    /// The gate logged something.
    Gate(Logged),
    /// Files of the app changed; the restart is ordered after this event.
    Changed(Vec<PathBuf>),
    /// Something that the user should know.
    Note(String),
    /// The user, the terminal or `passenger stop` ends the app.
    Stop,
}

/// The channel of events.
pub(super) struct Events {
    pub(super) sender: Sender<Event>,
    pub(super) receiver: Receiver<Event>,
}

impl Events {
    /// Turns signals into events. Must be called before any thread is started.
    pub(super) fn new() -> Result<Self, String> {
        let (sender, receiver) = mpsc::channel();
        let signals = signals::as_events(&[Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT])
            .map_err(|err| format!("cannot set up signals: {err}"))?;
        let stop = sender.clone();
        thread::spawn(move || {
            let mut watched = [PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
            while poll(&mut watched, PollTimeout::NONE).is_err() {}
            let _ = stop.send(Event::Stop);
        });
        Ok(Self { sender, receiver })
    }
}
