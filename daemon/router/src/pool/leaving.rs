//! The choice of processes that end: idle ones after a time limit, and those that exceed a limit.

use std::time::Instant;

use super::{Deployment, Group, GroupId, Pool, Slot, State};

impl Pool {
    /// Ends processes that were idle for too long and starts those whose back-off has ended; returns when to call again.
    pub(crate) fn sweep(&mut self, now: Instant) -> Option<Instant> {
        let mut next: Option<Instant> = None;
        for id in self.groups.ids() {
            self.balance(id, now);
            let out_of_band = self.out_of_band_due(id, now);
            let rolling = match self.groups[id].deployment {
                Deployment::Rolling { wait_until } => wait_until.filter(|until| *until > now),
                Deployment::Settled | Deployment::Resisting => None,
            };
            let due = [next, self.sweep_group(id, now), self.groups[id].not_before, rolling, out_of_band];
            next = due.into_iter().flatten().min();
        }
        next.into_iter().chain(self.sweep_reclaims(now)).min()
    }

    /// Ends idle processes of the group that are due; returns when the next may be due. A busy one is due after the
    /// full idle time at the earliest.
    fn sweep_group(&mut self, id: GroupId, now: Instant) -> Option<Instant> {
        let idle_after = self.limits.idle_after?;
        if self.groups[id].deployment != Deployment::Settled {
            return None;
        }
        let mut next: Option<Instant> = None;
        let serving = self.in_state(id, State::Serving);
        let mut remaining = serving.len();
        for slot in serving {
            if remaining <= self.groups[id].options.min_instances {
                break;
            }
            let idle_since = self.processes.get(&slot).filter(|p| p.is_idle()).map(|p| p.last_used);
            let due = idle_since.unwrap_or(now) + idle_after;
            if due <= now {
                self.retire(slot);
                remaining -= 1;
            } else {
                next = next.into_iter().chain([due]).min();
            }
        }
        next
    }

    /// Stops starting processes; each process ends as soon as it has no session.
    pub(crate) fn close(&mut self) {
        self.closing = true;
        for id in self.groups.ids() {
            self.in_state(id, State::Serving).into_iter().for_each(|slot| self.retire(slot));
            self.in_state(id, State::Starting).into_iter().for_each(|slot| self.abandon(slot));
        }
    }

    /// Ends idle processes of the group that exceed a limit, the longest idle first.
    pub(super) fn shrink(&mut self, id: GroupId) {
        while self.exceeds_limit(id) {
            let members = self.groups[id].members.iter();
            let idle = members.filter_map(|slot| Some((*slot, self.processes.get(slot)?)));
            let first = idle.filter(|(_, p)| p.is_idle()).min_by_key(|(slot, p)| (p.last_used, *slot));
            let Some((slot, _)) = first else { return };
            self.retire(slot);
        }
    }

    /// Whether the group exceeds a limit that was lowered, or the app is no longer configured. A rolling restart may
    /// exceed the limits by one.
    pub(super) fn exceeds_limit(&self, id: GroupId) -> bool {
        let group = &self.groups[id];
        if group.is_obsolete() {
            return group.capacity_used() > 0;
        }
        let above = usize::from(group.is_rolling());
        group.capacity_used() > self.max_processes_of(group).saturating_add(above)
            || self.capacity_used() > self.limits.max_processes && !self.exceeds_by_rolling()
    }

    fn exceeds_by_rolling(&self) -> bool {
        self.capacity_used() == self.limits.max_processes + 1 && self.groups.iter().any(Group::is_rolling)
    }

    /// Ends idle processes of other groups, the longest idle first, until there is room for a group that has none.
    /// Returns false when too few are idle.
    pub(super) fn make_room_for(&mut self, id: GroupId) -> bool {
        while self.capacity_used() >= self.limits.max_processes {
            let idle = self.processes.iter().filter(|(_, p)| p.group != id && p.is_idle());
            let longest: Option<(&Slot, _)> = idle.min_by_key(|(slot, p)| (p.last_used, **slot));
            let Some((&slot, _)) = longest else { return false };
            self.evict(slot, Some(id));
            self.retire(slot);
        }
        true
    }
}
