//! The pool: decides which process serves which request, when processes start and when they end.
//!
//! It is a pure state machine. Events are method calls with the current time; the results are [`Action`]s. It starts
//! nothing, waits for nothing and uses no socket, so its rules are tested with thousands of random histories.
//!
//! Its rules are those of Passenger. Each group has one queue, first come, first served. The least busy process gets
//! the next request; of equally busy ones the oldest, so that the others can idle out. A process is started when every
//! process of its group is busy and the pool has room. A group without any process gets one before others get more,
//! and replaces another group's process if necessary.

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

/// Identifies a group for the lifetime of the router.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct GroupId(pub(crate) usize);

/// Identifies a process in the pool, from the decision to start it until it has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Slot(pub(crate) u64);

/// Identifies a queued request. Later requests have larger numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Waiter(pub(crate) u64);

/// An action that the pool requires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Start a process for this slot.
    Spawn(Slot, GroupId),
    /// Give the queued request to this process; the session is already counted.
    Grant(Waiter, Slot),
    /// Reject the queued request, as the process for this slot did not start.
    Fail(Waiter, Slot),
    /// Drain this process: it gets no further request, and ends after those it has.
    Drain(Slot),
    /// End this process: it has no session left.
    Stop(Slot),
    /// End this process immediately: it is still starting, but is no longer needed.
    Abandon(Slot),
    /// Have this process do its out-of-band work: it gets no request meanwhile.
    WorkOutOfBand(Slot),
    /// The group's rolling restart is complete.
    Deployed(GroupId),
    /// The group's new version did not start: remaining processes of the old one continue to serve.
    Undeployed(GroupId),
}

/// The pool's decision about a new request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Checkout {
    /// This process serves the request; the session is already counted.
    Granted(Slot),
    /// The request waits; a later [`Action`] names its waiter.
    Queued(Waiter),
    /// The group's queue is full.
    Full,
}

/// Limits of the whole pool.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Maximum number of processes that start or serve at a time.
    pub(crate) max_processes: usize,
    /// Maximum number of them in one group, even if its settings allow more; 0 for no limit.
    pub(crate) max_per_group: usize,
    /// Maximum number of processes that start at a time, not counting the first ones of groups that have none.
    pub(crate) max_starting: usize,
    /// How long a process may be idle before it is ended; `None` for no limit.
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

/// Totals over all groups, kept so that the cost of a request does not depend on the number of groups.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Counts {
    /// Number of processes that start or serve.
    capacity_used: usize,
    /// Number of processes that start.
    starting: usize,
    /// Groups whose requests wait although they have no process.
    starving: BTreeSet<GroupId>,
    /// Number of processes that are to be given up for them.
    reclaiming: usize,
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

    /// Returns the actions since the last call, in order.
    pub(crate) fn take_actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    /// Whether, since the last call, the next sweep may have become due earlier than the last one returned.
    pub(crate) fn take_sweep_sooner(&mut self) -> bool {
        std::mem::take(&mut self.sweep_sooner)
    }

    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    /// Applies changed limits. Of the processes that exceed them, idle ones end now and busy ones after their requests.
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

    /// Returns the number of processes that start or serve, to which the limit applies.
    pub(crate) fn capacity_used(&self) -> usize {
        self.counts.capacity_used
    }

    /// Whether every process has ended.
    pub(crate) fn is_empty(&self) -> bool {
        self.processes.is_empty()
    }

    pub(crate) fn add_group(&mut self, options: GroupOptions) -> GroupId {
        GroupId(self.groups.insert(Group::new(options)))
    }

    /// Removes a group that has no process and no waiting request; false when it has.
    pub(crate) fn forget(&mut self, id: GroupId) -> bool {
        let deserted = self.is_unused(id);
        if deserted {
            self.groups.remove(id.0);
        }
        deserted
    }

    /// Whether the group exists: true until it is forgotten.
    pub(crate) fn contains(&self, id: GroupId) -> bool {
        self.groups.contains(id.0)
    }

    /// Applies a group's changed settings immediately.
    pub(crate) fn set_options(&mut self, id: GroupId, options: GroupOptions, now: Instant) {
        self.groups[id.0].options = options;
        self.shrink(id);
        self.balance(id, now);
    }

    /// Assigns a new request to a process or queues it. A request whose client was served by `wanted` gets that process
    /// and waits for it if necessary, as long as that process serves.
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
        self.update_starving(id);
        self.balance(id, now);
        Checkout::Queued(waiter)
    }

    /// Removes a queued request that was cancelled.
    pub(crate) fn cancel(&mut self, id: GroupId, waiter: Waiter, now: Instant) {
        self.groups[id.0].forget(waiter);
        self.update_starving(id);
        self.shrink(id);
        self.start_starving_groups(now);
    }

    /// Ends a session of a process.
    pub(crate) fn release(&mut self, slot: Slot, now: Instant) {
        let Some(process) = self.processes.get_mut(&slot) else {
            return;
        };
        process.end_session(now);
        let (id, state, sessions) = (process.group, process.state, process.sessions);
        let reached_max_requests = process.reached_max_requests(self.groups[id.0].options.max_requests);
        let superfluous = sessions == 0 && (self.exceeds_limit(id) || self.settle_reclaim(slot, now));
        match state {
            State::Serving if reached_max_requests || superfluous => {
                self.retire(slot);
                self.serve_queue(id, now);
                self.balance(id, now);
            }
            State::Serving => {
                self.serve_queue(id, now);
                self.advance_out_of_band(id, now);
            }
            State::Draining if sessions == 0 => self.stop(slot),
            State::Draining | State::Starting | State::Stopping => {}
        }
        self.start_starving_groups(now);
    }

    /// Records that a started process can take requests.
    pub(crate) fn ready(&mut self, slot: Slot, concurrency: Concurrency, now: Instant) {
        let Some(id) = self.make_serving(slot, concurrency, now) else {
            return;
        };
        self.replace_one(id, now);
        self.serve_queue(id, now);
        self.balance(id, now);
        self.advance_out_of_band(id, now);
        self.start_starving_groups(now);
    }

    /// Takes over a serving process from an earlier router. As others may follow, the next sweep starts what the group
    /// lacks.
    pub(crate) fn adopt(&mut self, id: GroupId, concurrency: Concurrency, now: Instant) -> Slot {
        let slot = self.new_slot(id, now);
        self.make_serving(slot, concurrency, now);
        self.serve_queue(id, now);
        slot
    }

    /// Lets a starting process serve; returns its group.
    fn make_serving(&mut self, slot: Slot, concurrency: Concurrency, now: Instant) -> Option<GroupId> {
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

    /// Removes a process that did not start. Requests that wait for it fail, unless another process can serve them.
    pub(crate) fn failed(&mut self, slot: Slot, now: Instant) {
        let Some(process) = self.remove(slot) else { return };
        let id = process.group;
        let current = process.generation == self.groups[id.0].generation;
        if current {
            self.groups[id.0].record_failure(now);
            self.abort_rolling(id);
        }
        // Requests of a paused app continue to wait, as an administrator may be repairing it.
        let hopeless = current && !self.groups[id.0].paused && !self.has_serving_or_starting(id);
        if hopeless {
            for waiter in std::mem::take(&mut self.groups[id.0].queue) {
                self.actions.push(Action::Fail(waiter, slot));
            }
            self.update_starving(id);
        }
        self.balance(id, now);
        self.advance_out_of_band(id, now);
        self.start_starving_groups(now);
    }

    /// Removes a process that has ended. Its group gets another if it needs one.
    pub(crate) fn exited(&mut self, slot: Slot, now: Instant) {
        let Some(process) = self.remove(slot) else { return };
        let id = process.group;
        if process.state == State::Serving && process.failed_early(now) {
            self.groups[id.0].record_failure(now);
            if process.generation == self.groups[id.0].generation {
                self.abort_rolling(id);
            }
        }
        self.serve_queue(id, now);
        self.balance(id, now);
        self.advance_out_of_band(id, now);
        self.start_starving_groups(now);
    }

    /// Takes one process out of service; its group gets another if it needs one. False when the process does not serve.
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
