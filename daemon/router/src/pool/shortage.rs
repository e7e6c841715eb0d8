//! What a full pool costs: processes that end to make room for other groups, and requests that wait for room.

use super::{GroupId, Pool, Slot};

/// A process that ends to make room for a group that has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Eviction {
    pub(crate) slot: Slot,
    pub(crate) group: GroupId,
    /// The group that gets the room.
    pub(crate) for_group: GroupId,
}

/// Requests that wait because the pool is full.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Shortage {
    pub(crate) requests: usize,
    pub(crate) groups: usize,
}

impl Pool {
    /// Returns the evictions since the last call, in order.
    pub(crate) fn take_evictions(&mut self) -> Vec<Eviction> {
        std::mem::take(&mut self.evictions)
    }

    /// Records that a process ends for this group or, if it is not known, for the one that has waited longest.
    pub(super) fn evict(&mut self, slot: Slot, for_group: Option<GroupId>) {
        let longest =
            || self.counts.starving.iter().min_by_key(|id| self.groups[**id].starving_since).copied();
        let group = self.processes.get(&slot).map(|process| process.group);
        if let (Some(group), Some(for_group)) = (group, for_group.or_else(longest)) {
            self.evictions.push(Eviction { slot, group, for_group });
        }
    }

    /// Returns the requests that wait although their groups may have more processes, as the pool has no room; `None`
    /// when there are none.
    pub(crate) fn shortage(&self) -> Option<Shortage> {
        if self.capacity_used() < self.limits.max_processes {
            return None;
        }
        let mut shortage = Shortage::default();
        for group in self.groups.iter() {
            let waits = !group.paused && group.queue.len() > group.starting;
            if waits && group.capacity_used() < self.max_processes_of(group) {
                shortage.requests += group.queue.len();
                shortage.groups += 1;
            }
        }
        (shortage.groups > 0).then_some(shortage)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::super::{Checkout, Concurrency, GroupOptions, Limits};
    use super::*;

    fn full(processes: usize) -> (Pool, GroupId, GroupId, Instant) {
        let limits = Limits { max_processes: processes, max_per_group: 0, max_starting: 2, idle_after: None };
        let (mut pool, now) = (Pool::new(limits), Instant::now());
        let [one, other] = [0, 1].map(|_| pool.add_group(GroupOptions::default()));
        for _ in 0..processes {
            pool.adopt(one, Concurrency::At(1), now);
        }
        (pool, one, other, now)
    }

    #[test]
    fn an_idle_process_is_evicted_for_the_group_that_waits() {
        let (mut pool, one, other, now) = full(2);
        assert!(matches!(pool.checkout(other, None, now), Checkout::Queued(_)));
        assert_eq!(pool.take_evictions(), [Eviction { slot: Slot(1), group: one, for_group: other }]);
        assert_eq!(pool.take_evictions(), []);
    }

    #[test]
    fn a_busy_process_is_evicted_when_it_is_free() {
        let (mut pool, one, other, now) = full(2);
        let slots = [0, 1].map(|_| match pool.checkout(one, None, now) {
            Checkout::Granted(slot) => slot,
            refused => panic!("{refused:?}"),
        });
        pool.checkout(other, None, now);
        assert_eq!(pool.take_evictions(), []);
        pool.release(slots[1], now);
        let evicted = pool.take_evictions();
        assert_eq!(evicted, [Eviction { slot: slots[1], group: one, for_group: other }]);
    }

    #[test]
    fn a_shortage_is_what_more_room_would_end() {
        let (mut pool, one, other, now) = full(2);
        assert_eq!(pool.shortage(), None, "no request waits");
        for _ in 0..3 {
            pool.checkout(one, None, now);
        }
        assert_eq!(pool.shortage(), Some(Shortage { requests: 1, groups: 1 }));
        pool.checkout(other, None, now);
        assert_eq!(pool.shortage(), Some(Shortage { requests: 2, groups: 2 }));
        pool.set_limits(Limits { max_processes: 2, max_per_group: 2, ..pool.limits() }, now);
        assert_eq!(
            pool.shortage(),
            Some(Shortage { requests: 1, groups: 1 }),
            "one has all that it may have"
        );
    }
}
