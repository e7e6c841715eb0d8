//! Processes that preloaders were ordered to fork, until they are in the table as children of the supervisor.
//!
//! A preloader is an app, so what it reports is not trusted. The kernel identifies the forked process as the sender of
//! a hello. It is accepted only when it is a child of the supervisor, no other known process, and of the app's user.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use super::Stage;
use crate::Supervisor;
use crate::cgroups::Cgroup;
use crate::spawn;
use crate::spawn::{HELLO, Handover, Launched, ResolvedApp, Term};
use crate::stat_workers::file_checks::ForkOrder;
use common::link::{AppUser, Notice, ProcessId, ProcessRecord, StopHow, Ticket};
use common::sys::clock;
use common::sys::packets;
use common::sys::packets::Sender;
use common::sys::process::Child;

/// A process that is not forked yet.
#[derive(Debug)]
struct Fork {
    /// The order to answer; `None` when the router that sent it is gone.
    ticket: Option<Ticket>,
    preloader: ProcessId,
    group: String,
    user: AppUser,
    memo: Vec<u8>,
    handover: Handover,
    due: Instant,
}

/// What was received on a hello socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heard {
    NothingYet,
    /// No process can send a hello any more.
    End,
    Nonsense,
    Hello(Sender),
}

/// All processes that are not forked yet.
#[derive(Debug, Default)]
pub(crate) struct Forks(BTreeMap<ProcessId, Fork>);

impl Forks {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns the hello socket of each process.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ProcessId, BorrowedFd<'_>)> {
        self.0.iter().map(|(id, fork)| (*id, fork.handover.hello.as_fd()))
    }

    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.0.values().map(|fork| fork.due).min()
    }

    /// Drops the tickets, as the router that asked for the processes is gone.
    pub(crate) fn orphan(&mut self) {
        self.0.values_mut().for_each(|fork| fork.ticket = None);
    }

    fn overdue(&self, now: Instant) -> Vec<ProcessId> {
        self.0.iter().filter(|(_, fork)| fork.due <= now).map(|(id, _)| *id).collect()
    }
}

impl Fork {
    fn hear(&self) -> Heard {
        let mut buffer = [0; HELLO.len() + 1];
        match packets::receive(self.handover.hello.as_fd(), &mut buffer) {
            Err(why) if why.kind() == std::io::ErrorKind::WouldBlock => Heard::NothingYet,
            Err(_) => Heard::End,
            Ok(got) if got.len == 0 => Heard::End,
            Ok(got) if got.cut || got.lost || !got.descriptors.is_empty() || buffer[..got.len] != *HELLO => {
                Heard::Nonsense
            }
            Ok(got) => got.sender.map_or(Heard::Nonsense, Heard::Hello),
        }
    }

    fn launched(self, id: ProcessId, child: Child, cgroup: Option<Cgroup>) -> Launched {
        let record = ProcessRecord {
            process: id,
            pid: child.pid().as_raw(),
            address: self.handover.address,
            user: self.user,
            started_ms: clock::steady_ms(),
            at_once: None,
            revision: None,
            environment: BTreeMap::new(),
            memo: self.memo,
        };
        Launched { child, record, pipes: self.handover.pipes, term: Term::None, control: None, cgroup }
    }
}

impl Supervisor {
    /// Has a process forked. It runs as its preloader's user; when this is no longer the app's user, none is forked.
    pub(crate) fn fork(&mut self, ticket: Ticket, order: ForkOrder, resolved: Option<ResolvedApp>) {
        if let Err(reason) = self.try_fork(ticket, order, resolved.as_ref()) {
            tracing::warn!("no process is forked: {reason}");
            self.tell_router(&Notice::NotStarted { ticket, reason }, &[]);
        }
    }

    fn try_fork(
        &mut self,
        ticket: Ticket,
        order: ForkOrder,
        resolved: Option<&ResolvedApp>,
    ) -> Result<(), String> {
        let ForkOrder { preloader, due, memo } = order;
        // The preloader did not cause the delay, so it is not sent the order.
        if due <= Instant::now() {
            return Err("it was not known in time whom the app runs as".to_owned());
        }
        self.check_room()?;
        let id = self.processes.new_id();
        let parent = self.processes.get_mut(preloader).ok_or("its preloader has ended")?;
        let control = parent.control().ok_or("it is no preloader")?;
        if parent.stage != Stage::Ready {
            return Err("its preloader is not ready".to_owned());
        }
        if let Some(user) = resolved.map(ResolvedApp::user).filter(|user| **user != parent.record.user) {
            parent.stop(StopHow::Gracefully);
            return Err(format!(
                "its preloader runs as {}, and the app as {}",
                parent.record.user.name, user.name
            ));
        }
        let handover = spawn::hand_over(control.socket.as_fd(), id, &self.instance).map_err(|why| {
            // It may have been created before the step that failed; if not, there is nothing to remove.
            let _ = self.instance.remove_app_socket(id);
            why.to_string()
        })?;
        let (group, user) = (parent.group.clone(), parent.record.user.clone());
        self.forks.0.insert(id, Fork { ticket: Some(ticket), preloader, group, user, memo, handover, due });
        Ok(())
    }

    /// Receives every hello that has arrived.
    pub(crate) fn hear_forks(&mut self) {
        let all: Vec<ProcessId> = self.forks.0.keys().copied().collect();
        all.into_iter().for_each(|id| self.hear_fork(id));
    }

    pub(crate) fn hear_fork(&mut self, id: ProcessId) {
        let Some(heard) = self.forks.0.get(&id).map(Fork::hear) else {
            return;
        };
        match heard {
            Heard::NothingYet => {}
            Heard::End => self.not_forked(id, "its preloader ended before it forked, or could not fork"),
            Heard::Nonsense => self.refuse_fork(id, "does not say what it has to"),
            Heard::Hello(sender) => match self.child_of(id, sender) {
                Ok(child) => self.forked(id, child),
                Err(why) => self.refuse_fork(id, &why),
            },
        }
    }

    /// Returns the sender, if it can only be a process of this app.
    fn child_of(&self, id: ProcessId, sender: Sender) -> Result<Child, String> {
        let pid = sender.pid;
        if self.forks.0.get(&id).is_some_and(|fork| fork.user.uid != sender.uid.as_raw()) {
            return Err(format!("({pid}) is of the user {}", sender.uid));
        }
        if self.is_known(pid) {
            return Err(format!("({pid}) is another process of the daemon's"));
        }
        Child::adopt(pid).map_err(|why| match why.kind() {
            std::io::ErrorKind::NotFound => format!("({pid}) is no child of the daemon"),
            _ => format!("({pid}) cannot be watched: {why}"),
        })
    }

    fn forked(&mut self, id: ProcessId, child: Child) {
        let Some(fork) = self.forks.0.remove(&id) else {
            return;
        };
        let (ticket, group) = (fork.ticket, fork.group.clone());
        let cgroup = self.cgroup_of_fork(id, &fork, &child);
        if let (Err(reason), Some(ticket)) =
            (self.enter(ticket, fork.launched(id, child, cgroup), group), ticket)
        {
            self.tell_router(&Notice::NotStarted { ticket, reason }, &[]);
        }
        if ticket.is_none() || !self.shutdown.is_serving() {
            self.stop(id, StopHow::Kill);
        }
    }

    /// Moves it from its preloader's control group into its own, with the same limits.
    fn cgroup_of_fork(&mut self, id: ProcessId, fork: &Fork, child: &Child) -> Option<Cgroup> {
        let limits = common::link::CgroupLimits::from(
            &self.processes.get_mut(fork.preloader)?.control()?.spec.settings,
        );
        let made = self.launcher.cgroup(&fork.group, id, limits).map_err(|why| why.to_string());
        let cgroup = made.inspect_err(|why| tracing::error!("process {}: {why}", child.pid())).ok()??;
        if let Err(why) = cgroup.admit(child.pid()) {
            tracing::warn!("process {} stays in the control group of its preloader: {why}", child.pid());
        }
        Some(cgroup)
    }

    /// Refuses a fork that violates the protocol: its preloader is not trusted to fork another one.
    fn refuse_fork(&mut self, id: ProcessId, why: &str) {
        if let Some(name) = self.kill_preloader_of(id) {
            tracing::error!("{name} is killed: the process that it was to fork {why}");
        }
        self.not_forked(id, &format!("the process that its preloader forked {why}"));
    }

    fn kill_preloader_of(&mut self, id: ProcessId) -> Option<String> {
        let preloader = self.processes.get_mut(self.forks.0.get(&id)?.preloader)?;
        preloader.stop(StopHow::Kill);
        Some(preloader.name())
    }

    fn not_forked(&mut self, id: ProcessId, reason: &str) {
        let Some(fork) = self.forks.0.remove(&id) else {
            return;
        };
        if let Err(why) = self.instance.remove_app_socket(id) {
            tracing::warn!("the socket of a process that was not forked cannot be removed: {why}");
        }
        tracing::warn!("no process of {} is forked: {reason}", fork.group);
        if let Some(ticket) = fork.ticket {
            self.tell_router(&Notice::NotStarted { ticket, reason: reason.to_owned() }, &[]);
        }
    }

    /// Kills preloaders that did not fork in time, as they are stuck.
    pub(crate) fn forks_due(&mut self, now: Instant) {
        for id in self.forks.overdue(now) {
            if let Some(name) = self.kill_preloader_of(id) {
                tracing::error!("{name} is killed, as it was told to fork and did not in time");
            }
            self.not_forked(id, "its preloader did not fork in time");
        }
    }
}
