//! The pidfds of all processes behind one descriptor, so that a wait of the supervisor costs the same for one process and for
//! thousands. It does not wait itself.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::AsFd;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use common::link::ProcessId;
use common::sys::process::Child;

/// The descriptor, and the processes behind it.
#[derive(Debug, Default)]
pub(super) struct Exits {
    /// Created with the first process.
    epoll: Option<Epoll>,
    /// Processes that the kernel could not add, for want of memory or of descriptors; they are waited for one by one.
    apart: BTreeSet<ProcessId>,
    behind: usize,
}

impl Exits {
    /// Adds a process until [`remove`](Self::remove).
    pub(super) fn add(&mut self, id: ProcessId, child: &Child) {
        match self.try_add(id, child) {
            Ok(()) => self.behind += 1,
            Err(why) => {
                tracing::debug!("process {} is waited for separately: {why}", child.pid());
                self.apart.insert(id);
            }
        }
    }

    fn try_add(&mut self, id: ProcessId, child: &Child) -> nix::Result<()> {
        let epoll = match self.epoll.take() {
            Some(epoll) => epoll,
            None => Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
        };
        let added = epoll.add(child, EpollEvent::new(EpollFlags::EPOLLIN, id.0));
        self.epoll = Some(epoll);
        added
    }

    /// Removes a process. To close its pidfd is not enough: a copy of the supervisor that has not executed its program yet
    /// may have it, too.
    pub(super) fn remove(&mut self, id: ProcessId, child: &Child) {
        if self.apart.remove(&id) {
            return;
        }
        self.behind = self.behind.saturating_sub(1);
        if let Some(Err(why)) = self.epoll.as_ref().map(|epoll| epoll.delete(child)) {
            tracing::warn!("process {} cannot be removed from those waited for: {why}", child.pid());
        }
    }

    /// Returns the descriptor that is readable when a process behind it has ended.
    pub(super) fn readable(&self) -> Option<&impl AsFd> {
        self.epoll.as_ref().map(|epoll| &epoll.0)
    }

    /// Returns the processes that are not behind the descriptor.
    pub(super) fn apart(&self) -> impl Iterator<Item = ProcessId> {
        self.apart.iter().copied()
    }

    /// Returns all processes behind the descriptor that have ended.
    pub(super) fn ended(&self) -> io::Result<Vec<ProcessId>> {
        let Some(epoll) = &self.epoll else { return Ok(Vec::new()) };
        let mut events = vec![EpollEvent::empty(); self.behind.max(1)];
        let count = epoll.wait(&mut events, EpollTimeout::ZERO)?;
        Ok(events.iter().take(count).map(|event| ProcessId(event.data())).collect())
    }
}

#[cfg(test)]
mod tests {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    use super::*;
    use common::sys::process;

    fn waits_for(exits: &Exits, timeout: PollTimeout) -> bool {
        let fd = exits.readable().unwrap();
        poll(&mut [PollFd::new(fd.as_fd(), PollFlags::POLLIN)], timeout).unwrap() == 1
    }

    /// A child that ends when its standard input is closed.
    #[expect(clippy::zombie_processes, reason = "it is reaped by its pidfd")]
    fn waiting() -> (std::process::ChildStdin, Child) {
        let spawned = std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn();
        let mut spawned = spawned.unwrap();
        let pid = nix::unistd::Pid::from_raw(i32::try_from(spawned.id()).unwrap());
        (spawned.stdin.take().unwrap(), process::Child::adopt(pid).unwrap())
    }

    #[test]
    fn all_that_have_ended_are_reported_until_they_are_removed() {
        let mut exits = Exits::default();
        assert!(exits.readable().is_none() && exits.ended().unwrap().is_empty());
        let mut children: Vec<_> = (0..5).map(|_| waiting()).collect();
        for (id, (_, child)) in (0..).zip(&children) {
            exits.add(ProcessId(id), child);
        }
        assert_eq!(exits.apart().count(), 0);
        assert!(!waits_for(&exits, PollTimeout::ZERO), "none has ended");
        let last = children.split_off(3);
        let last: Vec<_> = last.into_iter().map(|(_, child)| child).collect();
        while exits.ended().unwrap().len() < 2 {
            assert!(waits_for(&exits, PollTimeout::from(10_000_u16)));
        }
        assert_eq!(
            exits.ended().unwrap().iter().map(|id| id.0).collect::<BTreeSet<_>>(),
            BTreeSet::from([3, 4])
        );

        exits.remove(ProcessId(3), &last[0]);
        assert_eq!(exits.ended().unwrap(), [ProcessId(4)], "as long as it is not removed");
        exits.remove(ProcessId(4), &last[1]);
        assert!(exits.ended().unwrap().is_empty() && !waits_for(&exits, PollTimeout::ZERO));
        let all = children.into_iter().map(|(_, child)| child).chain(last);
        all.for_each(|child| while child.try_reap().unwrap().is_none() {});
    }
}
