//! The event wait of the supervisor: one `poll` over all descriptors, which returns events and handles none.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::{self, PollFd, PollFlags, PollTimeout};
use nix::sys::signalfd::SignalFd;

use super::hooks::{Hooks, RunId};
use super::log_file::app_logs::AppLogs;
use super::processes::Processes;
use super::router::process::RouterProcess;
use super::spawn::Forks;
use super::stat_workers::{StatWorkers, WorkerId};
use common::link::ProcessId;
use common::log::writer;

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
    /// An app process has ended.
    ProcessEnded(ProcessId),
    /// A program run for a hook has ended.
    HookEnded(RunId),
    /// A stat worker has sent an answer or closed its end.
    StatWorkerAnswered(WorkerId),
    /// A process that opens the log file of an app has ended.
    AppLogOpened,
    /// A stat worker has ended.
    StatWorkerEnded(WorkerId),
    /// A process to be forked has sent its hello, or can no longer send it.
    ForkHello(ProcessId),
}

/// The sources of events.
pub(super) struct Watched<'s, P> {
    pub(super) signals: &'s SignalFd,
    pub(super) socket: Option<BorrowedFd<'s>>,
    pub(super) router: Option<&'s RouterProcess>,
    /// Whether the router's orders are read.
    pub(super) takes_orders: bool,
    pub(super) processes: &'s Processes,
    pub(super) forks: &'s Forks,
    pub(super) stat_workers: &'s StatWorkers<P>,
    pub(super) hooks: &'s Hooks,
    pub(super) app_logs: &'s AppLogs,
}

/// Waits for events until `until`. Exits of processes come before messages of the router, so that no order is carried
/// out on a process that has ended.
pub(super) fn wait<P>(all: Watched<'_, P>, until: Option<Instant>) -> io::Result<Vec<PollEvent>> {
    let Watched { signals, socket, router, takes_orders, processes, forks, stat_workers, hooks, app_logs } =
        all;
    let most = processes.len() + forks.len() + hooks.len() + 2 * stat_workers.len() + 8;
    let log_writer = writer::watched();
    let mut watched = Vec::with_capacity(most);
    let mut meanings = Vec::with_capacity(most);
    let mut watch = |fd, flags, meaning| {
        watched.push(PollFd::new(fd, flags));
        meanings.push(meaning);
    };
    watch(signals.as_fd(), PollFlags::POLLIN, PollEvent::Signal);
    if let Some(socket) = socket {
        watch(socket, PollFlags::POLLIN, PollEvent::SocketChanged);
    }
    if let Some((writer, waits)) = &log_writer {
        watch(writer.as_fd(), PollFlags::POLLIN, PollEvent::LogWriterAnswered);
        if *waits {
            watch(writer.as_fd(), PollFlags::POLLOUT, PollEvent::LogHasRoom);
        }
    }
    for process in processes.iter() {
        let meaning = PollEvent::ProcessEnded(process.record.process);
        watch(process.child.as_fd(), PollFlags::POLLIN, meaning);
    }
    for (process, hello) in forks.iter() {
        watch(hello, PollFlags::POLLIN, PollEvent::ForkHello(process));
    }
    for (id, answers, child) in stat_workers.iter() {
        if let Some(answers) = answers {
            watch(answers, PollFlags::POLLIN, PollEvent::StatWorkerAnswered(id));
        }
        watch(child.as_fd(), PollFlags::POLLIN, PollEvent::StatWorkerEnded(id));
    }
    for (run, child) in hooks.running() {
        watch(child.as_fd(), PollFlags::POLLIN, PollEvent::HookEnded(run));
    }
    for opener in &app_logs.openers {
        watch(opener.as_fd(), PollFlags::POLLIN, PollEvent::AppLogOpened);
    }
    if let Some(router) = router {
        if router.has_waiting() {
            watch(router.channel.as_fd(), PollFlags::POLLOUT, PollEvent::LinkHasRoom);
        }
        if let Some(log) = router.log.readable().filter(|_| writer::wants_more()) {
            watch(log, PollFlags::POLLIN, PollEvent::RouterLogged);
        }
        if takes_orders {
            watch(router.channel.as_fd(), PollFlags::POLLIN, PollEvent::RouterMessage);
        }
        watch(router.child.as_fd(), PollFlags::POLLIN, PollEvent::RouterEnded);
    }
    match poll::poll(&mut watched, timeout(until)) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(why) => return Err(why.into()),
    }
    let event = |fd: &PollFd<'_>| fd.any().unwrap_or(false);
    Ok(watched.iter().zip(meanings).filter(|(fd, _)| event(fd)).map(|(_, meaning)| meaning).collect())
}

/// Rounds up, so that whatever is due at `until` is due when `poll` returns.
fn timeout(until: Option<Instant>) -> PollTimeout {
    let Some(until) = until else {
        return PollTimeout::NONE;
    };
    let left = until.saturating_duration_since(Instant::now()).as_micros().div_ceil(1000);
    i32::try_from(left).ok().and_then(|left| PollTimeout::try_from(left).ok()).unwrap_or(PollTimeout::MAX)
}
