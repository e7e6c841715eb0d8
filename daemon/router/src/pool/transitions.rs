//! Transitions of processes between states, and the counts that depend on these.

use std::time::Instant;

use super::{Action, Concurrency, GroupId, Pool, Process, Slot, State};

impl Pool {
    /// Adds a starting process.
    pub(super) fn new_slot(&mut self, id: GroupId, now: Instant) -> Slot {
        let slot = Slot(self.next_slot);
        self.next_slot += 1;
        let group = &mut self.groups[id];
        group.members.push(slot);
        self.processes.insert(slot, Process::starting(id, group.generation, now));
        self.count(id, None, Some(State::Starting));
        slot
    }

    /// Lets a starting process serve; returns its group.
    pub(super) fn make_serving(
        &mut self,
        slot: Slot,
        concurrency: Concurrency,
        now: Instant,
    ) -> Option<GroupId> {
        let process = self.processes.get_mut(&slot).filter(|process| process.state == State::Starting)?;
        process.concurrency = concurrency;
        process.last_used = now;
        process.ready = now;
        let id = process.group;
        self.groups[id].failures = 0;
        self.groups[id].used = true;
        self.sweep_sooner = true;
        self.set_state(slot, State::Serving);
        Some(id)
    }

    /// Gives the process no further session; it ends after its last one.
    pub(super) fn retire(&mut self, slot: Slot) {
        self.cancel_reclaim(slot);
        let Some(process) = self.processes.get(&slot).filter(|p| p.state == State::Serving) else { return };
        let (id, sessions) = (process.group, process.sessions);
        self.remove_out_of_band(id, slot);
        self.groups[id].unbind(slot);
        self.set_state(slot, State::Draining);
        self.finish_rolling(id);
        if sessions == 0 {
            self.stop(slot);
        } else {
            self.actions.push(Action::Drain(slot));
        }
    }

    /// Ends a process that has no session.
    pub(super) fn stop(&mut self, slot: Slot) {
        self.set_state(slot, State::Stopping);
        self.actions.push(Action::Stop(slot));
    }

    /// Ends a process that is still starting.
    pub(super) fn abandon(&mut self, slot: Slot) {
        self.set_state(slot, State::Stopping);
        self.actions.push(Action::Abandon(slot));
    }

    /// Removes a process that has ended or did not start.
    pub(super) fn remove(&mut self, slot: Slot) -> Option<Process> {
        self.cancel_reclaim(slot);
        let process = self.processes.remove(&slot)?;
        let group = &mut self.groups[process.group];
        group.members.retain(|other| *other != slot);
        group.unbind(slot);
        self.remove_out_of_band(process.group, slot);
        self.count(process.group, Some(process.state), None);
        self.finish_rolling(process.group);
        Some(process)
    }

    pub(super) fn in_state(&self, id: GroupId, state: State) -> Vec<Slot> {
        let is = |slot: &&Slot| self.processes.get(slot).is_some_and(|process| process.state == state);
        self.groups[id].members.iter().filter(is).copied().collect()
    }

    fn set_state(&mut self, slot: Slot, state: State) {
        if let Some(process) = self.processes.get_mut(&slot) {
            let before = std::mem::replace(&mut process.state, state);
            let id = process.group;
            self.count(id, Some(before), Some(state));
        }
    }

    /// Updates the counts for a process that changes its state; `None` is outside of the pool.
    fn count(&mut self, id: GroupId, from: Option<State>, to: Option<State>) {
        let add = |count: &mut usize, states: [State; 2]| {
            let is_one = |state: Option<State>| usize::from(state.is_some_and(|s| states.contains(&s)));
            *count = *count + is_one(to) - is_one(from);
        };
        let group = &mut self.groups[id];
        add(&mut group.starting, [State::Starting; 2]);
        add(&mut group.leaving, [State::Draining, State::Stopping]);
        add(&mut self.counts.starting, [State::Starting; 2]);
        add(&mut self.counts.capacity_used, [State::Starting, State::Serving]);
        self.update_starving(id);
    }
}
