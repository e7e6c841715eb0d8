//! Events of a run: log lines, the response, and Ctrl-C.

use std::os::fd::AsFd;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;

use super::test_request::TestResponse;
use crate::private::log_line::LogLine;
use common::sys::signals;

/// An event.
#[derive(Debug)]
pub(super) enum Event {
    /// The daemon logged a line.
    Line(LogLine),
    /// The daemon exited, or closed its log.
    LogEnded,
    Response(Result<TestResponse, String>),
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
    pub(super) fn new() -> Result<Self, String> {
        let (sender, receiver) = mpsc::channel();
        let signals = signals::as_events(&[Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP])
            .map_err(|err| format!("cannot set up signals: {err}"))?;
        let interrupted = sender.clone();
        thread::spawn(move || {
            let mut watched = [PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
            while poll(&mut watched, PollTimeout::NONE).is_err() {}
            let _ = interrupted.send(Event::Interrupted);
        });
        Ok(Self { sender, receiver })
    }
}
