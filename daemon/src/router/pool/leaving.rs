//! How processes go: idle ones when their time is over, others when they are told to, each after its last session.

use std::time::Instant;

use super::{Action, GroupId, Pool, Process, Slot, State};

impl Pool {
    /// Ends processes that were idle for too long and starts those that a back-off held back; tells when to look
    /// again.
    pub(crate) fn sweep(&mut self, now: Instant) -> Option<Instant> {
        let mut next: Option<Instant> = None;
        for id in (0..self.groups.len()).map(GroupId) {
            self.balance(id, now);
            let due = self.sweep_group(id, now).into_iter().chain(self.groups[id.0].not_before);
            next = due.chain(next).min();
        }
        next
    }

    /// When a process of the group may be due next; a busy one cannot be before it has been idle for the whole time.
    pub(super) fn sweep_group(&mut self, id: GroupId, now: Instant) -> Option<Instant> {
        let idle_after = self.limits.idle_after?;
        let mut next: Option<Instant> = None;
        for slot in self.groups[id.0].members.clone() {
            let Some(process) = self.processes.get(&slot).filter(|p| p.state == State::Serving) else {
                continue;
            };
            if self.serving(id) <= self.groups[id.0].options.min_instances {
                break;
            }
            let due = if process.is_idle() { process.last_used + idle_after } else { now + idle_after };
            if due <= now {
                self.retire(slot);
            } else {
                next = next.into_iter().chain([due]).min();
            }
        }
        next
    }

    /// No process is started any more, and every one goes as soon as it has no session.
    pub(crate) fn close(&mut self) {
        self.closing = true;
        let all: Vec<Slot> = self.processes.keys().copied().collect();
        for slot in all {
            match self.processes.get(&slot).map(|p| p.state) {
                Some(State::Serving) => self.retire(slot),
                Some(State::Starting) => self.abandon(slot),
                _ => {}
            }
        }
    }

    /// No new session for this process; it ends with its last one.
    pub(super) fn retire(&mut self, slot: Slot) {
        let Some(process) = self.processes.get_mut(&slot) else {
            return;
        };
        process.state = State::Draining;
        self.groups[process.group.0].leaving += 1;
        self.groups[process.group.0].unbind(slot);
        if process.sessions == 0 {
            self.stop(slot);
        }
    }

    pub(super) fn stop(&mut self, slot: Slot) {
        if let Some(process) = self.processes.get_mut(&slot) {
            process.state = State::Stopping;
            self.actions.push(Action::Stop(slot));
        }
    }

    pub(super) fn abandon(&mut self, slot: Slot) {
        if let Some(process) = self.processes.get_mut(&slot) {
            process.state = State::Stopping;
            let group = &mut self.groups[process.group.0];
            group.starting -= 1;
            group.leaving += 1;
            self.actions.push(Action::Abandon(slot));
        }
    }

    pub(super) fn remove(&mut self, slot: Slot) -> Option<Process> {
        let process = self.processes.remove(&slot)?;
        let group = &mut self.groups[process.group.0];
        group.members.retain(|other| *other != slot);
        group.unbind(slot);
        match process.state {
            State::Starting => group.starting -= 1,
            State::Serving => {}
            State::Draining | State::Stopping => group.leaving -= 1,
        }
        Some(process)
    }

    pub(super) fn serving(&self, id: GroupId) -> usize {
        let members = self.groups[id.0].members.iter().filter_map(|slot| self.processes.get(slot));
        members.filter(|p| p.state == State::Serving).count()
    }
}
