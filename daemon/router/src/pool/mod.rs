//! The pool: decides which process serves which request, when processes start and when they end.
//!
//! It is a pure state machine. Events are method calls with the current time; the results are [`Action`]s. It starts
//! nothing, waits for nothing and uses no socket, so its rules are tested with thousands of random histories.
//!
//! Its rules are those of Passenger. Each group has one queue, first come, first served. The least busy process gets
//! the next request; of equally busy ones the oldest, so that the others can idle out. A process is started when every
//! process of its group is busy and the pool has room. A group without any process gets one before others get more,
//! and replaces another group's process if necessary.

mod by_number;
mod fairness;
#[cfg(test)]
mod fairness_properties;
mod group;
mod groups;
mod leaving;
mod out_of_band;
mod process;
#[cfg(test)]
mod properties;
mod restart;
mod rules;
#[cfg(test)]
mod scenarios;
mod shortage;
mod transitions;
mod waited_for;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

pub(crate) use by_number::ByNumber;
pub(crate) use group::{Deployment, Group, GroupOptions};
use groups::Groups;
pub(crate) use process::{Concurrency, OutOfBand, Process, State};
pub(crate) use restart::RestartHow;
pub(crate) use shortage::Eviction;

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
#[derive(Debug, Clone)]
pub(crate) struct Pool {
    limits: Limits,
    groups: Groups,
    processes: ByNumber<Slot, Process>,
    next_slot: u64,
    next_waiter: u64,
    next_turn: u64,
    sweep_sooner: bool,
    actions: Vec<Action>,
    evictions: Vec<Eviction>,
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
            groups: Groups::new(),
            processes: ByNumber::default(),
            next_slot: 1,
            next_waiter: 1,
            next_turn: 0,
            sweep_sooner: false,
            actions: Vec::new(),
            evictions: Vec::new(),
            closing: false,
            counts: Counts::default(),
        }
    }

    /// Exchanges the actions since the last call, in order, for an empty list, whose memory is used for the next ones.
    pub(crate) fn swap_actions(&mut self, with: &mut Vec<Action>) {
        std::mem::swap(&mut self.actions, with);
    }

    /// Returns the actions since the last call, in order.
    #[cfg(test)]
    pub(crate) fn take_actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    /// Whether, since the last call, the next sweep may have become due earlier than the last sweep returned.
    pub(crate) fn take_sweep_sooner(&mut self) -> bool {
        std::mem::take(&mut self.sweep_sooner)
    }

    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    /// Applies changed limits. Of the processes that exceed them, idle ones end now and busy ones after their requests.
    pub(crate) fn set_limits(&mut self, limits: Limits, now: Instant) {
        self.limits = limits;
        self.sweep_sooner = true;
        for id in self.groups.ids() {
            self.update(id, now);
        }
    }

    pub(crate) fn group(&self, id: GroupId) -> &Group {
        &self.groups[id]
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

    /// Assigns a new request to a process or queues it. A request whose client was served by `wanted` gets that process
    /// and waits for it if necessary, as long as that process serves.
    pub(crate) fn checkout(&mut self, id: GroupId, wanted: Option<Slot>, now: Instant) -> Checkout {
        let wanted = wanted.filter(|slot| self.serves(*slot, id));
        if let Some(slot) = self.checkout_now(id, wanted, now) {
            return Checkout::Granted(slot);
        }
        let group = &mut self.groups[id];
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

    /// Assigns a new request to a process, if [`Self::checkout`] would do so now; otherwise does nothing.
    pub(crate) fn checkout_now(&mut self, id: GroupId, wanted: Option<Slot>, now: Instant) -> Option<Slot> {
        let free = match wanted.filter(|slot| self.serves(*slot, id)) {
            Some(slot) => self.processes.get(&slot).is_some_and(Process::has_room).then_some(slot),
            None => self.least_busy(id),
        };
        let free = free.filter(|_| !self.groups[id].paused);
        if let Some(slot) = free {
            self.begin_session(slot, now);
        }
        free
    }

    /// Begins a session of this process for an administrator, even if its app is paused; false when it has no free slot.
    pub(crate) fn take(&mut self, slot: Slot, now: Instant) -> bool {
        let has_room = self.processes.get(&slot).is_some_and(Process::has_room);
        if has_room {
            self.begin_session(slot, now);
        }
        has_room
    }

    /// Removes a queued request that was cancelled.
    pub(crate) fn cancel(&mut self, id: GroupId, waiter: Waiter, now: Instant) {
        self.groups[id].remove_waiter(waiter);
        self.update_starving(id);
        self.update(id, now);
    }

    /// Ends a session of a process.
    pub(crate) fn release(&mut self, slot: Slot, now: Instant) {
        let Some(process) = self.processes.get_mut(&slot) else { return };
        process.end_session(now);
        let (id, state, sessions) = (process.group, process.state, process.sessions);
        let used_up = process.reached_max_requests(self.groups[id].options.max_requests);
        let superfluous = sessions == 0 && (self.exceeds_limit(id) || self.settle_reclaim(slot, now));
        match state {
            State::Serving if used_up || superfluous => self.retire(slot),
            State::Draining if sessions == 0 => self.stop(slot),
            _ => {}
        }
        self.update(id, now);
    }

    /// Frees the slot of one of the process's sessions: the app has hijacked its connection, and the thread that served
    /// it is free. The session remains one of its process, which is not idle and does not end before it does.
    pub(crate) fn free_slot(&mut self, slot: Slot, now: Instant) {
        let Some(process) = self.processes.get_mut(&slot) else { return };
        process.hijacked = (process.hijacked + 1).min(process.sessions);
        let id = process.group;
        self.serve_queue(id, now);
    }

    /// Ends a session whose slot was freed.
    pub(crate) fn release_hijacked(&mut self, slot: Slot, now: Instant) {
        if let Some(process) = self.processes.get_mut(&slot) {
            process.hijacked = process.hijacked.saturating_sub(1);
        }
        self.release(slot, now);
    }

    /// Records that a started process can take requests.
    pub(crate) fn ready(&mut self, slot: Slot, concurrency: Concurrency, now: Instant) {
        if let Some(id) = self.make_serving(slot, concurrency, now) {
            self.replace_one(id, now);
            self.update(id, now);
        }
    }

    /// Takes over a serving process from an earlier router. As others may follow, the next sweep starts what the group
    /// lacks.
    pub(crate) fn adopt(&mut self, id: GroupId, concurrency: Concurrency, now: Instant) -> Slot {
        let slot = self.new_slot(id, now);
        self.make_serving(slot, concurrency, now);
        self.serve_queue(id, now);
        slot
    }

    /// Removes a process that did not start. Requests that wait for it fail, unless another process can serve them.
    pub(crate) fn failed(&mut self, slot: Slot, now: Instant) {
        let Some(process) = self.remove(slot) else { return };
        let id = process.group;
        if process.generation == self.groups[id].generation {
            self.record_failure(id, now);
            self.abort_rolling(id);
            let group = &mut self.groups[id];
            // Requests of a paused app continue to wait, as an administrator may be repairing it.
            if !group.paused && group.capacity_used() == 0 {
                let failed = std::mem::take(&mut group.queue);
                self.actions.extend(failed.into_iter().map(|waiter| Action::Fail(waiter, slot)));
                self.update_starving(id);
            }
        }
        self.update(id, now);
    }

    /// Removes a process that has ended. Its group gets another if it needs one.
    pub(crate) fn exited(&mut self, slot: Slot, now: Instant) {
        let Some(process) = self.remove(slot) else { return };
        let id = process.group;
        if process.state == State::Serving && process.failed_early(now) {
            self.record_failure(id, now);
            if process.generation == self.groups[id].generation {
                self.abort_rolling(id);
            }
        }
        self.sweep_sooner = true;
        self.update(id, now);
    }

    /// Takes one process out of service; its group gets another if it needs one. False when the process does not serve.
    pub(crate) fn detach(&mut self, slot: Slot, now: Instant) -> bool {
        let serving = self.processes.get(&slot).filter(|process| process.state == State::Serving);
        let Some(id) = serving.map(|process| process.group) else { return false };
        self.retire(slot);
        self.update(id, now);
        true
    }

    /// Brings a group up to date after a change: serves its queue, then starts the processes and the out-of-band work
    /// that it needs now.
    fn update(&mut self, id: GroupId, now: Instant) {
        self.serve_queue(id, now);
        self.balance(id, now);
        self.advance_out_of_band(id, now);
        self.start_starving_groups(now);
    }

    /// Delays the next start of a group after a failed one.
    fn record_failure(&mut self, id: GroupId, now: Instant) {
        self.groups[id].record_failure(now);
        self.sweep_sooner = true;
    }
}
