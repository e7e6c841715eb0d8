//! The rules for which process serves which request, and when one more is started.

use std::cmp::Reverse;
use std::time::Instant;

use super::{Action, Deployment, GroupId, Pool, Process, Slot, State, Waiter};

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
        let group = &self.groups[id.0];
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
            self.groups[id.0].forget(waiter);
            self.update_starving(id);
            self.begin_session(slot, now);
            self.actions.push(Action::Grant(waiter, slot));
        }
        self.shrink(id);
    }

    /// Returns the request that has waited longest of those that can be served now.
    pub(super) fn next_to_serve(&self, id: GroupId) -> Option<(Waiter, Slot)> {
        let group = &self.groups[id.0];
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
        let group = &mut self.groups[id.0];
        if group.not_before.is_some_and(|at| at <= now) {
            group.not_before = None;
        }
        self.start_starving_groups(now);
        while let Some(start_reason) = self.start_reason(id, now) {
            if !self.has_room_for(start_reason, id) {
                return;
            }
            let slot = self.new_slot(id, now);
            self.actions.push(Action::Spawn(slot, id));
        }
    }

    fn start_reason(&self, id: GroupId, now: Instant) -> Option<StartReason> {
        let group = &self.groups[id.0];
        if self.closing {
            return None;
        }
        if group.is_starving() || group.is_obsolete() {
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

    pub(super) fn has_room_for(&self, start_reason: StartReason, id: GroupId) -> bool {
        let above = usize::from(start_reason == StartReason::Replacement);
        let group = &self.groups[id.0];
        let bounds = [group.options.max_instances, self.limits.max_per_group];
        if bounds.into_iter().any(|most| most != 0 && group.capacity_used() >= most + above) {
            return false;
        }
        let has_room = self.capacity_used() < self.limits.max_processes + above;
        match start_reason {
            StartReason::Demand => has_room && self.counts.starting < self.limits.max_starting,
            StartReason::Replacement => has_room,
        }
    }

    /// Ends idle processes of other groups, the longest idle first, until there is room for a group that has none.
    /// Returns false when too few are idle.
    pub(super) fn make_room_for(&mut self, id: GroupId) -> bool {
        while self.capacity_used() >= self.limits.max_processes {
            let idle = self.processes.iter().filter(|(_, p)| p.group != id && p.is_idle());
            let Some((&slot, _)) = idle.min_by_key(|(slot, p)| (p.last_used, **slot)) else {
                return false;
            };
            self.retire(slot);
        }
        true
    }

    pub(super) fn has_serving_or_starting(&self, id: GroupId) -> bool {
        self.groups[id.0].capacity_used() > 0
    }

    pub(super) fn new_slot(&mut self, id: GroupId, now: Instant) -> Slot {
        let slot = Slot(self.next_slot);
        self.next_slot += 1;
        let group = &mut self.groups[id.0];
        group.members.push(slot);
        group.starting += 1;
        self.processes.insert(slot, Process::starting(id, group.generation, now));
        self.counts.starting += 1;
        self.counts.capacity_used += 1;
        self.update_starving(id);
        slot
    }
}
