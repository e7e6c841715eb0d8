//! Events of a run: log lines, the response, and Ctrl-C.

use std::os::fd::AsFd;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;

use super::conversation::Answer;
use common::sys::signals;

/// An event.
#[derive(Debug)]
pub(crate) enum Event {
    /// The daemon logged a line.
    Line(String),
    /// The daemon ended, or closed its log.
    LogEnded,
    Answered(Result<Answer, String>),
    /// The user interrupted the run.
    Interrupted,
}

/// The channel of events.
pub(super) struct Events {
    pub(super) sender: Sender<Event>,
    pub(super) receiver: Receiver<Event>,
}

impl Events {
    /// Turns signals into events. Must be called before any thread is started.
    ///
    /// # Errors
    ///
    /// Returns a message for the administrator.
    pub(super) fn new() -> Result<Self, String> {
        let (sender, receiver) = mpsc::channel();
        let told = signals::as_events(&[Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP])
            .map_err(|why| format!("signals cannot be set up: {why}"))?;
        let interrupted = sender.clone();
        thread::spawn(move || {
            let mut watched = [PollFd::new(told.as_fd(), PollFlags::POLLIN)];
            while poll(&mut watched, PollTimeout::NONE).is_err() {}
            let _ = interrupted.send(Event::Interrupted);
        });
        Ok(Self { sender, receiver })
    }
}
