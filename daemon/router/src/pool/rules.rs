//! The rules for which process serves which request, and when one more is started.

use std::cmp::Reverse;
use std::time::Instant;

use super::{Action, Deployment, Group, GroupId, Pool, Process, Slot, State, Waiter};

/// The reason why a group gets one more process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StartReason {
    /// The group needs more processes than it has.
    Demand,
    /// A rolling restart replaces a process, which ends afterwards: every limit may be exceeded by one.
    Replacement,
}

impl Pool {
    /// Returns the least busy process of the newest version that has a free slot, if any.
    pub(super) fn least_busy(&self, id: GroupId) -> Option<Slot> {
        let group = &self.groups[id];
        let serving = group.members.iter().filter_map(|slot| Some((*slot, self.processes.get(slot)?)));
        serving
            .filter(|(_, p)| p.has_room())
            .min_by_key(|(_, p)| {
                let rests_since = group.options.takes_turns.then_some(p.last_used);
                (Reverse(p.generation), p.load(), rests_since)
            })
            .map(|(slot, _)| slot)
    }

    pub(super) fn begin_session(&mut self, slot: Slot, now: Instant) {
        if let Some(process) = self.processes.get_mut(&slot) {
            process.begin_session(now);
        }
    }

    pub(super) fn serve_queue(&mut self, id: GroupId, now: Instant) {
        while let Some((waiter, slot)) = self.next_to_serve(id) {
            self.groups[id].remove_waiter(waiter);
            self.update_starving(id);
            self.begin_session(slot, now);
            self.actions.push(Action::Grant(waiter, slot));
        }
        self.shrink(id);
    }

    /// Returns the request that has waited longest of those that can be served now.
    pub(super) fn next_to_serve(&self, id: GroupId) -> Option<(Waiter, Slot)> {
        let group = &self.groups[id];
        if group.paused {
            return None;
        }
        let any = group.queue.first().and_then(|waiter| Some((*waiter, self.least_busy(id)?)));
        let with_room = |slot: &Slot| self.processes.get(slot).is_some_and(Process::has_room);
        let bound = group.bound.iter().filter(|(slot, _)| with_room(slot));
        let bound = bound.filter_map(|(slot, waiters)| Some((*waiters.first()?, *slot)));
        bound.chain(any).min()
    }

    /// Whether the process belongs to the group and serves.
    pub(crate) fn serves(&self, slot: Slot, id: GroupId) -> bool {
        self.processes.get(&slot).is_some_and(|p| p.group == id && p.state == State::Serving)
    }

    /// Starts processes for the group as long as it needs more and may have them. Groups that have none come first.
    pub(super) fn balance(&mut self, id: GroupId, now: Instant) {
        self.groups[id].expire_backoff(now);
        self.start_starving_groups(now);
        while self.start_reason(id, now).is_some_and(|reason| self.has_room_for(reason, id)) {
            self.start_process(id, now);
        }
    }

    fn start_reason(&self, id: GroupId, now: Instant) -> Option<StartReason> {
        let group = &self.groups[id];
        if self.closing || group.is_starving() || group.is_obsolete() {
            return None;
        }
        match group.deployment {
            Deployment::Settled => group.wants_more(self.limits.max_starting).then_some(StartReason::Demand),
            Deployment::Rolling { wait_until } => {
                self.may_replace_another(id, wait_until, now).then_some(StartReason::Replacement)
            }
            Deployment::Resisting => None,
        }
    }

    pub(super) fn has_room_for(&self, reason: StartReason, id: GroupId) -> bool {
        let above = usize::from(reason == StartReason::Replacement);
        let group = &self.groups[id];
        let may_start = above > 0 || self.counts.starting < self.limits.max_starting;
        may_start
            && group.capacity_used() < self.max_processes_of(group).saturating_add(above)
            && self.capacity_used() < self.limits.max_processes + above
    }

    /// Returns the maximum number of processes of the group, apart from the pool's limit.
    pub(super) fn max_processes_of(&self, group: &Group) -> usize {
        let limits = [group.options.max_instances, self.limits.max_per_group];
        limits.into_iter().filter(|max| *max != 0).min().unwrap_or(usize::MAX)
    }

    /// Whether the group has fewer processes than its minimum although the limits allow more, or none at all.
    pub(crate) fn lacks_processes(&self, id: GroupId) -> bool {
        let group = self.group(id);
        let used = group.capacity_used();
        let has_room =
            used < self.max_processes_of(group) && self.capacity_used() < self.limits.max_processes;
        group.is_below_minimum() && (has_room || used == 0)
    }

    /// Has a process started for the group.
    pub(super) fn start_process(&mut self, id: GroupId, now: Instant) {
        let slot = self.new_slot(id, now);
        self.actions.push(Action::Spawn(slot, id));
    }
}
