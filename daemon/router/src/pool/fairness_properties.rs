//! Property tests of fairness between groups, with simulated loads.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

/// The length of a step of simulated time.
const STEP: Duration = Duration::from_millis(100);
const STEPS: u64 = 400;

/// The load on one group. Times are in steps.
#[derive(Debug, Clone)]
struct Use {
    visitors: usize,
    from: u64,
    until: u64,
    request: u64,
    start: u64,
    concurrency: usize,
    min_instances: usize,
}

fn uses(groups: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Use>> {
    let one = (1..12usize, 0..STEPS / 2, 1..STEPS, 1..20u64, 1..15u64, 1..4usize, 0..3usize);
    let one = one.prop_map(|(visitors, from, length, request, start, concurrency, min_instances)| Use {
        visitors,
        from,
        until: from + length,
        request,
        start,
        concurrency,
        min_instances,
    });
    proptest::collection::vec(one, groups)
}

struct Simulation {
    pool: Pool,
    uses: Vec<Use>,
    now: Instant,
    step: u64,
    /// Requests and starts, each with the step at which it ends.
    requests: Vec<(u64, usize, Slot)>,
    starts: Vec<(u64, usize, Slot)>,
    waiting: Vec<(Waiter, usize)>,
    sweep: Option<Instant>,
    spawned: u64,
    /// The step since which each group waits without a process.
    starving_since: Vec<Option<u64>>,
    longest: u64,
}

impl Simulation {
    fn new(max_processes: usize, uses: Vec<Use>) -> Self {
        let limits = Limits { max_processes, max_per_group: 0, max_starting: 2, idle_after: None };
        let mut pool = Pool::new(limits);
        for each in &uses {
            pool.add_group(GroupOptions {
                min_instances: each.min_instances,
                max_instances: 0,
                max_queue: 0,
                max_requests: 0,
                resists_errors: false,
                takes_turns: false,
            });
        }
        let starving_since = vec![None; uses.len()];
        let (requests, starts, waiting) = (Vec::new(), Vec::new(), Vec::new());
        let (now, sweep) = (Instant::now(), None);
        Self {
            pool,
            uses,
            now,
            step: 0,
            requests,
            starts,
            waiting,
            sweep,
            spawned: 0,
            starving_since,
            longest: 0,
        }
    }

    fn run(&mut self) {
        for step in 0..STEPS {
            self.step = step;
            self.now += STEP;
            for (_, _, slot) in take(&mut self.requests, step) {
                self.pool.release(slot, self.now);
                self.execute();
            }
            for (_, group, slot) in take(&mut self.starts, step) {
                self.pool.ready(slot, Concurrency::At(self.uses[group].concurrency), self.now);
                self.execute();
            }
            self.arrive();
            if self.pool.take_sweep_sooner() || self.sweep.is_some_and(|at| at <= self.now) {
                self.sweep = self.pool.sweep(self.now);
                self.execute();
            }
            self.watch();
        }
    }

    /// Adds requests: each client sends the next one when the last is answered.
    fn arrive(&mut self) {
        for group in 0..self.uses.len() {
            let each = self.uses[group].clone();
            let present = (each.from..each.until).contains(&self.step);
            let busy = self.requests.iter().filter(|(_, of, _)| *of == group).count();
            let busy = busy + self.waiting.iter().filter(|(_, of)| *of == group).count();
            for _ in busy..if present { each.visitors } else { 0 } {
                match self.pool.checkout(GroupId(group), None, self.now) {
                    Checkout::Granted(slot) => self.requests.push((self.step + each.request, group, slot)),
                    Checkout::Queued(waiter) => self.waiting.push((waiter, group)),
                    Checkout::Full => panic!("the queue has no limit"),
                }
                self.execute();
            }
        }
    }

    fn execute(&mut self) {
        let mut actions = self.pool.take_actions();
        while !actions.is_empty() {
            for action in actions {
                match action {
                    Action::Spawn(slot, group) => {
                        self.spawned += 1;
                        self.starts.push((self.step + self.uses[group.0].start, group.0, slot));
                    }
                    Action::Grant(waiter, slot) => {
                        let at = self.waiting.iter().position(|(other, _)| *other == waiter).unwrap();
                        let (_, group) = self.waiting.remove(at);
                        self.requests.push((self.step + self.uses[group].request, group, slot));
                    }
                    Action::Stop(slot) => self.pool.exited(slot, self.now),
                    Action::Abandon(slot) => {
                        self.starts.retain(|(_, _, other)| *other != slot);
                        self.pool.exited(slot, self.now);
                    }
                    _ => {}
                }
            }
            actions = self.pool.take_actions();
        }
        assert!(self.pool.capacity_used() <= self.pool.limits.max_processes);
        assert!(
            self.pool.counts.reclaiming <= self.pool.counts.starving.len(),
            "more is given up than asked for"
        );
    }

    fn watch(&mut self) {
        for (at, since) in self.starving_since.iter_mut().enumerate() {
            if !self.pool.group(GroupId(at)).is_starving() {
                *since = None;
            } else {
                let since = *since.get_or_insert(self.step);
                self.longest = self.longest.max(self.step - since);
            }
        }
    }

    fn longest_of(&self, of: impl Fn(&Use) -> u64) -> u64 {
        self.uses.iter().map(of).max().unwrap()
    }
}

/// Removes and returns the entries that end at this step.
fn take(of: &mut Vec<(u64, usize, Slot)>, step: u64) -> Vec<(u64, usize, Slot)> {
    let (due, later) = of.drain(..).partition(|(at, ..)| *at <= step);
    *of = later;
    due
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: super::properties::cases() / 2,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_group_without_a_process_gets_one_within_one_request_time(
        uses in uses(2..6),
        more in 0..3usize,
    ) {
        let mut simulation = Simulation::new(uses.len() + more, uses);
        simulation.run();
        let request = simulation.longest_of(|each| each.request);
        prop_assert!(simulation.longest <= request + 1, "waited {} steps, a request takes {request}", simulation.longest);
    }

    #[test]
    fn more_groups_than_processes_take_turns(uses in uses(2..6), max_processes in 1..5usize) {
        let groups = uses.len() as u64;
        let mut simulation = Simulation::new(max_processes, uses);
        simulation.run();
        let (request, start) = (simulation.longest_of(|each| each.request), simulation.longest_of(|each| each.start));
        let turn = start.max(10) + start + request + 1;
        prop_assert!(simulation.longest <= groups * turn, "waited {} steps, a turn takes {turn}", simulation.longest);
        // Each start is followed by a turn that is at least as long as the start, or was the first of many.
        let quickest = simulation.uses.iter().map(|each| each.start).min().unwrap() + 10;
        let most = max_processes as u64 * (STEPS / quickest + 1) * 2 + groups * 2;
        prop_assert!(simulation.spawned <= most, "{} starts in {STEPS} steps", simulation.spawned);
    }
}
