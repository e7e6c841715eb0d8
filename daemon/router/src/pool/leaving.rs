//! The end of processes: idle ones end after a time limit, others on request, each after its last session.

use std::time::Instant;

use super::{Action, Deployment, Group, GroupId, Pool, Process, Slot, State};

impl Pool {
    /// Ends processes that were idle for too long and starts those whose back-off is over; returns when to call again.
    pub(crate) fn sweep(&mut self, now: Instant) -> Option<Instant> {
        let mut next: Option<Instant> = None;
        for id in self.groups.numbers().into_iter().map(GroupId) {
            self.balance(id, now);
            let finishing = self.out_of_band_due(id, now);
            let wait_until = self.groups[id.0].deployment.wait_until().filter(|until| *until > now);
            let due = self
                .sweep_group(id, now)
                .into_iter()
                .chain(self.groups[id.0].not_before)
                .chain(wait_until)
                .chain(finishing);
            next = due.chain(next).min();
        }
        next.into_iter().chain(self.sweep_reclaims(now)).min()
    }

    /// Ends idle processes of the group that are due; returns when the next may be due. A busy one is due after the
    /// full idle time at the earliest.
    pub(super) fn sweep_group(&mut self, id: GroupId, now: Instant) -> Option<Instant> {
        let idle_after = self.limits.idle_after?;
        if self.groups[id.0].deployment != Deployment::Settled {
            return None;
        }
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

    /// Stops starting processes; each process ends as soon as it has no session.
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

    /// Gives the process no further session; it ends after its last one.
    pub(super) fn retire(&mut self, slot: Slot) {
        self.cancel_reclaim(slot);
        let Some(process) = self.processes.get_mut(&slot).filter(|p| p.state == State::Serving) else {
            return;
        };
        process.state = State::Draining;
        let (id, sessions) = (process.group, process.sessions);
        self.groups[id.0].leaving += 1;
        self.remove_out_of_band(id, slot);
        self.groups[id.0].unbind(slot);
        self.counts.capacity_used -= 1;
        self.update_starving(id);
        self.finish_rolling(id);
        if sessions == 0 {
            self.stop(slot);
        } else {
            self.actions.push(Action::Drain(slot));
        }
    }

    /// Ends idle processes of the group that exceed a limit, the longest idle first.
    pub(super) fn shrink(&mut self, id: GroupId) {
        while self.exceeds_limit(id) {
            let members = self.groups[id.0].members.iter();
            let idle = members.filter_map(|slot| Some((*slot, self.processes.get(slot)?)));
            let first = idle.filter(|(_, p)| p.is_idle()).min_by_key(|(slot, p)| (p.last_used, *slot));
            let Some((slot, _)) = first else { return };
            self.retire(slot);
        }
    }

    /// Whether the group exceeds a limit that was lowered, or the app is no longer configured. A rolling restart may
    /// exceed the limits by one.
    pub(super) fn exceeds_limit(&self, id: GroupId) -> bool {
        let group = &self.groups[id.0];
        if group.is_obsolete() {
            return group.capacity_used() > 0;
        }
        let above = usize::from(group.is_rolling());
        let bounds = [group.options.max_instances, self.limits.max_per_group];
        bounds.into_iter().any(|most| most != 0 && group.capacity_used() > most + above)
            || self.capacity_used() > self.limits.max_processes && !self.exceeds_by_rolling()
    }

    fn exceeds_by_rolling(&self) -> bool {
        self.capacity_used() == self.limits.max_processes + 1 && self.groups.iter().any(Group::is_rolling)
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
            let id = process.group;
            let group = &mut self.groups[id.0];
            group.starting -= 1;
            group.leaving += 1;
            self.counts.starting -= 1;
            self.counts.capacity_used -= 1;
            self.update_starving(id);
            self.actions.push(Action::Abandon(slot));
        }
    }

    pub(super) fn remove(&mut self, slot: Slot) -> Option<Process> {
        self.cancel_reclaim(slot);
        let process = self.processes.remove(&slot)?;
        let group = &mut self.groups[process.group.0];
        group.members.retain(|other| *other != slot);
        group.unbind(slot);
        group.out_of_band.retain(|other| *other != slot);
        match process.state {
            State::Starting => {
                group.starting -= 1;
                self.counts.starting -= 1;
                self.counts.capacity_used -= 1;
            }
            State::Serving => self.counts.capacity_used -= 1,
            State::Draining | State::Stopping => group.leaving -= 1,
        }
        self.update_starving(process.group);
        self.finish_rolling(process.group);
        Some(process)
    }

    pub(super) fn serving(&self, id: GroupId) -> usize {
        let members = self.groups[id.0].members.iter().filter_map(|slot| self.processes.get(slot));
        members.filter(|p| p.state == State::Serving).count()
    }
}
