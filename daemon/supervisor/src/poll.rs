//! The event wait of the supervisor: one `poll` over its descriptors, which returns events and handles none. It costs the same
//! with thousands of processes, all of which are behind one descriptor.

use std::io;
use std::os::fd::AsFd;
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::{self, PollFd, PollFlags, PollTimeout};

use super::hooks::RunId;
use super::stat_workers::WorkerId;
use common::link::ProcessId;

/// An event to be handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PollEvent {
    /// A signal arrived.
    Signal,
    /// The file of the socket for nginx was changed.
    SocketChanged,
    /// The router sent a message or closed its end.
    RouterMessage,
    /// The link to the router has room again.
    LinkHasRoom,
    /// The router has written to its log.
    RouterLogged,
    /// The log writer has written something or has ended.
    LogWriterAnswered,
    /// The log writer accepts lines again.
    LogHasRoom,
    /// The router has ended.
    RouterEnded,
    /// App processes have ended; the table knows which.
    ProcessesEnded,
    /// This app process has ended.
    ProcessEnded(ProcessId),
    /// A program run for a hook has ended.
    HookEnded(RunId),
    /// A stat worker has sent an answer or closed its end.
    StatWorkerAnswered(WorkerId),
    /// A process that opens the log file of an app has ended.
    AppLogOpened,
    /// Something was changed in a directory of restart files.
    FilesChanged,
    /// A stat worker has ended.
    StatWorkerEnded(WorkerId),
    /// A process to be forked has sent its hello, or can no longer send it.
    ForkHello(ProcessId),
}

/// The descriptors to wait for, with the event of each.
#[derive(Default)]
pub(super) struct Poll<'fd> {
    fds: Vec<PollFd<'fd>>,
    events: Vec<PollEvent>,
}

impl<'fd> Poll<'fd> {
    /// Waits until this can be read.
    pub(super) fn readable(&mut self, fd: &'fd impl AsFd, event: PollEvent) {
        self.fds.push(PollFd::new(fd.as_fd(), PollFlags::POLLIN));
        self.events.push(event);
    }

    /// Waits until this can be written.
    pub(super) fn writable(&mut self, fd: &'fd impl AsFd, event: PollEvent) {
        self.fds.push(PollFd::new(fd.as_fd(), PollFlags::POLLOUT));
        self.events.push(event);
    }

    /// Waits until `until`. Returns the events in the order in which they were added.
    pub(super) fn wait(mut self, until: Option<Instant>) -> io::Result<Vec<PollEvent>> {
        match poll::poll(&mut self.fds, timeout(until)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(why) => return Err(why.into()),
        }
        let is_ready = |fd: &PollFd<'_>| fd.any().unwrap_or(false);
        Ok(self.fds.iter().zip(self.events).filter(|(fd, _)| is_ready(fd)).map(|(_, event)| event).collect())
    }
}

/// Rounds up, so that whatever is due at `until` is due when `poll` returns.
fn timeout(until: Option<Instant>) -> PollTimeout {
    let Some(until) = until else {
        return PollTimeout::NONE;
    };
    let left = until.saturating_duration_since(Instant::now()).as_micros().div_ceil(1000);
    i32::try_from(left).ok().and_then(|left| PollTimeout::try_from(left).ok()).unwrap_or(PollTimeout::MAX)
}
