//! One stat worker: a process that checks files, one question after another, and holds nothing else of the daemon's.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::poll::{self, PollFd, PollFlags, PollTimeout};
use nix::sys::prctl;
use nix::sys::signal::Signal;

use super::question::{Answer, Question};
use common::link::channel::{Buffer, Channel};
use common::sys::process::{self, Child};
use common::sys::{descriptors, signals, title};

/// The supervisor's operations on a worker.
pub(crate) trait Work: Sized {
    /// Starts a worker.
    fn start() -> io::Result<Self>;
    /// Sends it a question, with the inotify instance if it needs that; it can have one at a time.
    fn ask(&self, question: &Question, inotify: Option<BorrowedFd<'_>>) -> io::Result<()>;
    /// Returns its answer, if it has arrived.
    fn receive(&mut self, buffer: &mut Buffer) -> Option<Answer>;
    /// Whether it can be asked.
    fn accepts_questions(&self) -> bool;
    /// Whether its process has ended; it is then reaped.
    fn has_ended(&self) -> bool;
    /// Dismisses the worker: it ends when it has finished its current question.
    fn dismiss(&mut self);
}

/// The supervisor's side of a worker process.
#[derive(Debug)]
pub(crate) struct Worker {
    child: Child,
    /// The worker ends when this is closed.
    channel: Option<Channel>,
}

impl Work for Worker {
    fn start() -> io::Result<Self> {
        let (ours, theirs) = Channel::pair()?;
        let child = process::run_in_child(|| work(theirs))?;
        Ok(Self { child, channel: Some(ours) })
    }

    fn ask(&self, question: &Question, inotify: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let channel = self.channel.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        channel.send(question, inotify.as_slice())
    }

    fn receive(&mut self, buffer: &mut Buffer) -> Option<Answer> {
        match self.channel.as_ref()?.recv(buffer) {
            Ok(Some((answer, _descriptors))) => Some(answer),
            Err(why) if why.kind() == io::ErrorKind::WouldBlock => None,
            Ok(None) | Err(_) => {
                self.dismiss();
                None
            }
        }
    }

    fn accepts_questions(&self) -> bool {
        self.channel.is_some()
    }

    fn has_ended(&self) -> bool {
        !matches!(self.child.try_reap(), Ok(None))
    }

    fn dismiss(&mut self) {
        self.channel = None;
    }
}

impl Worker {
    pub(super) fn child(&self) -> &Child {
        &self.child
    }

    /// Returns the descriptor on which its answers arrive.
    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.channel.as_ref().map(Channel::as_fd)
    }

    /// Kills it, as far as the kernel allows.
    pub(super) fn kill(&self) {
        // It may have ended already.
        let _ = self.child.signal(Signal::SIGKILL);
    }
}

/// Runs the worker. It holds no socket and no pipe of the daemon's, however long it hangs.
fn work(channel: Channel) -> io::Result<()> {
    title::set_title(c"flying-stat")?;
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    signals::reset()?;
    descriptors::close_standard_ones()?;
    let channel = Channel::new(descriptors::keep_only(channel.into_fd())?)?;
    let mut buffer = Buffer::default();
    loop {
        poll::poll(&mut [PollFd::new(channel.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE)?;
        match channel.recv::<Question>(&mut buffer)? {
            Some((question, mut inotify)) => channel.send(&question.answer(inotify.pop()), &[])?,
            None => return Ok(()),
        }
    }
}
