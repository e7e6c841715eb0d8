//! The pool: which process serves which request, when processes are started and when they go.
//!
//! A pure state machine. Events come in as method calls with the time; what must be done comes out as [`Action`]s.
//! It starts nothing, waits for nothing and knows no socket, so its rules can be tested by the thousand.
//!
//! Rules, as Passenger has them: one queue a group, first come first served; the least busy process takes the next
//! request, the first among equals, so that the others can idle out; a process is started when every process of its
//! group is busy and the pool has room; a group without any process takes the place of another group's idle one.

mod group;
mod process;
#[cfg(test)]
mod properties;

use std::collections::HashMap;
use std::time::{Duration, Instant};

pub(crate) use group::{Group, GroupOptions};
pub(crate) use process::{Concurrency, Process, State};

/// Names a group for the life of the router.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct GroupId(pub(crate) usize);

/// Names a process in the pool, from the decision to start it until it has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Slot(pub(crate) u64);

/// Names a queued request. Later requests have larger numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Waiter(pub(crate) u64);

/// What the pool wants done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Start a process for this slot.
    Spawn(Slot, GroupId),
    /// The queued request goes to this process; the session is already counted.
    Grant(Waiter, Slot),
    /// The queued request cannot be served, since the process for this slot did not start.
    Fail(Waiter, Slot),
    /// End this process: it has no session left.
    Stop(Slot),
    /// End this process at once: it was still starting, for a version of the app that is no longer wanted.
    Abandon(Slot),
}

/// The pool's answer to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Checkout {
    /// It goes to this process; the session is already counted.
    Granted(Slot),
    /// It waits; an [`Action`] will name its waiter.
    Queued(Waiter),
    /// The group's queue is full.
    Full,
}

/// Bounds of the whole pool.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Most processes that start or serve at a time.
    pub(crate) max_processes: usize,
    /// Most of them in one group, whatever its settings allow; 0 for no limit.
    pub(crate) max_per_group: usize,
    /// How long a process may be idle before it is ended; `None` for ever.
    pub(crate) idle_after: Option<Duration>,
}

/// All groups and processes.
#[derive(Debug)]
pub(crate) struct Pool {
    limits: Limits,
    groups: Vec<Group>,
    processes: HashMap<Slot, Process>,
    next_slot: u64,
    next_waiter: u64,
    actions: Vec<Action>,
    closing: bool,
}

impl Pool {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            groups: Vec::new(),
            processes: HashMap::new(),
            next_slot: 1,
            next_waiter: 1,
            actions: Vec::new(),
            closing: false,
        }
    }

    /// What is to be done since the last call, in order.
    pub(crate) fn take_actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    /// Takes changed bounds over. Processes above them stay until they are idle or leave.
    pub(crate) fn set_limits(&mut self, limits: Limits, now: Instant) {
        self.limits = limits;
        for group in 0..self.groups.len() {
            self.balance(GroupId(group), now);
        }
    }

    pub(crate) fn group(&self, id: GroupId) -> &Group {
        &self.groups[id.0]
    }

    pub(crate) fn process(&self, slot: Slot) -> Option<&Process> {
        self.processes.get(&slot)
    }

    /// Processes that start or serve: those that the limit counts.
    pub(crate) fn capacity_used(&self) -> usize {
        self.groups.iter().map(Group::capacity_used).sum()
    }

    /// Processes that have not ended.
    pub(crate) fn is_empty(&self) -> bool {
        self.processes.is_empty()
    }

    pub(crate) fn add_group(&mut self, options: GroupOptions) -> GroupId {
        self.groups.push(Group::new(options));
        GroupId(self.groups.len() - 1)
    }

    /// Takes changed settings over; they count from the next decision on.
    pub(crate) fn set_options(&mut self, id: GroupId, options: GroupOptions) {
        self.groups[id.0].options = options;
    }

    /// A request arrives. One whose client was served by `wanted` goes there, and waits for it if need be, as long as
    /// that process serves.
    pub(crate) fn checkout(&mut self, id: GroupId, wanted: Option<Slot>, now: Instant) -> Checkout {
        let wanted = wanted.filter(|slot| self.serves(*slot, id));
        let free = match wanted {
            Some(slot) => self.processes.get(&slot).is_some_and(Process::has_room).then_some(slot),
            None => self.least_busy(id),
        };
        if let Some(slot) = free {
            self.begin_session(slot, now);
            return Checkout::Granted(slot);
        }
        let group = &mut self.groups[id.0];
        if group.queue_is_full() {
            return Checkout::Full;
        }
        let waiter = Waiter(self.next_waiter);
        self.next_waiter += 1;
        match wanted {
            Some(slot) => group.bound.entry(slot).or_default().insert(waiter),
            None => group.queue.insert(waiter),
        };
        self.balance(id, now);
        Checkout::Queued(waiter)
    }

    /// A queued request's client has gone.
    pub(crate) fn cancel(&mut self, id: GroupId, waiter: Waiter) {
        self.groups[id.0].forget(waiter);
    }

    /// A request is done.
    pub(crate) fn release(&mut self, slot: Slot, now: Instant) {
        let Some(process) = self.processes.get_mut(&slot) else {
            return;
        };
        process.end_session(now);
        let id = process.group;
        match process.state {
            State::Serving if process.used_up(self.groups[id.0].options.max_requests) => {
                self.retire(slot);
                self.serve_queue(id, now);
                self.balance(id, now);
            }
            State::Serving => self.serve_queue(id, now),
            State::Draining if process.sessions == 0 => self.stop(slot),
            State::Draining | State::Starting | State::Stopping => {}
        }
        self.make_room_for_the_starving(now);
    }

    /// A started process can take requests.
    pub(crate) fn ready(&mut self, slot: Slot, concurrency: Concurrency, now: Instant) {
        let Some(process) = self.processes.get_mut(&slot) else {
            return;
        };
        if process.state != State::Starting {
            return;
        }
        process.state = State::Serving;
        process.concurrency = concurrency;
        process.last_used = now;
        let id = process.group;
        self.groups[id.0].starting -= 1;
        self.groups[id.0].failures = 0;
        self.groups[id.0].used = true;
        self.serve_queue(id, now);
        self.balance(id, now);
        self.make_room_for_the_starving(now);
    }

    /// Takes over a process that serves already, from an earlier router.
    pub(crate) fn adopt(&mut self, id: GroupId, concurrency: Concurrency, now: Instant) -> Slot {
        let slot = self.new_slot(id, now);
        self.ready(slot, concurrency, now);
        slot
    }

    /// A process did not start. Requests that wait for it fail, unless another process can still serve them.
    pub(crate) fn failed(&mut self, slot: Slot, now: Instant) {
        let Some(process) = self.remove(slot) else { return };
        let id = process.group;
        let current = process.generation == self.groups[id.0].generation;
        if current {
            self.groups[id.0].note_failure(now);
        }
        let hopeless = current && !self.has_serving_or_starting(id);
        if hopeless {
            for waiter in std::mem::take(&mut self.groups[id.0].queue) {
                self.actions.push(Action::Fail(waiter, slot));
            }
        }
        self.balance(id, now);
        self.make_room_for_the_starving(now);
    }

    /// A process has ended. Its group gets another if it needs one.
    pub(crate) fn exited(&mut self, slot: Slot, now: Instant) {
        let Some(process) = self.remove(slot) else { return };
        let id = process.group;
        if process.state == State::Serving && process.died_young(now) {
            self.groups[id.0].note_failure(now);
        }
        self.serve_queue(id, now);
        self.balance(id, now);
        self.make_room_for_the_starving(now);
    }

    /// A blocking restart: every process is replaced; requests wait for the new ones.
    pub(crate) fn restart(&mut self, id: GroupId, now: Instant) {
        let group = &mut self.groups[id.0];
        group.generation += 1;
        group.failures = 0;
        group.not_before = None;
        for slot in group.members.clone() {
            match self.processes.get(&slot).map(|p| p.state) {
                Some(State::Serving) => self.retire(slot),
                Some(State::Starting) => self.abandon(slot),
                _ => {}
            }
        }
        self.balance(id, now);
    }

    /// Takes one process out of service; its group gets another if it needs one. False when there is none to take.
    pub(crate) fn detach(&mut self, slot: Slot, now: Instant) -> bool {
        match self.processes.get(&slot) {
            Some(process) if process.state == State::Serving => {
                let id = process.group;
                self.retire(slot);
                self.serve_queue(id, now);
                self.balance(id, now);
                true
            }
            _ => false,
        }
    }

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

    /// The serving process with the lowest share of its sessions taken, if any has one free.
    fn least_busy(&self, id: GroupId) -> Option<Slot> {
        let serving =
            self.groups[id.0].members.iter().filter_map(|slot| Some((*slot, self.processes.get(slot)?)));
        serving.filter(|(_, p)| p.has_room()).min_by_key(|(_, p)| p.busyness()).map(|(slot, _)| slot)
    }

    fn begin_session(&mut self, slot: Slot, now: Instant) {
        if let Some(process) = self.processes.get_mut(&slot) {
            process.begin_session(now);
        }
    }

    fn serve_queue(&mut self, id: GroupId, now: Instant) {
        while let Some((waiter, slot)) = self.next_to_serve(id) {
            self.groups[id.0].forget(waiter);
            self.begin_session(slot, now);
            self.actions.push(Action::Grant(waiter, slot));
        }
    }

    /// The request that has waited longest of those that can be served now.
    fn next_to_serve(&self, id: GroupId) -> Option<(Waiter, Slot)> {
        let group = &self.groups[id.0];
        let any = group.queue.first().and_then(|waiter| Some((*waiter, self.least_busy(id)?)));
        let with_room = |slot: &Slot| self.processes.get(slot).is_some_and(Process::has_room);
        let bound = group.bound.iter().filter(|(slot, _)| with_room(slot));
        let bound = bound.filter_map(|(slot, waiters)| Some((*waiters.first()?, *slot)));
        bound.chain(any).min()
    }

    fn serves(&self, slot: Slot, id: GroupId) -> bool {
        self.processes.get(&slot).is_some_and(|p| p.group == id && p.state == State::Serving)
    }

    /// Starts processes for `id` as long as it needs more and may have them; one at a time.
    fn balance(&mut self, id: GroupId, now: Instant) {
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

    /// Ends the process of another group that has been idle for longest, for a group that has none at all.
    fn make_room_for(&mut self, id: GroupId) -> bool {
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

    /// Gives groups that wait without any process the room that has just come free; longest wait first.
    fn make_room_for_the_starving(&mut self, now: Instant) {
        if self.closing || self.groups.len() < 2 {
            return;
        }
        let starving = self.groups.iter().enumerate().filter(|(_, g)| g.is_starving());
        let first = starving.min_by_key(|(_, g)| g.queue.first().copied()).map(|(at, _)| GroupId(at));
        if let Some(id) = first {
            self.balance(id, now);
        }
    }

    fn has_serving_or_starting(&self, id: GroupId) -> bool {
        self.groups[id.0].capacity_used() > 0
    }

    fn new_slot(&mut self, id: GroupId, now: Instant) -> Slot {
        let slot = Slot(self.next_slot);
        self.next_slot += 1;
        let group = &mut self.groups[id.0];
        group.members.push(slot);
        group.starting += 1;
        self.processes.insert(slot, Process::starting(id, group.generation, now));
        slot
    }

    /// No new session for this process; it ends with its last one.
    fn retire(&mut self, slot: Slot) {
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

    fn stop(&mut self, slot: Slot) {
        if let Some(process) = self.processes.get_mut(&slot) {
            process.state = State::Stopping;
            self.actions.push(Action::Stop(slot));
        }
    }

    fn abandon(&mut self, slot: Slot) {
        if let Some(process) = self.processes.get_mut(&slot) {
            process.state = State::Stopping;
            let group = &mut self.groups[process.group.0];
            group.starting -= 1;
            group.leaving += 1;
            self.actions.push(Action::Abandon(slot));
        }
    }

    fn remove(&mut self, slot: Slot) -> Option<Process> {
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

    /// When a process of the group may be due next; a busy one cannot be before it has been idle for the whole time.
    fn sweep_group(&mut self, id: GroupId, now: Instant) -> Option<Instant> {
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

    fn serving(&self, id: GroupId) -> usize {
        let members = self.groups[id.0].members.iter().filter_map(|slot| self.processes.get(slot));
        members.filter(|p| p.state == State::Serving).count()
    }
}
