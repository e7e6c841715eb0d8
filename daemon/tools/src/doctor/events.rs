//! What happens while an app is examined, from whoever sees it: lines of the log, the answer, and Ctrl-C.

use std::os::fd::AsFd;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;

use super::conversation::Answer;
use common::sys::signals;

/// Something that happens.
#[derive(Debug)]
pub(crate) enum Event {
    /// The daemon has logged it.
    Line(String),
    /// The daemon has ended, or closed its log.
    LogEnded,
    Answered(Result<Answer, String>),
    /// Somebody wants this to end.
    Interrupted,
}

/// From where events come.
pub(super) struct Events {
    pub(super) sender: Sender<Event>,
    pub(super) receiver: Receiver<Event>,
}

impl Events {
    /// Sets signals up, so that they become events: to be called before any thread is started.
    ///
    /// # Errors
    ///
    /// A sentence for the administrator.
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
