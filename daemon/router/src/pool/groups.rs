//! The groups of the pool: added, reconfigured, paused and removed.

use std::collections::BTreeSet;
use std::ops::{Index, IndexMut};
use std::time::Instant;

use super::group::{Group, GroupOptions};
use super::{ByNumber, Deployment, GroupId, Pool, State, Waiter};

/// All groups by ID. IDs are not reused: an outdated ID finds an empty group that no app uses.
#[derive(Debug, Clone)]
pub(super) struct Groups {
    by_id: ByNumber<GroupId, Group>,
    /// Their IDs in order. A request looks its group up several times, which must not depend on how many there are.
    ids: BTreeSet<GroupId>,
    next: usize,
    removed: Group,
}

impl Groups {
    pub(super) fn new() -> Self {
        let options = GroupOptions { max_instances: 1, max_queue: 1, ..GroupOptions::default() };
        Self { by_id: ByNumber::default(), ids: BTreeSet::new(), next: 0, removed: Group::new(options) }
    }

    pub(super) fn ids(&self) -> Vec<GroupId> {
        self.ids.iter().copied().collect()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Group> {
        self.ids.iter().filter_map(|id| self.by_id.get(id))
    }
}

impl Index<GroupId> for Groups {
    type Output = Group;

    fn index(&self, id: GroupId) -> &Group {
        self.by_id.get(&id).unwrap_or(&self.removed)
    }
}

impl IndexMut<GroupId> for Groups {
    fn index_mut(&mut self, id: GroupId) -> &mut Group {
        self.by_id.get_mut(&id).unwrap_or(&mut self.removed)
    }
}

impl Pool {
    pub(crate) fn add_group(&mut self, options: GroupOptions) -> GroupId {
        let id = GroupId(self.groups.next);
        self.groups.next += 1;
        self.groups.by_id.insert(id, Group::new(options));
        self.groups.ids.insert(id);
        id
    }

    /// Removes a group that has no process and no waiting request; false when it has.
    pub(crate) fn remove_group(&mut self, id: GroupId) -> bool {
        self.is_unused(id) && self.groups.ids.remove(&id) && self.groups.by_id.remove(&id).is_some()
    }

    /// Whether the group exists: true until it is removed.
    pub(crate) fn contains(&self, id: GroupId) -> bool {
        self.groups.by_id.contains_key(&id)
    }

    /// Whether the group has no process and no waiting request.
    pub(crate) fn is_unused(&self, id: GroupId) -> bool {
        let group = &self.groups[id];
        group.members.is_empty() && group.waiting() == 0
    }

    /// Applies a group's changed settings immediately.
    pub(crate) fn set_options(&mut self, id: GroupId, options: GroupOptions, now: Instant) {
        // Processes may be idle that a lower minimum does not keep.
        self.sweep_sooner |= self.groups[id].options != options;
        self.groups[id].options = options;
        self.update(id, now);
    }

    /// Keeps the group's minimum number of processes running from now on, even without a request. One process is
    /// started if the minimum is 0.
    pub(crate) fn keep_running(&mut self, id: GroupId, now: Instant) {
        let group = &mut self.groups[id];
        group.kept_running = true;
        group.used &= group.capacity_used() > 0;
        self.sweep_sooner = true;
        self.update(id, now);
    }

    /// Sets whether nginx's configuration contains the app. If not, the app's processes end after their requests. A
    /// later request, from an nginx worker that is about to exit, starts a process that ends after it.
    pub(crate) fn set_configured(&mut self, id: GroupId, configured: bool, now: Instant) {
        if self.groups[id].configured == configured {
            return;
        }
        self.groups[id].configured = configured;
        self.sweep_sooner = true;
        if !configured {
            self.groups[id].deployment = Deployment::Settled;
            self.in_state(id, State::Serving).into_iter().for_each(|slot| self.retire(slot));
            if self.groups[id].is_obsolete() {
                self.in_state(id, State::Starting).into_iter().for_each(|slot| self.abandon(slot));
            }
        }
        self.update(id, now);
    }

    /// Pauses the group for an administrator, so that new requests wait, or resumes it. A paused group's processes
    /// finish the requests they have and continue to run.
    pub(crate) fn set_paused(&mut self, id: GroupId, paused: bool, now: Instant) {
        if self.groups[id].paused != paused {
            self.groups[id].paused = paused;
            self.update_starving(id);
            self.update(id, now);
        }
    }

    /// Removes all requests that wait for the group and returns them; the caller must answer them.
    pub(crate) fn reject_waiting(&mut self, id: GroupId, now: Instant) -> Vec<Waiter> {
        let waiters = self.groups[id].take_waiters();
        self.update_starving(id);
        self.update(id, now);
        waiters
    }
}

#[cfg(test)]
mod tests {
    use super::super::Limits;
    use super::*;

    #[test]
    fn group_ids_are_not_reused() {
        let mut pool =
            Pool::new(Limits { max_processes: 1, max_per_group: 0, max_starting: 1, idle_after: None });
        let options = pool.groups.removed.options;
        let first = pool.add_group(options);
        pool.groups[first].generation = 7;
        assert!(pool.remove_group(first) && !pool.remove_group(first));
        let second = pool.add_group(options);
        assert_ne!(first, second);
        assert!(!pool.contains(first) && pool.contains(second));
        assert_eq!((pool.group(first).generation, pool.group(second).generation), (0, 0));
        assert_eq!((pool.groups.ids(), pool.groups.iter().count()), (vec![second], 1));
    }
}
