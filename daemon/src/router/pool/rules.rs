//! Which process serves which request, and when one more is started.

use std::time::Instant;

use super::{Action, GroupId, Pool, Process, Slot, State, Waiter};

impl Pool {
    /// The serving process with the lowest share of its sessions taken, if any has one free.
    pub(super) fn least_busy(&self, id: GroupId) -> Option<Slot> {
        let serving =
            self.groups[id.0].members.iter().filter_map(|slot| Some((*slot, self.processes.get(slot)?)));
        serving.filter(|(_, p)| p.has_room()).min_by_key(|(_, p)| p.busyness()).map(|(slot, _)| slot)
    }

    pub(super) fn begin_session(&mut self, slot: Slot, now: Instant) {
        if let Some(process) = self.processes.get_mut(&slot) {
            process.begin_session(now);
        }
    }

    pub(super) fn serve_queue(&mut self, id: GroupId, now: Instant) {
        while let Some((waiter, slot)) = self.next_to_serve(id) {
            self.groups[id.0].forget(waiter);
            self.begin_session(slot, now);
            self.actions.push(Action::Grant(waiter, slot));
        }
    }

    /// The request that has waited longest of those that can be served now.
    pub(super) fn next_to_serve(&self, id: GroupId) -> Option<(Waiter, Slot)> {
        let group = &self.groups[id.0];
        let any = group.queue.first().and_then(|waiter| Some((*waiter, self.least_busy(id)?)));
        let with_room = |slot: &Slot| self.processes.get(slot).is_some_and(Process::has_room);
        let bound = group.bound.iter().filter(|(slot, _)| with_room(slot));
        let bound = bound.filter_map(|(slot, waiters)| Some((*waiters.first()?, *slot)));
        bound.chain(any).min()
    }

    pub(super) fn serves(&self, slot: Slot, id: GroupId) -> bool {
        self.processes.get(&slot).is_some_and(|p| p.group == id && p.state == State::Serving)
    }

    /// Starts processes for `id` as long as it needs more and may have them; one at a time.
    pub(super) fn balance(&mut self, id: GroupId, now: Instant) {
        let group = &mut self.groups[id.0];
        if group.not_before.is_some_and(|at| at <= now) {
            group.not_before = None;
        }
        let most = self.limits.max_per_group;
        let is_full = most != 0 && group.capacity_used() >= most;
        if self.closing || is_full || !group.wants_process() {
            return;
        }
        if self.capacity_used() >= self.limits.max_processes && !self.make_room_for(id) {
            return;
        }
        let slot = self.new_slot(id, now);
        self.actions.push(Action::Spawn(slot, id));
    }

    /// Gives groups that wait without any process the room that has just come free; longest wait first.
    pub(super) fn make_room_for_the_starving(&mut self, now: Instant) {
        if self.closing || self.groups.len() < 2 {
            return;
        }
        let starving = self.groups.iter().enumerate().filter(|(_, g)| g.is_starving());
        let first = starving.min_by_key(|(_, g)| g.queue.first().copied()).map(|(at, _)| GroupId(at));
        if let Some(id) = first {
            self.balance(id, now);
        }
    }

    /// Ends the process of another group that has been idle for longest, for a group that has none at all.
    pub(super) fn make_room_for(&mut self, id: GroupId) -> bool {
        if self.groups[id.0].capacity_used() > 0 {
            return false;
        }
        let idle = self.processes.iter().filter(|(_, p)| p.group != id && p.is_idle());
        let Some((&slot, _)) = idle.min_by_key(|(slot, p)| (p.last_used, **slot)) else {
            return false;
        };
        self.retire(slot);
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
        slot
    }
}
