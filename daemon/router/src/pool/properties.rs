//! Property tests of the pool with random histories.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

const GROUPS: usize = 3;

#[derive(Debug, Clone)]
pub(crate) enum Event {
    /// A request for a group, from a client of the process with this number.
    Request(usize, usize),
    Cancel(usize),
    Release(usize),
    /// Frees the slot of a session; the session continues.
    Hijack(usize),
    Ready(usize),
    Fail(usize),
    Exit(usize),
    Restart(usize, RestartHow),
    Detach(usize),
    Configure(usize, bool),
    Pause(usize, bool),
    TurnAway(usize),
    /// Takes a session of the process with this number for an administrator.
    Take(usize),
    Keep(usize),
    AskOutOfBand(usize),
    EndOutOfBand(usize),
    Pass(u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (0..GROUPS, 0..40usize).prop_map(|(group, client_of)| Event::Request(group, client_of)),
        1 => any::<usize>().prop_map(Event::Cancel),
        5 => any::<usize>().prop_map(Event::Release),
        2 => any::<usize>().prop_map(Event::Hijack),
        5 => any::<usize>().prop_map(Event::Ready),
        1 => any::<usize>().prop_map(Event::Fail),
        3 => any::<usize>().prop_map(Event::Exit),
        1 => (0..GROUPS, restart_how()).prop_map(|(group, how)| Event::Restart(group, how)),
        1 => any::<usize>().prop_map(Event::Detach),
        1 => (0..GROUPS, any::<bool>()).prop_map(|(group, is)| Event::Configure(group, is)),
        1 => (0..GROUPS, any::<bool>()).prop_map(|(group, is)| Event::Pause(group, is)),
        1 => (0..GROUPS).prop_map(Event::TurnAway),
        1 => (0..40usize).prop_map(Event::Take),
        1 => (0..GROUPS).prop_map(Event::Keep),
        2 => any::<usize>().prop_map(Event::AskOutOfBand),
        2 => any::<usize>().prop_map(Event::EndOutOfBand),
        2 => (0..400u64).prop_map(Event::Pass),
    ]
}

fn restart_how() -> impl Strategy<Value = RestartHow> {
    prop_oneof![Just(RestartHow::Blocking), Just(RestartHow::Rolling)]
}

/// The pool and a model of the requests and processes around it.
struct World {
    pool: Pool,
    now: Instant,
    /// Waiting requests, each with the process that it is bound to: one that served when the request arrived.
    waiting: BTreeMap<Waiter, (GroupId, Option<Slot>)>,
    sessions: Vec<Slot>,
    hijacked: Vec<Slot>,
    working: BTreeSet<Slot>,
    starting: BTreeSet<Slot>,
    stopping: BTreeSet<Slot>,
    /// When the next sweep is due.
    due: Option<Instant>,
}

impl World {
    fn new(max_processes: usize, max_per_group: usize, max_queue: usize) -> Self {
        let idle_after = Some(Duration::from_secs(60));
        let limits = Limits { max_processes, max_per_group, max_starting: 2, idle_after };
        let mut pool = Pool::new(limits);
        for min_instances in 0..GROUPS {
            let resists_errors = min_instances == 1;
            let max_instances = 2;
            let max_requests = 7;
            let takes_turns = min_instances == 2;
            pool.add_group(GroupOptions {
                min_instances,
                max_instances,
                max_queue,
                max_requests,
                resists_errors,
                takes_turns,
            });
        }
        let (waiting, sessions) = (BTreeMap::new(), Vec::new());
        Self {
            pool,
            now: Instant::now(),
            waiting,
            sessions,
            hijacked: Vec::new(),
            working: BTreeSet::new(),
            starting: BTreeSet::new(),
            stopping: BTreeSet::new(),
            due: None,
        }
    }

    /// Adds a request whose client names the process of number `n`, which may serve, be starting, or not exist.
    fn request(&mut self, group: usize, n: usize) {
        let named = Slot(n as u64);
        let bound = Some(named).filter(|slot| self.pool.serves(*slot, GroupId(group)));
        match self.pool.checkout(GroupId(group), Some(named), self.now) {
            Checkout::Granted(slot) => {
                assert!(!self.pool.group(GroupId(group)).paused, "served although it is paused");
                assert!(bound.is_none_or(|bound| bound == slot), "{slot:?} instead of {bound:?}");
                self.sessions.push(slot);
            }
            Checkout::Queued(waiter) => {
                self.waiting.insert(waiter, (GroupId(group), bound));
            }
            Checkout::Full => {
                let group = self.pool.group(GroupId(group));
                assert_eq!(group.waiting(), group.options.max_queue, "refused although the queue has room");
            }
        }
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::Request(group, n) => self.request(group, n),
            Event::Cancel(n) => {
                if let Some((waiter, id)) = pick(self.waiting.iter(), n).map(|(w, (g, _))| (*w, *g)) {
                    self.waiting.remove(&waiter);
                    self.pool.cancel(id, waiter, self.now);
                }
            }
            Event::Release(n) if !self.sessions.is_empty() => {
                let slot = self.sessions.swap_remove(n % self.sessions.len());
                self.pool.release(slot, self.now);
            }
            Event::Release(n) if !self.hijacked.is_empty() => {
                let slot = self.hijacked.swap_remove(n % self.hijacked.len());
                self.pool.release_hijacked(slot, self.now);
            }
            Event::Release(_) => {}
            Event::Hijack(n) if !self.sessions.is_empty() => {
                let slot = self.sessions.swap_remove(n % self.sessions.len());
                self.hijacked.push(slot);
                self.pool.free_slot(slot, self.now);
            }
            Event::Hijack(_) => {}
            Event::Ready(n) => {
                if let Some(slot) = pick(self.starting.iter(), n).copied() {
                    self.starting.remove(&slot);
                    self.pool.ready(slot, Concurrency::At(1 + (n % 2)), self.now);
                }
            }
            Event::Fail(n) => {
                if let Some(slot) = pick(self.starting.iter(), n).copied() {
                    self.starting.remove(&slot);
                    self.pool.failed(slot, self.now);
                }
            }
            Event::Exit(n) => self.exit(n),
            Event::Restart(group, how) => self.pool.restart(GroupId(group), how, self.now),
            Event::Detach(n) => {
                if let Some(slot) = pick(self.sessions.iter(), n).copied() {
                    self.pool.detach(slot, self.now);
                }
            }
            Event::Configure(group, is) => self.pool.set_configured(GroupId(group), is, self.now),
            Event::Pause(group, is) => self.pool.set_paused(GroupId(group), is, self.now),
            Event::TurnAway(group) => {
                for waiter in self.pool.reject_waiting(GroupId(group), self.now) {
                    assert!(self.waiting.remove(&waiter).is_some(), "{waiter:?} does not wait");
                }
                assert_eq!(self.pool.group(GroupId(group)).waiting(), 0);
            }
            Event::Take(n) => {
                if self.pool.take(Slot(n as u64), self.now) {
                    self.sessions.push(Slot(n as u64));
                }
            }
            Event::Keep(group) => self.pool.keep_running(GroupId(group), self.now),
            Event::AskOutOfBand(n) => {
                if let Some(slot) = pick(self.sessions.iter(), n).copied() {
                    self.pool.request_out_of_band(slot, self.now);
                }
            }
            Event::EndOutOfBand(n) => {
                if let Some(slot) = pick(self.working.iter(), n).copied() {
                    self.working.remove(&slot);
                    self.pool.end_out_of_band(slot, self.now);
                }
            }
            Event::Pass(seconds) => {
                self.now += Duration::from_secs(seconds);
                self.due = self.pool.sweep(self.now);
            }
        }
        self.execute();
        self.check();
    }

    /// Sweeps as often as the pool requires.
    fn sweep_sooner(&mut self) {
        for _ in 0..100 {
            if !self.pool.take_sweep_sooner() {
                return;
            }
            self.due = self.pool.sweep(self.now);
        }
        panic!("sweeps without end");
    }

    /// Checks that the next sweep is not due too late.
    fn check_due(&self) {
        if self.due.is_some_and(|due| due <= self.now) {
            return;
        }
        let mut pool = self.pool.clone();
        let next = pool.sweep(self.now);
        // A group gets the room that another has left at the next sweep, which follows the end of that process.
        let is_idle = pool.take_actions().is_empty();
        let late = next.filter(|next| is_idle && self.due.is_none_or(|due| due > *next));
        assert_eq!(late, None, "the next sweep is due at {:?}", self.due);
    }

    /// Ends a process that was ordered to stop, or kills one that serves.
    fn exit(&mut self, n: usize) {
        let slot = pick(self.stopping.iter(), n).copied().or_else(|| self.sessions.first().copied());
        let Some(slot) = slot else { return };
        self.stopping.remove(&slot);
        self.sessions.retain(|other| *other != slot);
        self.hijacked.retain(|other| *other != slot);
        self.working.remove(&slot);
        self.pool.exited(slot, self.now);
    }

    fn execute(&mut self) {
        self.sweep_sooner();
        for action in self.pool.take_actions() {
            match action {
                Action::Spawn(slot, _) => assert!(self.starting.insert(slot), "{slot:?} was started twice"),
                Action::Grant(waiter, slot) => {
                    let (group, bound) = self.waiting.remove(&waiter).expect("a request is answered once");
                    assert!(!self.pool.group(group).paused, "granted although it is paused");
                    let bound = bound.filter(|bound| self.pool.serves(*bound, group));
                    assert!(bound.is_none_or(|bound| bound == slot), "{slot:?} instead of {bound:?}");
                    self.sessions.push(slot);
                }
                Action::Fail(waiter, _) => {
                    assert!(self.waiting.remove(&waiter).is_some(), "{waiter:?} was answered twice");
                }
                Action::Drain(slot) => {
                    let state = self.pool.process(slot).map(|process| process.state);
                    assert!(
                        !matches!(state, Some(State::Starting | State::Serving)),
                        "{slot:?} drains and serves"
                    );
                }
                Action::WorkOutOfBand(slot) => {
                    let busy = self.sessions.contains(&slot) || self.hijacked.contains(&slot);
                    assert!(!busy, "{slot:?} works inside a request");
                    assert!(self.working.insert(slot), "{slot:?} works twice");
                }
                Action::Deployed(_) | Action::Undeployed(_) => {}
                Action::Stop(slot) => {
                    let busy = [&self.sessions, &self.hijacked].iter().any(|held| held.contains(&slot));
                    let busy = busy || self.working.contains(&slot);
                    assert!(!busy, "{slot:?} was stopped inside a request");
                    assert!(self.stopping.insert(slot), "{slot:?} was stopped twice");
                }
                Action::Abandon(slot) => {
                    assert!(self.starting.remove(&slot), "{slot:?} was abandoned but does not start");
                    self.stopping.insert(slot);
                }
            }
        }
    }

    fn check(&self) {
        let pool = &self.pool;
        self.check_counts();
        self.check_due();
        let rolling = usize::from(pool.groups.iter().any(Group::is_rolling));
        assert!(pool.capacity_used() <= pool.limits.max_processes + rolling, "over the pool's limit");
        for (at, group) in pool.groups.iter().enumerate() {
            let above = usize::from(group.is_rolling());
            assert!(group.capacity_used() <= group.options.max_instances + above, "over the group's limit");
            let max = pool.limits.max_per_group;
            assert!(max == 0 || group.capacity_used() <= max + above, "over the limit of every group");
            assert!(!group.is_rolling() || pool.outdated(GroupId(at)) > 0, "a restart rolls for nothing");
            assert!(group.waiting() <= group.options.max_queue, "over the queue's limit");
            if !group.queue.is_empty() && !group.paused {
                assert_eq!(pool.least_busy(GroupId(at)), None, "a request waits although a process has room");
            }
            if group.is_obsolete() {
                let idle =
                    group.members.iter().find(|slot| pool.process(**slot).is_some_and(Process::is_idle));
                assert_eq!(idle, None, "a process of an unconfigured app idles");
            }
            for slot in group.bound.keys() {
                assert!(pool.serves(*slot, GroupId(at)), "a request waits for a process that does not serve");
                let has_room = pool.process(*slot).is_some_and(Process::has_room);
                assert!(!has_room || group.paused, "a request waits for a process that has room");
            }
            let begun = group.members.iter().filter_map(|slot| pool.process(*slot));
            let begun = begun.filter(|p| p.state == State::Serving && p.out_of_band.is_begun()).count();
            assert!(begun <= 1, "several processes of a group work out of band");
            let mine = |slot: &&Slot| pool.process(**slot).is_some_and(|p| p.group == GroupId(at));
            let starting = self.starting.iter().filter(mine).count();
            assert_eq!(group.starting, starting, "the count of starting processes is wrong");
        }
        for (slot, process) in &pool.processes {
            let held = self.sessions.iter().filter(|s| *s == slot).count();
            let held = held + usize::from(self.working.contains(slot));
            if let Concurrency::At(max) = process.concurrency {
                assert!(process.slots_taken() <= max, "{slot:?} has more requests than slots");
            }
            let hijacked = self.hijacked.iter().filter(|s| *s == slot).count();
            assert_eq!(process.hijacked, hijacked, "the count of freed slots of {slot:?} is wrong");
            assert_eq!(process.sessions, held + hijacked, "the count of sessions of {slot:?} is wrong");
        }
        let queued: usize = pool.groups.iter().map(Group::waiting).sum();
        assert_eq!(queued, self.waiting.len(), "a waiting request was lost");
    }

    /// Checks that the pool's totals equal the actual numbers.
    fn check_counts(&self) {
        let pool = &self.pool;
        let starving = (0..GROUPS).map(GroupId).filter(|id| pool.group(*id).is_starving()).collect();
        let counted = Counts {
            capacity_used: pool.groups.iter().map(Group::capacity_used).sum(),
            starting: pool.groups.iter().map(|group| group.starting).sum(),
            starving,
            reclaiming: pool.processes.values().filter(|process| process.reclaim_at.is_some()).count(),
        };
        assert_eq!(pool.counts, counted);
    }

    /// Completes all starts and requests: then no request may be waiting, and every restart must have ended.
    fn drain(&mut self) {
        for group in (0..GROUPS).map(GroupId) {
            self.pool.set_paused(group, false, self.now);
        }
        self.execute();
        for _ in 0..10_000 {
            if self.waiting.is_empty() && !self.pool.groups.iter().any(Group::is_rolling) {
                return;
            }
            for slot in std::mem::take(&mut self.stopping) {
                self.pool.exited(slot, self.now);
            }
            self.execute();
            while let Some(slot) = self.starting.pop_first() {
                self.pool.ready(slot, Concurrency::At(1), self.now);
                // Another starting process may be abandoned for it.
                self.execute();
            }
            for slot in std::mem::take(&mut self.sessions) {
                self.pool.release(slot, self.now);
            }
            for slot in std::mem::take(&mut self.hijacked) {
                self.pool.release_hijacked(slot, self.now);
            }
            for slot in std::mem::take(&mut self.working) {
                self.pool.end_out_of_band(slot, self.now);
            }
            self.now += Duration::from_secs(61);
            self.due = self.pool.sweep(self.now);
            self.execute();
            self.check();
        }
        panic!("{} requests starve, or a restart does not end", self.waiting.len());
    }
}

fn pick<T>(items: impl ExactSizeIterator<Item = T>, n: usize) -> Option<T> {
    let len = items.len();
    if len == 0 { None } else { items.into_iter().nth(n % len) }
}

/// Number of histories to try; `PROPTEST_CASES` sets more than an ordinary run has time for.
pub(super) fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(512)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_pool_keeps_its_invariants_in_random_histories(
        events in proptest::collection::vec(event(), 1..200),
        max_processes in 1usize..5,
        max_per_group in 0usize..3,
        max_queue in 1usize..6,
    ) {
        let mut world = World::new(max_processes, max_per_group, max_queue);
        for event in events {
            world.apply(event);
        }
        world.drain();
    }
}
