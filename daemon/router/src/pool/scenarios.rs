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
struct Story {
    pool: Pool,
    now: Instant,
    group: GroupId,
}

impl Story {
    fn new(max_processes: usize, options: GroupOptions) -> Self {
        let limits = Limits { max_processes, max_per_group: 0, max_starting: 2, idle_after: None };
        let mut pool = Pool::new(limits);
        let group = pool.add_group(options);
        Self { pool, now: Instant::now(), group }
    }

    /// Creates a pool with this number of idle serving processes, numbered from 1.
    fn serving(processes: usize, options: GroupOptions) -> Self {
        let mut story = Self::new(processes, options);
        for _ in 0..processes {
            story.pool.adopt(story.group, Concurrency::At(1), story.now);
        }
        assert_eq!(story.actions(), []);
        story
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
    let mut story = Story::serving(2, OPTIONS);
    assert_eq!(story.roll(), [spawn(3)], "one above the limit");
    assert_eq!(story.ready(3), [stop(2)]);
    assert_eq!(story.exited(2), [spawn(4)], "the next when the last has gone");
    assert_eq!(story.ready(4), [Action::Deployed(GroupId(0)), stop(1)]);
    assert_eq!((story.exited(1), story.deployment()), (vec![], Deployment::Settled));
}

#[test]
fn a_stuck_process_holds_a_rolling_restart_up_for_a_while_only() {
    let mut story = Story::serving(2, OPTIONS);
    story.roll();
    story.ready(3);
    let due = story.pool.sweep(story.now);
    assert_eq!((story.actions(), due), (vec![], Some(story.now + Duration::from_secs(60))));
    story.pool.sweep(story.now + Duration::from_secs(60));
    assert_eq!(story.actions(), [spawn(4)]);
}

#[test]
fn requests_go_to_the_newest_version_while_it_has_room() {
    let mut story = Story::serving(2, OPTIONS);
    story.roll();
    story.ready(3);
    assert_eq!(story.request(), Checkout::Granted(Slot(3)));
    assert_eq!(story.request(), Checkout::Granted(Slot(1)), "the old one helps when it is busy");
}

#[test]
fn a_new_version_that_does_not_start_costs_no_old_process() {
    for resists_errors in [false, true] {
        let mut story = Story::serving(2, GroupOptions { resists_errors, ..OPTIONS });
        story.roll();
        assert_eq!(story.failed(3), [Action::Undeployed(GroupId(0))]);
        assert_eq!(story.pool.outdated(story.group), 2);
        let expected = if resists_errors { Deployment::Resisting } else { Deployment::Settled };
        assert_eq!(story.deployment(), expected);
    }
}

#[test]
fn who_resists_errors_starts_nothing_before_the_next_restart() {
    let mut story = Story::serving(2, GroupOptions { resists_errors: true, ..OPTIONS });
    story.roll();
    story.failed(3);
    for _ in 0..3 {
        story.request();
    }
    story.now += Duration::from_secs(3600);
    story.pool.sweep(story.now);
    assert_eq!(story.actions(), [], "although a request waits");
    assert_eq!(story.roll(), [spawn(4)]);
}

#[test]
fn who_resists_errors_and_has_lost_every_process_tries_again() {
    let mut story = Story::serving(1, GroupOptions { resists_errors: true, ..OPTIONS });
    story.roll();
    story.failed(2);
    assert_eq!(story.exited(1), []);
    story.request();
    assert_eq!(story.actions(), [spawn(3)]);
}

#[test]
fn a_version_that_starts_and_dies_is_one_that_does_not_start() {
    let mut story = Story::serving(3, GroupOptions { resists_errors: true, ..OPTIONS });
    story.roll();
    assert_eq!(story.ready(4), [stop(3)]);
    assert_eq!(story.exited(4), [Action::Undeployed(GroupId(0))]);
    assert_eq!(story.deployment(), Deployment::Resisting);
}

#[test]
fn a_lowered_limit_ends_idle_processes_now_and_busy_ones_with_their_request() {
    let mut story = Story::serving(3, OPTIONS);
    assert_eq!(story.request(), Checkout::Granted(Slot(1)));
    assert_eq!(story.request(), Checkout::Granted(Slot(2)));
    story.pool.set_options(story.group, GroupOptions { max_instances: 1, ..OPTIONS }, story.now);
    assert_eq!(story.actions(), [stop(3)]);
    story.pool.release(Slot(1), story.now);
    assert_eq!(story.actions(), [stop(1)]);
    story.pool.release(Slot(2), story.now);
    assert_eq!(story.actions(), []);
}

#[test]
fn raising_min_instances_starts_processes_at_once() {
    let mut story = Story::serving(1, OPTIONS);
    story.pool.set_limits(Limits { max_processes: 9, ..story.pool.limits() }, story.now);
    story.pool.set_options(story.group, GroupOptions { min_instances: 9, ..OPTIONS }, story.now);
    assert_eq!(story.actions(), [spawn(2), spawn(3)], "as many at a time as may start");
    assert_eq!(story.ready(2), [spawn(4)]);
}

#[test]
fn the_first_process_of_an_app_starts_alone() {
    let mut story = Story::new(9, OPTIONS);
    for _ in 0..5 {
        story.request();
    }
    assert_eq!(story.actions(), [spawn(1)], "who knows whether it starts at all");
    let next = story.ready(1);
    assert_eq!(next[1..], [spawn(2), spawn(3)]);
}

#[test]
fn an_app_without_any_process_need_not_wait_until_others_have_started() {
    let mut story = Story::serving(1, OPTIONS);
    story.pool.set_limits(Limits { max_processes: 9, max_starting: 1, ..story.pool.limits() }, story.now);
    story.pool.set_options(story.group, GroupOptions { min_instances: 9, ..OPTIONS }, story.now);
    assert_eq!(story.actions(), [spawn(2)]);
    let other = story.pool.add_group(OPTIONS);
    story.pool.checkout(other, None, story.now);
    assert_eq!(story.actions(), [Action::Spawn(Slot(3), other)]);
}

#[test]
fn none_is_started_while_those_of_an_earlier_router_are_taken_over() {
    let mut story = Story::serving(2, GroupOptions { min_instances: 3, ..OPTIONS });
    assert_eq!(story.pool.sweep(story.now), None);
    assert_eq!(story.actions(), [], "there is no room for a third");
    let mut story = Story::new(3, GroupOptions { min_instances: 2, ..OPTIONS });
    story.pool.adopt(story.group, Concurrency::At(1), story.now);
    assert_eq!(story.actions(), [], "another may follow");
    story.pool.sweep(story.now);
    assert_eq!(story.actions(), [Action::Spawn(Slot(2), story.group)]);
}

#[test]
fn an_app_that_is_no_longer_configured_ends_after_its_requests() {
    let mut story = Story::serving(2, GroupOptions { min_instances: 2, ..OPTIONS });
    assert_eq!(story.pool.checkout(story.group, None, story.now), Checkout::Granted(Slot(1)));
    story.pool.set_configured(story.group, false, story.now);
    assert_eq!(story.actions(), [Action::Drain(Slot(1)), Action::Stop(Slot(2))]);
    assert_eq!(story.exited(2), [], "none is started for it");
    story.pool.release(Slot(1), story.now);
    assert_eq!(story.actions(), [Action::Stop(Slot(1))]);
    assert!(!story.pool.is_unused(story.group));
    assert_eq!(story.exited(1), []);
    assert!(story.pool.is_unused(story.group));
}

#[test]
fn a_late_request_for_such_an_app_is_served_by_a_process_that_ends_with_it() {
    let mut story = Story::new(2, OPTIONS);
    story.pool.set_configured(story.group, false, story.now);
    let Checkout::Queued(waiter) = story.pool.checkout(story.group, None, story.now) else {
        panic!("there is no process");
    };
    assert_eq!(story.actions(), [Action::Spawn(Slot(1), story.group)]);
    assert_eq!(story.ready(1), [Action::Grant(waiter, Slot(1))]);
    story.pool.release(Slot(1), story.now);
    assert_eq!(story.actions(), [Action::Stop(Slot(1))]);
}

#[test]
fn an_app_that_starts_although_nobody_has_configured_it_any_more_is_abandoned() {
    let mut story = Story::new(2, GroupOptions { min_instances: 1, ..OPTIONS });
    story.pool.keep_running(story.group, story.now);
    assert_eq!(story.actions(), [Action::Spawn(Slot(1), story.group)]);
    story.pool.set_configured(story.group, false, story.now);
    assert_eq!(story.actions(), [Action::Abandon(Slot(1))]);
    assert_eq!(story.exited(1), []);
    story.pool.set_configured(story.group, true, story.now);
    assert_eq!(story.actions(), [Action::Spawn(Slot(2), story.group)], "back in the configuration");
}

#[test]
fn an_app_can_be_kept_before_anybody_asks_for_it() {
    let mut story = Story::new(3, GroupOptions { min_instances: 2, ..OPTIONS });
    story.pool.keep_running(story.group, story.now);
    assert_eq!(story.actions(), [Action::Spawn(Slot(1), story.group)], "one shows whether it starts at all");
    assert_eq!(story.failed(1), [], "it is not hurried after a failure");
    story.now += Duration::from_secs(1);
    story.pool.sweep(story.now);
    assert_eq!(story.actions(), [Action::Spawn(Slot(2), story.group)]);
    assert_eq!(story.ready(2), [Action::Spawn(Slot(3), story.group)]);
}

#[test]
fn equally_busy_processes_take_turns_where_that_is_wanted() {
    for (takes_turns, expected) in [(false, [1, 1, 1, 1]), (true, [1, 2, 3, 1])] {
        let mut story = Story::serving(3, GroupOptions { takes_turns, ..OPTIONS });
        let served = expected.map(|_| {
            story.now += Duration::from_millis(1);
            let Checkout::Granted(slot) = story.pool.checkout(story.group, None, story.now) else {
                panic!("three are idle");
            };
            story.now += Duration::from_millis(1);
            story.pool.release(slot, story.now);
            slot.0
        });
        assert_eq!(served, expected, "takes turns: {takes_turns}");
    }
}

#[test]
fn no_turn_leads_to_a_busy_process_beside_an_idle_one() {
    let mut story = Story::new(2, GroupOptions { takes_turns: true, ..OPTIONS });
    for _ in 0..2 {
        story.pool.adopt(story.group, Concurrency::Unlimited, story.now);
    }
    let request = |story: &mut Story| {
        story.now += Duration::from_millis(1);
        story.pool.checkout(story.group, None, story.now)
    };
    assert_eq!(request(&mut story), Checkout::Granted(Slot(1)));
    assert_eq!(request(&mut story), Checkout::Granted(Slot(2)));
    story.now += Duration::from_millis(1);
    story.pool.release(Slot(2), story.now);
    assert_eq!(request(&mut story), Checkout::Granted(Slot(2)), "although it served last");
}

#[test]
fn an_app_that_does_not_start_costs_another_no_process_before_its_pause_is_over() {
    let mut story = Story::serving(2, OPTIONS);
    let requests = [story.request(), story.request()];
    assert_eq!(requests, [Checkout::Granted(Slot(1)), Checkout::Granted(Slot(2))]);
    let queued = story.request();
    let other = story.pool.add_group(OPTIONS);
    story.pool.checkout(other, None, story.now);
    story.pool.release(Slot(1), story.now);
    assert_eq!(story.actions(), [stop(1), Action::Spawn(Slot(3), other)]);
    assert!(matches!(story.failed(3)[..], [Action::Fail(..)]));
    story.pool.sweep(story.now);
    assert_eq!(story.actions(), [spawn(4)], "the place is free again");
    let Checkout::Queued(waiter) = queued else { panic!("both are busy") };
    assert_eq!(story.ready(4), [Action::Grant(waiter, Slot(4))]);
    story.request();
    story.pool.checkout(other, None, story.now);
    story.pool.release(Slot(2), story.now);
    assert!(matches!(story.actions()[..], [Action::Grant(_, Slot(2))]), "the busy app keeps its process");
    story.now += Duration::from_secs(1);
    story.request();
    story.pool.sweep(story.now);
    story.pool.release(Slot(2), story.now);
    assert_eq!(story.actions(), [stop(2), Action::Spawn(Slot(5), other)]);
}

#[test]
fn a_process_that_never_becomes_free_gets_out_of_the_way() {
    let mut story = Story::new(2, OPTIONS);
    for _ in 0..2 {
        story.pool.adopt(story.group, Concurrency::Unlimited, story.now);
        story.request();
    }
    let other = story.pool.add_group(OPTIONS);
    story.pool.checkout(other, None, story.now);
    assert_eq!(story.actions(), []);
    assert_eq!(story.request(), Checkout::Granted(Slot(2)), "the other one is to become free");
    let due = story.pool.sweep(story.now);
    assert_eq!(due, Some(story.now + Duration::from_secs(10)));
    story.pool.sweep(story.now + Duration::from_secs(10));
    assert_eq!(story.actions(), [Action::Drain(Slot(1)), Action::Spawn(Slot(3), other)]);
}

#[test]
fn the_last_process_of_a_version_that_cannot_be_started_again_goes_last() {
    let mut story = Story::serving(1, GroupOptions { resists_errors: true, ..OPTIONS });
    story.pool.set_limits(Limits { max_processes: 2, ..story.pool.limits() }, story.now);
    story.roll();
    story.failed(2);
    assert_eq!(story.deployment(), Deployment::Resisting);
    story.request();
    let [second, third] = [(); 2].map(|()| story.pool.add_group(OPTIONS));
    story.pool.checkout(second, None, story.now);
    story.ready(3);
    story.now += Duration::from_secs(5);
    story.pool.checkout(third, None, story.now);
    assert_eq!(story.actions(), []);
    assert_eq!(story.request(), Checkout::Queued(Waiter(3)), "it is busy");
    story.pool.release(Slot(1), story.now);
    assert_eq!(story.actions(), [Action::Grant(Waiter(3), Slot(1))], "it serves on");
    story.pool.release(Slot(3), story.now);
    assert_eq!(story.actions(), [stop(3), Action::Spawn(Slot(4), third)]);
}

/// Processes with WebSockets never become free, and a quarter of the pool already finishes above the limit.
#[test]
fn a_process_that_cannot_leave_yet_serves_on() {
    let options = GroupOptions { min_instances: 0, ..OPTIONS };
    let mut story = Story::new(2, options);
    let serve = |story: &mut Story, group: GroupId| {
        let slot = story.pool.adopt(group, Concurrency::Unlimited, story.now);
        assert_eq!(story.pool.checkout(group, None, story.now), Checkout::Granted(slot));
        slot
    };
    let stuck = serve(&mut story, GroupId(0));
    story.pool.detach(stuck, story.now);
    let busy = [story.pool.add_group(options), story.pool.add_group(options)];
    let slots = busy.map(|group| serve(&mut story, group));
    let waiting = story.pool.add_group(options);
    story.actions();
    story.pool.checkout(waiting, None, story.now);
    story.now += Duration::from_secs(2);
    story.pool.sweep(story.now);
    let marked = slots.iter().position(|slot| story.pool.processes[slot].reclaim_at.is_some()).unwrap();
    let Checkout::Queued(waiter) = story.pool.checkout(busy[marked], None, story.now) else {
        panic!("it gets no request at first");
    };
    story.now += Duration::from_secs(11);
    story.pool.sweep(story.now);
    assert_eq!(story.actions(), [Action::Grant(waiter, slots[marked])]);
    assert_eq!(story.pool.checkout(busy[marked], None, story.now), Checkout::Granted(slots[marked]));
    story.pool.release(stuck, story.now);
    story.now += Duration::from_secs(2);
    story.pool.sweep(story.now);
    let actions = story.actions();
    assert!(actions.contains(&Action::Drain(slots[marked])), "{actions:?}");
}
