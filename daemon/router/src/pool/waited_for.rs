//! The processes that other requests or groups wait for: a request that occupies one of them delays others.

use super::{GroupId, Pool, Slot, State};

impl Pool {
    /// Whether another request or group waits for what a request of this process occupies.
    pub(crate) fn delays_others(&self, slot: Slot) -> bool {
        let Some(process) = self.processes.get(&slot).filter(|p| p.state == State::Serving) else {
            return false;
        };
        let group = &self.groups[process.group];
        let waits = !group.queue.is_empty() || group.bound.contains_key(&slot);
        process.reclaim_at.is_some() || (process.is_full() && waits && !group.paused)
    }

    /// Whether more than one request waits for the group, and the group is not paused.
    pub(crate) fn has_queue(&self, id: GroupId) -> bool {
        let group = &self.groups[id];
        !group.paused && group.waiting() > 1
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::super::{Checkout, Concurrency, GroupOptions, Limits};
    use super::*;

    const OPTIONS: GroupOptions = GroupOptions {
        min_instances: 1,
        max_instances: 0,
        max_queue: 100,
        max_requests: 0,
        resists_errors: false,
        takes_turns: false,
    };

    /// A full pool of one group, whose only process has two requests: as many as it takes, if it has a limit.
    fn full(concurrency: Concurrency) -> (Pool, GroupId, Slot, Instant) {
        let now = Instant::now();
        let mut pool =
            Pool::new(Limits { max_processes: 1, max_per_group: 0, max_starting: 1, idle_after: None });
        let group = pool.add_group(OPTIONS);
        let slot = pool.adopt(group, concurrency, now);
        for _ in 0..2 {
            assert_eq!(pool.checkout(group, None, now), Checkout::Granted(slot));
        }
        (pool, group, slot, now)
    }

    #[test]
    fn a_full_process_delays_others_once_a_request_waits() {
        let (mut pool, group, slot, now) = full(Concurrency::At(2));
        assert!(!pool.delays_others(slot), "no request waits");
        let Checkout::Queued(waiter) = pool.checkout(group, None, now) else { panic!("it is full") };
        assert!(pool.delays_others(slot));
        assert!(!pool.has_queue(group), "it waits alone");
        pool.set_paused(group, true, now);
        assert!(!pool.delays_others(slot), "the app is paused");
        pool.set_paused(group, false, now);
        pool.cancel(group, waiter, now);
        assert!(!pool.delays_others(slot), "it was cancelled");
    }

    #[test]
    fn a_bound_request_waits_for_its_process() {
        let (mut pool, group, slot, now) = full(Concurrency::At(2));
        pool.set_limits(Limits { max_processes: 2, ..pool.limits() }, now);
        let other = pool.adopt(group, Concurrency::At(1), now);
        assert_eq!(pool.checkout(group, Some(other), now), Checkout::Granted(other));
        assert!(matches!(pool.checkout(group, Some(other), now), Checkout::Queued(_)));
        assert_eq!((pool.delays_others(slot), pool.delays_others(other)), (false, true));
        assert!(matches!(pool.checkout(group, Some(other), now), Checkout::Queued(_)));
        assert!(pool.has_queue(group));
    }

    #[test]
    fn a_process_that_drains_delays_nobody() {
        let (mut pool, group, slot, now) = full(Concurrency::At(2));
        assert!(matches!(pool.checkout(group, None, now), Checkout::Queued(_)));
        pool.detach(slot, now);
        assert!(!pool.delays_others(slot));
        assert!(!pool.delays_others(Slot(77)));
    }

    #[test]
    fn a_process_without_a_limit_delays_other_groups_only() {
        let (mut pool, _, slot, now) = full(Concurrency::Unlimited);
        assert!(!pool.delays_others(slot));
        let other = pool.add_group(OPTIONS);
        let later = now + std::time::Duration::from_secs(60);
        assert!(matches!(pool.checkout(other, None, later), Checkout::Queued(_)));
        pool.sweep(later);
        assert!(pool.delays_others(slot), "it is marked for reclaim");
    }
}
