//! Processes that preloaders were ordered to fork, until they are in the table as children of the supervisor.
//!
//! A preloader is an app, so what it reports is not trusted. The kernel identifies the forked process as the sender of
//! a hello. It is accepted only when it is a child of the supervisor, no other known process, and of the app's user.
//!
//! The order and all descriptors of the process are one message over the preloader's control socket, without a reply. The
//! forked process sends [`HELLO`] on a separate socket, at whose other end the kernel attests the sender. The kernel
//! refuses anything else that a preloader writes.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use super::channels::{self, Pipes};
use super::{Launched, SpawnError, Term};
use crate::cgroups::Cgroup;
use common::instance::Instance;
use common::link::{Address, AppUser, ProcessId, ProcessRecord, Ticket};
use common::sys::packets::{self, Sender};
use common::sys::process::Child;

/// The order on the control socket.
const FORK: &[u8] = b"fork";
/// The message that the forked process sends once.
pub(crate) const HELLO: &[u8] = b"hello";

/// A process that is not forked yet.
#[derive(Debug)]
pub(super) struct Fork {
    /// The order to answer; `None` when the router that sent it is gone.
    pub(super) ticket: Option<Ticket>,
    pub(super) preloader: ProcessId,
    pub(super) group: String,
    pub(super) user: AppUser,
    pub(super) handover_data: Vec<u8>,
    pub(super) handover: Handover,
    pub(super) due: Instant,
}

/// The state of a hello socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hello {
    NotYet,
    /// No process can send a hello any more.
    End,
    Invalid,
    From(Sender),
}

/// All processes that are not forked yet.
#[derive(Debug, Default)]
pub(crate) struct Forks(pub(super) BTreeMap<ProcessId, Fork>);

impl Forks {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns the hello socket of each process.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ProcessId, BorrowedFd<'_>)> {
        self.0.iter().map(|(id, fork)| (*id, fork.handover.hello.as_fd()))
    }

    pub(crate) fn due(&self) -> Option<Instant> {
        self.0.values().map(|fork| fork.due).min()
    }

    /// Drops the tickets, as the router that asked for the processes is gone.
    pub(crate) fn orphan(&mut self) {
        self.0.values_mut().for_each(|fork| fork.ticket = None);
    }

    pub(super) fn overdue(&self, now: Instant) -> Vec<ProcessId> {
        self.0.iter().filter(|(_, fork)| fork.due <= now).map(|(id, _)| *id).collect()
    }
}

impl Fork {
    pub(super) fn receive_hello(&self) -> Hello {
        let mut buffer = [0; HELLO.len() + 1];
        match packets::receive(self.handover.hello.as_fd(), &mut buffer) {
            Err(why) if why.kind() == io::ErrorKind::WouldBlock => Hello::NotYet,
            Err(_) => Hello::End,
            Ok(got) if got.len == 0 => Hello::End,
            Ok(got) if got.cut || got.lost || !got.descriptors.is_empty() || buffer[..got.len] != *HELLO => {
                Hello::Invalid
            }
            Ok(got) => got.sender.map_or(Hello::Invalid, Hello::From),
        }
    }

    /// Returns the forked process.
    pub(super) fn launched(self, id: ProcessId, child: Child, cgroup: Option<Cgroup>) -> Launched {
        let record = ProcessRecord {
            process: id,
            pid: child.pid().as_raw(),
            address: self.handover.address,
            user: self.user,
            started_ms: common::sys::clock::steady_ms(),
            max_concurrent: None,
            revision: None,
            native: None,
            environment: BTreeMap::new(),
            handover_data: self.handover_data,
        };
        Launched { child, record, pipes: self.handover.pipes, term: Term::None, control: None, cgroup }
    }

    /// Returns the sender of a hello, if it can only be a process of this app.
    pub(super) fn child(
        &self,
        sender: Sender,
        is_known: impl Fn(nix::unistd::Pid) -> bool,
    ) -> Result<Child, String> {
        let pid = sender.pid;
        if self.user.uid != sender.uid.as_raw() {
            return Err(format!("({pid}) belongs to the user {}", sender.uid));
        }
        if is_known(pid) {
            return Err(format!("({pid}) is another process of the daemon's"));
        }
        Child::adopt(pid).map_err(|why| match why.kind() {
            io::ErrorKind::NotFound => format!("({pid}) is not a child of the daemon"),
            _ => format!("({pid}) cannot be watched: {why}"),
        })
    }
}

/// The supervisor's side of a process that is not forked yet.
#[derive(Debug)]
pub(crate) struct Handover {
    /// Receives the hello of the process.
    pub(crate) hello: OwnedFd,
    pub(crate) address: Address,
    pub(crate) pipes: Pipes,
}

/// Creates a control socket: the supervisor's end, which receives nothing, and the preloader's.
pub(super) fn control() -> io::Result<(OwnedFd, OwnedFd)> {
    let (ours, theirs) = packets::pair()?;
    packets::close_for_receiving(ours.as_fd())?;
    Ok((ours, theirs))
}

/// Orders the preloader behind `control` to fork `process`, and sends all descriptors that this process is to have.
pub(crate) fn hand_over(
    control: BorrowedFd<'_>,
    process: ProcessId,
    instance: &Instance,
) -> Result<Handover, SpawnError> {
    let (path, socket) = instance.listen_for_app(process).map_err(SpawnError::Listen)?;
    let (pipes, theirs) = channels::make_pipes().map_err(SpawnError::Pipes)?;
    let (hello, their_hello) = packets::attested_pair().map_err(SpawnError::Pipes)?;
    // In the order of docs/APP-PROTOCOL.md.
    let handed = [&theirs.owner, &theirs.output, &socket, &theirs.report, &their_hello].map(AsFd::as_fd);
    packets::send(control, FORK, &handed).map_err(SpawnError::Handover)?;
    Ok(Handover { hello, address: Address::Unix(path), pipes })
}
