//! The pool: which process serves which request, when processes are started and when they go.
//!
//! A pure state machine. Events come in as method calls with the time; what must be done comes out as [`Action`]s.
//! It starts nothing, waits for nothing and knows no socket, so its rules can be tested by the thousand.
//!
//! Rules, as Passenger has them: one queue a group, first come first served; the least busy process takes the next
//! request, the first among equals, so that the others can idle out; a process is started when every process of its
//! group is busy and the pool has room. A group without any process gets one before others get more, and takes the place
//! of another group's process if need be.

mod configured;
mod fairness;
#[cfg(test)]
mod fairness_properties;
mod group;
mod hijacked;
mod leaving;
mod out_of_band;
mod paused;
mod process;
#[cfg(test)]
mod properties;
mod restart;
mod rules;
#[cfg(test)]
mod scenarios;
mod slab;
mod waited_for;

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

pub(crate) use group::{Deployment, Group, GroupOptions};
pub(crate) use process::{Concurrency, OutOfBand, Process, State};
pub(crate) use restart::RestartHow;
use slab::Slab;

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
    /// This process gets no further request, and ends after those it has.
    Drain(Slot),
    /// End this process: it has no session left.
    Stop(Slot),
    /// End this process at once: it was still starting, for a version of the app that is no longer wanted.
    Abandon(Slot),
    /// This process is to do its out-of-band work: it gets no request meanwhile.
    WorkOutOfBand(Slot),
    /// The group's rolling restart is complete.
    Deployed(GroupId),
    /// The group's new version did not start: what is left of the old one serves on.
    Undeployed(GroupId),
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
    /// Most processes that start at a time, besides the first ones of groups that have none.
    pub(crate) max_starting: usize,
    /// How long a process may be idle before it is ended; `None` for ever.
    pub(crate) idle_after: Option<Duration>,
}

/// All groups and processes.
#[derive(Debug)]
pub(crate) struct Pool {
    limits: Limits,
    groups: Slab,
    processes: HashMap<Slot, Process>,
    next_slot: u64,
    next_waiter: u64,
    next_turn: u64,
    sweep_sooner: bool,
    actions: Vec<Action>,
    closing: bool,
    counts: Counts,
}

/// What a decision needs to know of all groups, kept so that a request costs the same with many as with few.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Counts {
    /// Processes that start or serve.
    capacity_used: usize,
    /// Processes that start.
    starting: usize,
    /// Groups whose requests wait although they have no process.
    starving: BTreeSet<GroupId>,
    /// Processes that are to be given up for them.
    owed: usize,
}

impl Pool {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            groups: Slab::new(),
            processes: HashMap::new(),
            next_slot: 1,
            next_waiter: 1,
            next_turn: 0,
            sweep_sooner: false,
            actions: Vec::new(),
            closing: false,
            counts: Counts::default(),
        }
    }

    /// What is to be done since the last call, in order.
    pub(crate) fn take_actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    /// True when the next sweep may be due earlier than the last one said, since the last call.
    pub(crate) fn take_sweep_sooner(&mut self) -> bool {
        std::mem::take(&mut self.sweep_sooner)
    }

    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    /// Takes changed bounds over. Of the processes above them, idle ones go now and busy ones with their requests.
    pub(crate) fn set_limits(&mut self, limits: Limits, now: Instant) {
        self.limits = limits;
        for id in self.groups.numbers().into_iter().map(GroupId) {
            self.shrink(id);
            self.balance(id, now);
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
        self.counts.capacity_used
    }

    /// Processes that have not ended.
    pub(crate) fn is_empty(&self) -> bool {
        self.processes.is_empty()
    }

    pub(crate) fn add_group(&mut self, options: GroupOptions) -> GroupId {
        GroupId(self.groups.insert(Group::new(options)))
    }

    /// Forgets a group of which nothing is left; false when something is.
    pub(crate) fn forget(&mut self, id: GroupId) -> bool {
        let deserted = self.is_deserted(id);
        if deserted {
            self.groups.remove(id.0);
        }
        deserted
    }

    /// True until it is forgotten.
    pub(crate) fn knows(&self, id: GroupId) -> bool {
        self.groups.contains(id.0)
    }

    /// Takes changed settings over, at once.
    pub(crate) fn set_options(&mut self, id: GroupId, options: GroupOptions, now: Instant) {
        self.groups[id.0].options = options;
        self.shrink(id);
        self.balance(id, now);
    }

    /// A request arrives. One whose client was served by `wanted` goes there, and waits for it if need be, as long as
    /// that process serves.
    pub(crate) fn checkout(&mut self, id: GroupId, wanted: Option<Slot>, now: Instant) -> Checkout {
        let wanted = wanted.filter(|slot| self.serves(*slot, id));
        let free = match wanted {
            Some(slot) => self.processes.get(&slot).is_some_and(Process::has_room).then_some(slot),
            None => self.least_busy(id),
        };
        let free = free.filter(|_| !self.groups[id.0].paused);
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
        self.note(id);
        self.balance(id, now);
        Checkout::Queued(waiter)
    }

    /// A queued request's client has gone.
    pub(crate) fn cancel(&mut self, id: GroupId, waiter: Waiter, now: Instant) {
        self.groups[id.0].forget(waiter);
        self.note(id);
        self.shrink(id);
        self.feed_the_starving(now);
    }

    /// A request is done.
    pub(crate) fn release(&mut self, slot: Slot, now: Instant) {
        let Some(process) = self.processes.get_mut(&slot) else {
            return;
        };
        process.end_session(now);
        let (id, state, sessions) = (process.group, process.state, process.sessions);
        let used_up = process.used_up(self.groups[id.0].options.max_requests);
        let superfluous = sessions == 0 && (self.has_too_many(id) || self.pays_a_debt(slot, now));
        match state {
            State::Serving if used_up || superfluous => {
                self.retire(slot);
                self.serve_queue(id, now);
                self.balance(id, now);
            }
            State::Serving => {
                self.serve_queue(id, now);
                self.turn_to_out_of_band(id, now);
            }
            State::Draining if sessions == 0 => self.stop(slot),
            State::Draining | State::Starting | State::Stopping => {}
        }
        self.feed_the_starving(now);
    }

    /// A started process can take requests.
    pub(crate) fn ready(&mut self, slot: Slot, concurrency: Concurrency, now: Instant) {
        let Some(id) = self.put_to_work(slot, concurrency, now) else {
            return;
        };
        self.replace_one(id, now);
        self.serve_queue(id, now);
        self.balance(id, now);
        self.turn_to_out_of_band(id, now);
        self.feed_the_starving(now);
    }

    /// Takes over a process that serves already, from an earlier router. Others may follow: what the group lacks then is
    /// started by the next sweep.
    pub(crate) fn adopt(&mut self, id: GroupId, concurrency: Concurrency, now: Instant) -> Slot {
        let slot = self.new_slot(id, now);
        self.put_to_work(slot, concurrency, now);
        self.serve_queue(id, now);
        slot
    }

    /// The group of a process that was starting and now serves.
    fn put_to_work(&mut self, slot: Slot, concurrency: Concurrency, now: Instant) -> Option<GroupId> {
        let process = self.processes.get_mut(&slot).filter(|process| process.state == State::Starting)?;
        process.state = State::Serving;
        process.concurrency = concurrency;
        process.last_used = now;
        process.ready = now;
        let id = process.group;
        self.groups[id.0].starting -= 1;
        self.counts.starting -= 1;
        self.groups[id.0].failures = 0;
        self.groups[id.0].used = true;
        Some(id)
    }

    /// A process did not start. Requests that wait for it fail, unless another process can still serve them.
    pub(crate) fn failed(&mut self, slot: Slot, now: Instant) {
        let Some(process) = self.remove(slot) else { return };
        let id = process.group;
        let current = process.generation == self.groups[id.0].generation;
        if current {
            self.groups[id.0].note_failure(now);
            self.give_up_rolling(id);
        }
        // Requests of a paused app wait for somebody who may be mending it.
        let hopeless = current && !self.groups[id.0].paused && !self.has_serving_or_starting(id);
        if hopeless {
            for waiter in std::mem::take(&mut self.groups[id.0].queue) {
                self.actions.push(Action::Fail(waiter, slot));
            }
            self.note(id);
        }
        self.balance(id, now);
        self.turn_to_out_of_band(id, now);
        self.feed_the_starving(now);
    }

    /// A process has ended. Its group gets another if it needs one.
    pub(crate) fn exited(&mut self, slot: Slot, now: Instant) {
        let Some(process) = self.remove(slot) else { return };
        let id = process.group;
        if process.state == State::Serving && process.died_young(now) {
            self.groups[id.0].note_failure(now);
            if process.generation == self.groups[id.0].generation {
                self.give_up_rolling(id);
            }
        }
        self.serve_queue(id, now);
        self.balance(id, now);
        self.turn_to_out_of_band(id, now);
        self.feed_the_starving(now);
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
}
