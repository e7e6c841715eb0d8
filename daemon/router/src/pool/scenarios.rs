//! Tests of the pool's rules, one by one, as short scenarios.

use std::time::{Duration, Instant};

use super::*;

const OPTIONS: GroupOptions = GroupOptions {
    min_instances: 1,
    max_instances: 0,
    max_queue: 100,
    max_requests: 0,
    resists_errors: false,
    takes_turns: false,
};

/// A pool with one group, and its pending actions.
struct Scenario {
    pool: Pool,
    now: Instant,
    group: GroupId,
}

impl Scenario {
    fn new(max_processes: usize, options: GroupOptions) -> Self {
        let limits = Limits { max_processes, max_per_group: 0, max_starting: 2, idle_after: None };
        let mut pool = Pool::new(limits);
        let group = pool.add_group(options);
        Self { pool, now: Instant::now(), group }
    }

    /// Creates a pool with this number of idle serving processes, numbered from 1.
    fn serving(processes: usize, options: GroupOptions) -> Self {
        let mut scenario = Self::new(processes, options);
        for _ in 0..processes {
            scenario.pool.adopt(scenario.group, Concurrency::At(1), scenario.now);
        }
        assert_eq!(scenario.actions(), []);
        scenario
    }

    fn actions(&mut self) -> Vec<Action> {
        self.pool.take_actions()
    }

    fn ready(&mut self, slot: u64) -> Vec<Action> {
        self.pool.ready(Slot(slot), Concurrency::At(1), self.now);
        self.actions()
    }

    fn exited(&mut self, slot: u64) -> Vec<Action> {
        self.pool.exited(Slot(slot), self.now);
        self.actions()
    }

    fn failed(&mut self, slot: u64) -> Vec<Action> {
        self.pool.failed(Slot(slot), self.now);
        self.actions()
    }

    fn roll(&mut self) -> Vec<Action> {
        self.pool.restart(self.group, RestartHow::Rolling, self.now);
        self.actions()
    }

    fn request(&mut self) -> Checkout {
        self.pool.checkout(self.group, None, self.now)
    }

    fn deployment(&self) -> Deployment {
        self.pool.group(self.group).deployment
    }
}

fn spawn(slot: u64) -> Action {
    Action::Spawn(Slot(slot), GroupId(0))
}

fn stop(slot: u64) -> Action {
    Action::Stop(Slot(slot))
}

#[test]
fn a_rolling_restart_replaces_the_newest_first_one_at_a_time() {
    let mut scenario = Scenario::serving(2, OPTIONS);
    assert_eq!(scenario.roll(), [spawn(3)], "one above the limit");
    assert_eq!(scenario.ready(3), [stop(2)]);
    assert_eq!(scenario.exited(2), [spawn(4)], "the next when the last has ended");
    assert_eq!(scenario.ready(4), [Action::Deployed(GroupId(0)), stop(1)]);
    assert_eq!((scenario.exited(1), scenario.deployment()), (vec![], Deployment::Settled));
}

#[test]
fn a_stuck_process_delays_a_rolling_restart_for_a_limited_time() {
    let mut scenario = Scenario::serving(2, OPTIONS);
    scenario.roll();
    scenario.ready(3);
    let due = scenario.pool.sweep(scenario.now);
    assert_eq!((scenario.actions(), due), (vec![], Some(scenario.now + Duration::from_secs(60))));
    scenario.pool.sweep(scenario.now + Duration::from_secs(60));
    assert_eq!(scenario.actions(), [spawn(4)]);
}

#[test]
fn requests_go_to_the_newest_version_while_it_has_room() {
    let mut scenario = Scenario::serving(2, OPTIONS);
    scenario.roll();
    scenario.ready(3);
    assert_eq!(scenario.request(), Checkout::Granted(Slot(3)));
    assert_eq!(scenario.request(), Checkout::Granted(Slot(1)), "the old one helps when it is busy");
}

#[test]
fn a_new_version_that_does_not_start_ends_no_old_process() {
    for resists_errors in [false, true] {
        let mut scenario = Scenario::serving(2, GroupOptions { resists_errors, ..OPTIONS });
        scenario.roll();
        assert_eq!(scenario.failed(3), [Action::Undeployed(GroupId(0))]);
        assert_eq!(scenario.pool.outdated(scenario.group), 2);
        let expected = if resists_errors { Deployment::Resisting } else { Deployment::Settled };
        assert_eq!(scenario.deployment(), expected);
    }
}

#[test]
fn a_group_that_resists_errors_starts_nothing_until_a_restart() {
    let mut scenario = Scenario::serving(2, GroupOptions { resists_errors: true, ..OPTIONS });
    scenario.roll();
    scenario.failed(3);
    for _ in 0..3 {
        scenario.request();
    }
    scenario.now += Duration::from_secs(3600);
    scenario.pool.sweep(scenario.now);
    assert_eq!(scenario.actions(), [], "although a request waits");
    assert_eq!(scenario.roll(), [spawn(4)]);
}

#[test]
fn a_group_that_resists_errors_starts_when_it_has_no_process() {
    let mut scenario = Scenario::serving(1, GroupOptions { resists_errors: true, ..OPTIONS });
    scenario.roll();
    scenario.failed(2);
    assert_eq!(scenario.exited(1), []);
    scenario.request();
    assert_eq!(scenario.actions(), [spawn(3)]);
}

#[test]
fn a_version_whose_process_exits_early_has_failed() {
    let mut scenario = Scenario::serving(3, GroupOptions { resists_errors: true, ..OPTIONS });
    scenario.roll();
    assert_eq!(scenario.ready(4), [stop(3)]);
    assert_eq!(scenario.exited(4), [Action::Undeployed(GroupId(0))]);
    assert_eq!(scenario.deployment(), Deployment::Resisting);
}

#[test]
fn a_lowered_limit_ends_idle_processes_now_and_busy_ones_later() {
    let mut scenario = Scenario::serving(3, OPTIONS);
    assert_eq!(scenario.request(), Checkout::Granted(Slot(1)));
    assert_eq!(scenario.request(), Checkout::Granted(Slot(2)));
    scenario.pool.set_options(scenario.group, GroupOptions { max_instances: 1, ..OPTIONS }, scenario.now);
    assert_eq!(scenario.actions(), [stop(3)]);
    scenario.pool.release(Slot(1), scenario.now);
    assert_eq!(scenario.actions(), [stop(1)]);
    scenario.pool.release(Slot(2), scenario.now);
    assert_eq!(scenario.actions(), []);
}

#[test]
fn raising_min_instances_starts_processes_at_once() {
    let mut scenario = Scenario::serving(1, OPTIONS);
    scenario.pool.set_limits(Limits { max_processes: 9, ..scenario.pool.limits() }, scenario.now);
    scenario.pool.set_options(scenario.group, GroupOptions { min_instances: 9, ..OPTIONS }, scenario.now);
    assert_eq!(scenario.actions(), [spawn(2), spawn(3)], "as many at a time as may start");
    assert_eq!(scenario.ready(2), [spawn(4)]);
}

#[test]
fn the_first_process_of_an_app_starts_alone() {
    let mut scenario = Scenario::new(9, OPTIONS);
    for _ in 0..5 {
        scenario.request();
    }
    assert_eq!(scenario.actions(), [spawn(1)], "it is unknown whether the app starts");
    let next = scenario.ready(1);
    assert_eq!(next[1..], [spawn(2), spawn(3)]);
}

#[test]
fn an_app_without_a_process_ignores_the_limit_on_starts() {
    let mut scenario = Scenario::serving(1, OPTIONS);
    scenario
        .pool
        .set_limits(Limits { max_processes: 9, max_starting: 1, ..scenario.pool.limits() }, scenario.now);
    scenario.pool.set_options(scenario.group, GroupOptions { min_instances: 9, ..OPTIONS }, scenario.now);
    assert_eq!(scenario.actions(), [spawn(2)]);
    let other = scenario.pool.add_group(OPTIONS);
    scenario.pool.checkout(other, None, scenario.now);
    assert_eq!(scenario.actions(), [Action::Spawn(Slot(3), other)]);
}

#[test]
fn adopting_processes_starts_none() {
    let mut scenario = Scenario::serving(2, GroupOptions { min_instances: 3, ..OPTIONS });
    assert_eq!(scenario.pool.sweep(scenario.now), None);
    assert_eq!(scenario.actions(), [], "there is no room for a third");
    let mut scenario = Scenario::new(3, GroupOptions { min_instances: 2, ..OPTIONS });
    scenario.pool.adopt(scenario.group, Concurrency::At(1), scenario.now);
    assert_eq!(scenario.actions(), [], "another may follow");
    scenario.pool.sweep(scenario.now);
    assert_eq!(scenario.actions(), [Action::Spawn(Slot(2), scenario.group)]);
}

#[test]
fn an_app_that_is_no_longer_configured_ends_after_its_requests() {
    let mut scenario = Scenario::serving(2, GroupOptions { min_instances: 2, ..OPTIONS });
    assert_eq!(scenario.pool.checkout(scenario.group, None, scenario.now), Checkout::Granted(Slot(1)));
    scenario.pool.set_configured(scenario.group, false, scenario.now);
    assert_eq!(scenario.actions(), [Action::Drain(Slot(1)), Action::Stop(Slot(2))]);
    assert_eq!(scenario.exited(2), [], "none is started for it");
    scenario.pool.release(Slot(1), scenario.now);
    assert_eq!(scenario.actions(), [Action::Stop(Slot(1))]);
    assert!(!scenario.pool.is_unused(scenario.group));
    assert_eq!(scenario.exited(1), []);
    assert!(scenario.pool.is_unused(scenario.group));
}

#[test]
fn a_late_request_for_an_unconfigured_app_gets_a_process_once() {
    let mut scenario = Scenario::new(2, OPTIONS);
    scenario.pool.set_configured(scenario.group, false, scenario.now);
    let Checkout::Queued(waiter) = scenario.pool.checkout(scenario.group, None, scenario.now) else {
        panic!("there is no process");
    };
    assert_eq!(scenario.actions(), [Action::Spawn(Slot(1), scenario.group)]);
    assert_eq!(scenario.ready(1), [Action::Grant(waiter, Slot(1))]);
    scenario.pool.release(Slot(1), scenario.now);
    assert_eq!(scenario.actions(), [Action::Stop(Slot(1))]);
}

#[test]
fn the_start_of_an_unconfigured_app_is_abandoned() {
    let mut scenario = Scenario::new(2, GroupOptions { min_instances: 1, ..OPTIONS });
    scenario.pool.keep_running(scenario.group, scenario.now);
    assert_eq!(scenario.actions(), [Action::Spawn(Slot(1), scenario.group)]);
    scenario.pool.set_configured(scenario.group, false, scenario.now);
    assert_eq!(scenario.actions(), [Action::Abandon(Slot(1))]);
    assert_eq!(scenario.exited(1), []);
    scenario.pool.set_configured(scenario.group, true, scenario.now);
    assert_eq!(scenario.actions(), [Action::Spawn(Slot(2), scenario.group)], "back in the configuration");
}

#[test]
fn an_app_can_be_kept_running_without_a_request() {
    let mut scenario = Scenario::new(3, GroupOptions { min_instances: 2, ..OPTIONS });
    scenario.pool.keep_running(scenario.group, scenario.now);
    assert_eq!(
        scenario.actions(),
        [Action::Spawn(Slot(1), scenario.group)],
        "the first shows whether the app starts"
    );
    assert_eq!(scenario.failed(1), [], "it is not hurried after a failure");
    scenario.now += Duration::from_secs(1);
    scenario.pool.sweep(scenario.now);
    assert_eq!(scenario.actions(), [Action::Spawn(Slot(2), scenario.group)]);
    assert_eq!(scenario.ready(2), [Action::Spawn(Slot(3), scenario.group)]);
}

#[test]
fn an_app_that_is_kept_without_a_minimum_is_started_once() {
    let mut scenario = Scenario::new(3, GroupOptions { min_instances: 0, ..OPTIONS });
    for slot in 1..=2 {
        scenario.pool.keep_running(scenario.group, scenario.now);
        assert_eq!(scenario.actions(), [Action::Spawn(Slot(slot), scenario.group)]);
        assert_eq!(scenario.ready(slot), []);
        scenario.pool.keep_running(scenario.group, scenario.now);
        assert_eq!(scenario.actions(), [], "its process runs");
        scenario.now += Duration::from_secs(3600);
        assert_eq!(scenario.exited(slot), [], "it is not replaced before the next roster");
    }
}

#[test]
fn equally_busy_processes_take_turns_if_configured() {
    for (takes_turns, expected) in [(false, [1, 1, 1, 1]), (true, [1, 2, 3, 1])] {
        let mut scenario = Scenario::serving(3, GroupOptions { takes_turns, ..OPTIONS });
        let served = expected.map(|_| {
            scenario.now += Duration::from_millis(1);
            let Checkout::Granted(slot) = scenario.pool.checkout(scenario.group, None, scenario.now) else {
                panic!("three are idle");
            };
            scenario.now += Duration::from_millis(1);
            scenario.pool.release(slot, scenario.now);
            slot.0
        });
        assert_eq!(served, expected, "takes turns: {takes_turns}");
    }
}

#[test]
fn round_robin_prefers_idle_processes() {
    let mut scenario = Scenario::new(2, GroupOptions { takes_turns: true, ..OPTIONS });
    for _ in 0..2 {
        scenario.pool.adopt(scenario.group, Concurrency::Unlimited, scenario.now);
    }
    let request = |scenario: &mut Scenario| {
        scenario.now += Duration::from_millis(1);
        scenario.pool.checkout(scenario.group, None, scenario.now)
    };
    assert_eq!(request(&mut scenario), Checkout::Granted(Slot(1)));
    assert_eq!(request(&mut scenario), Checkout::Granted(Slot(2)));
    scenario.now += Duration::from_millis(1);
    scenario.pool.release(Slot(2), scenario.now);
    assert_eq!(request(&mut scenario), Checkout::Granted(Slot(2)), "although it served last");
}

#[test]
fn a_failing_app_takes_no_process_during_its_backoff() {
    let mut scenario = Scenario::serving(2, OPTIONS);
    let requests = [scenario.request(), scenario.request()];
    assert_eq!(requests, [Checkout::Granted(Slot(1)), Checkout::Granted(Slot(2))]);
    let queued = scenario.request();
    let other = scenario.pool.add_group(OPTIONS);
    scenario.pool.checkout(other, None, scenario.now);
    scenario.pool.release(Slot(1), scenario.now);
    assert_eq!(scenario.actions(), [stop(1), Action::Spawn(Slot(3), other)]);
    assert!(matches!(scenario.failed(3)[..], [Action::Fail(..)]));
    scenario.pool.sweep(scenario.now);
    assert_eq!(scenario.actions(), [spawn(4)], "the place is free again");
    let Checkout::Queued(waiter) = queued else { panic!("both are busy") };
    assert_eq!(scenario.ready(4), [Action::Grant(waiter, Slot(4))]);
    scenario.request();
    scenario.pool.checkout(other, None, scenario.now);
    scenario.pool.release(Slot(2), scenario.now);
    assert!(matches!(scenario.actions()[..], [Action::Grant(_, Slot(2))]), "the busy app keeps its process");
    scenario.now += Duration::from_secs(1);
    scenario.request();
    scenario.pool.sweep(scenario.now);
    scenario.pool.release(Slot(2), scenario.now);
    assert_eq!(scenario.actions(), [stop(2), Action::Spawn(Slot(5), other)]);
}

#[test]
fn a_process_that_never_becomes_free_is_drained() {
    let mut scenario = Scenario::new(2, OPTIONS);
    for _ in 0..2 {
        scenario.pool.adopt(scenario.group, Concurrency::Unlimited, scenario.now);
        scenario.request();
    }
    let other = scenario.pool.add_group(OPTIONS);
    scenario.pool.checkout(other, None, scenario.now);
    assert_eq!(scenario.actions(), []);
    assert_eq!(scenario.request(), Checkout::Granted(Slot(2)), "the other one is to become free");
    let due = scenario.pool.sweep(scenario.now);
    assert_eq!(due, Some(scenario.now + Duration::from_secs(10)));
    scenario.pool.sweep(scenario.now + Duration::from_secs(10));
    assert_eq!(scenario.actions(), [Action::Drain(Slot(1)), Action::Spawn(Slot(3), other)]);
}

#[test]
fn the_last_process_of_a_failed_version_is_reclaimed_last() {
    let mut scenario = Scenario::serving(1, GroupOptions { resists_errors: true, ..OPTIONS });
    scenario.pool.set_limits(Limits { max_processes: 2, ..scenario.pool.limits() }, scenario.now);
    scenario.roll();
    scenario.failed(2);
    assert_eq!(scenario.deployment(), Deployment::Resisting);
    scenario.request();
    let [second, third] = [(); 2].map(|()| scenario.pool.add_group(OPTIONS));
    scenario.pool.checkout(second, None, scenario.now);
    scenario.ready(3);
    scenario.now += Duration::from_secs(5);
    scenario.pool.checkout(third, None, scenario.now);
    assert_eq!(scenario.actions(), []);
    assert_eq!(scenario.request(), Checkout::Queued(Waiter(3)), "it is busy");
    scenario.pool.release(Slot(1), scenario.now);
    assert_eq!(scenario.actions(), [Action::Grant(Waiter(3), Slot(1))], "it continues to serve");
    scenario.pool.release(Slot(3), scenario.now);
    assert_eq!(scenario.actions(), [stop(3), Action::Spawn(Slot(4), third)]);
}

/// Processes with WebSockets never become free, and a quarter of the pool already finishes above the limit.
#[test]
fn a_process_that_cannot_drain_yet_continues_to_serve() {
    let options = GroupOptions { min_instances: 0, ..OPTIONS };
    let mut scenario = Scenario::new(2, options);
    let serve = |scenario: &mut Scenario, group: GroupId| {
        let slot = scenario.pool.adopt(group, Concurrency::Unlimited, scenario.now);
        assert_eq!(scenario.pool.checkout(group, None, scenario.now), Checkout::Granted(slot));
        slot
    };
    let stuck = serve(&mut scenario, GroupId(0));
    scenario.pool.detach(stuck, scenario.now);
    let busy = [scenario.pool.add_group(options), scenario.pool.add_group(options)];
    let slots = busy.map(|group| serve(&mut scenario, group));
    let waiting = scenario.pool.add_group(options);
    scenario.actions();
    scenario.pool.checkout(waiting, None, scenario.now);
    scenario.now += Duration::from_secs(2);
    scenario.pool.sweep(scenario.now);
    let marked = slots.iter().position(|slot| scenario.pool.processes[slot].reclaim_at.is_some()).unwrap();
    let Checkout::Queued(waiter) = scenario.pool.checkout(busy[marked], None, scenario.now) else {
        panic!("it gets no request at first");
    };
    scenario.now += Duration::from_secs(11);
    scenario.pool.sweep(scenario.now);
    assert_eq!(scenario.actions(), [Action::Grant(waiter, slots[marked])]);
    assert_eq!(scenario.pool.checkout(busy[marked], None, scenario.now), Checkout::Granted(slots[marked]));
    scenario.pool.release(stuck, scenario.now);
    scenario.now += Duration::from_secs(2);
    scenario.pool.sweep(scenario.now);
    let actions = scenario.actions();
    assert!(actions.contains(&Action::Drain(slots[marked])), "{actions:?}");
}

#[test]
fn a_group_that_begins_to_wait_has_the_next_sweep_at_the_end_of_the_turn() {
    let mut scenario = Scenario::new(1, OPTIONS);
    scenario.request();
    scenario.actions();
    scenario.ready(1);
    scenario.pool.sweep(scenario.now);
    scenario.pool.take_sweep_sooner();
    let other = scenario.pool.add_group(OPTIONS);
    assert!(matches!(scenario.pool.checkout(other, None, scenario.now), Checkout::Queued(_)));
    assert!(scenario.pool.take_sweep_sooner());
    let turn_ends = scenario.now + Duration::from_secs(1);
    assert_eq!(scenario.pool.sweep(scenario.now), Some(turn_ends));
    assert_eq!(scenario.pool.sweep(turn_ends), Some(turn_ends + Duration::from_secs(10)), "it is marked");
}

#[test]
fn the_second_of_two_out_of_band_requests_has_a_sweep_at_its_time_limit() {
    let mut scenario = Scenario::serving(3, OPTIONS);
    for slot in [1, 2] {
        assert_eq!(scenario.request(), Checkout::Granted(Slot(slot)));
        scenario.pool.request_out_of_band(Slot(slot), scenario.now);
    }
    scenario.pool.release(Slot(1), scenario.now);
    scenario.pool.sweep(scenario.now);
    scenario.pool.take_sweep_sooner();
    scenario.pool.end_out_of_band(Slot(1), scenario.now);
    assert!(scenario.pool.take_sweep_sooner());
    assert_eq!(scenario.pool.sweep(scenario.now), Some(scenario.now + Duration::from_secs(60)));
}

#[test]
fn a_lower_minimum_ends_idle_processes_in_time() {
    let mut scenario = Scenario::serving(2, GroupOptions { min_instances: 2, ..OPTIONS });
    let idle_after = Duration::from_secs(60);
    let limits = Limits { idle_after: Some(idle_after), ..scenario.pool.limits() };
    scenario.pool.set_limits(limits, scenario.now);
    assert_eq!(scenario.pool.sweep(scenario.now), None);
    scenario.pool.take_sweep_sooner();
    scenario.pool.set_options(scenario.group, OPTIONS, scenario.now);
    assert!(scenario.pool.take_sweep_sooner());
    assert_eq!(scenario.pool.sweep(scenario.now), Some(scenario.now + idle_after));
    scenario.pool.set_options(scenario.group, OPTIONS, scenario.now);
    assert!(!scenario.pool.take_sweep_sooner(), "nothing has changed");
}
