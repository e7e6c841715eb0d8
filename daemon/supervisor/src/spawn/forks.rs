//! Processes that preloaders were ordered to fork, until they are in the table as children of the supervisor.
//!
//! A preloader is an app, so what it reports is not trusted. The kernel identifies the forked process as the sender of
//! a hello. It is accepted only when it is a child of the supervisor, no other known process, and of the app's user.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use super::handover::{HELLO, Handover};
use super::{Launched, Term};
use crate::cgroups::Cgroup;
use common::link::{AppUser, ProcessId, ProcessRecord, Ticket};
use common::sys::packets::{self, Sender};
use common::sys::process::Child;

/// A process that is not forked yet.
#[derive(Debug)]
pub(super) struct Fork {
    /// The order to answer; `None` when the router that sent it is gone.
    pub(super) ticket: Option<Ticket>,
    pub(super) preloader: ProcessId,
    pub(super) group: String,
    pub(super) user: AppUser,
    pub(super) memo: Vec<u8>,
    pub(super) handover: Handover,
    pub(super) due: Instant,
}

/// The state of a hello socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    NothingYet,
    /// No process can send a hello any more.
    End,
    Nonsense,
    Hello(Sender),
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
    pub(super) fn receive_hello(&self) -> Heard {
        let mut buffer = [0; HELLO.len() + 1];
        match packets::receive(self.handover.hello.as_fd(), &mut buffer) {
            Err(why) if why.kind() == io::ErrorKind::WouldBlock => Heard::NothingYet,
            Err(_) => Heard::End,
            Ok(got) if got.len == 0 => Heard::End,
            Ok(got) if got.cut || got.lost || !got.descriptors.is_empty() || buffer[..got.len] != *HELLO => {
                Heard::Nonsense
            }
            Ok(got) => got.sender.map_or(Heard::Nonsense, Heard::Hello),
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
            at_once: None,
            revision: None,
            environment: BTreeMap::new(),
            memo: self.memo,
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
            return Err(format!("({pid}) is of the user {}", sender.uid));
        }
        if is_known(pid) {
            return Err(format!("({pid}) is another process of the daemon's"));
        }
        Child::adopt(pid).map_err(|why| match why.kind() {
            io::ErrorKind::NotFound => format!("({pid}) is no child of the daemon"),
            _ => format!("({pid}) cannot be watched: {why}"),
        })
    }
}
