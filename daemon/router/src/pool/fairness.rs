//! Fairness between groups: a group whose requests wait although it has no process gets one, even if every other
//! process is busy and has a queue.
//!
//! When the pool is full, another group gives up a process: one that is idle, one that is still starting while the
//! group has others, or else the next one that becomes free in the group with the most processes. For the latter, one of
//! its processes is marked for reclaim and gets no further request, and the first of its processes that is free ends. A
//! group's only process is given up as well, but only after a minimum time of service (its *turn*), so that apps that
//! share too small a pool alternate and do not spend their time on starts.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{Deployment, GroupId, Pool, Slot, State};

/// How long a group may take until one of its processes is free. After that the marked one drains: it finishes its requests
/// without counting towards the pool's limit, or continues to serve until that is allowed.
const RECLAIM_TIMEOUT: Duration = Duration::from_secs(10);
/// When to try again after that time, while too many processes already finish above the limit.
const RECLAIM_RETRY: Duration = Duration::from_secs(1);
/// A group's only process serves at least this long before it is given up for a waiting group, and at least as long as
/// its start took, up to the longest turn.
const MIN_TURN: Duration = Duration::from_secs(1);
const MAX_TURN: Duration = Duration::from_secs(10);

/// The processes that a group relies on: all but marked ones and those that end.
#[derive(Debug, Default)]
struct GroupLoad {
    /// Serving processes, by their number of requests.
    serving: Vec<(usize, Slot)>,
    /// Starting processes, unless a new version is being rolled out.
    starting: Vec<Slot>,
}

impl GroupLoad {
    fn processes(&self) -> usize {
        self.serving.len() + self.starting.len()
    }
}

impl Pool {
    /// Records whether the group's requests wait although it has no process; called whenever its queue or the number of
    /// its processes changes.
    pub(super) fn update_starving(&mut self, id: GroupId) {
        if !self.groups[id].is_starving() {
            self.counts.starving.remove(&id);
        } else if self.counts.starving.insert(id) {
            self.groups[id].starving_since = self.next_turn;
            self.next_turn += 1;
            // Another group's turn may end before the next sweep.
            self.sweep_sooner = true;
        }
    }

    /// Starts processes for groups that wait without any, the longest wait first, as far as there is or can be made room;
    /// marks processes of other groups for the rest.
    pub(super) fn start_starving_groups(&mut self, now: Instant) {
        if self.closing || (self.counts.starving.is_empty() && self.counts.reclaiming == 0) {
            return;
        }
        let mut starving: Vec<GroupId> = self.counts.starving.iter().copied().collect();
        starving.sort_by_key(|id| self.groups[*id].starving_since);
        for id in starving {
            self.groups[id].expire_backoff(now);
            let backs_off = self.groups[id].not_before.is_some();
            if self.make_room_for(id) || (!backs_off && self.abandon_newest_start(id)) {
                self.start_process(id, now);
            }
        }
        self.mark_for_reclaim(now);
    }

    /// Whether a process that has no request left must end for a group that has no process. Unmarks one process of its
    /// group then.
    pub(super) fn settle_reclaim(&mut self, slot: Slot, now: Instant) -> bool {
        self.mark_for_reclaim(now);
        if self.counts.reclaiming == 0 {
            return false;
        }
        let Some(process) = self.processes.get(&slot).filter(|p| p.is_idle()) else { return false };
        let of_group = |other: &Slot| self.processes.get(other).is_some_and(|p| p.group == process.group);
        let marked = self.marked().into_iter().filter(|(_, other)| of_group(other));
        // A marked process ends itself, any other process ends in place of the one marked last.
        let settled = marked.max_by_key(|(until, other)| (*other == slot, *until));
        if let Some((_, marked)) = settled {
            self.cancel_reclaim(marked);
            self.evict(slot, None);
        }
        settled.is_some()
    }

    /// Returns the marked processes, each with the time at which it drains, earliest first.
    fn marked(&self) -> Vec<(Instant, Slot)> {
        let marked = self.processes.iter().filter_map(|(slot, p)| Some((p.reclaim_at?, *slot)));
        let mut marked: Vec<_> = marked.collect();
        marked.sort();
        marked
    }

    /// Marks as many processes as groups wait, less the free room. A group whose last start failed is ignored until its
    /// pause has ended: failing starts cost no other group a process.
    fn mark_for_reclaim(&mut self, now: Instant) {
        let groups = self.counts.starving.iter().map(|id| &self.groups[*id]);
        let waiting = groups.filter(|group| group.not_before.is_none_or(|at| at <= now)).count();
        let room = self.limits.max_processes.saturating_sub(self.capacity_used());
        let wanted = waiting.saturating_sub(room);
        while self.counts.reclaiming < wanted {
            let Some(slot) = self.next_to_reclaim(now) else { break };
            if let Some(process) = self.processes.get_mut(&slot) {
                process.reclaim_at = Some(now + RECLAIM_TIMEOUT);
                self.counts.reclaiming += 1;
                self.sweep_sooner = true;
            }
        }
        while self.counts.reclaiming > wanted {
            // The process marked last is likely to be free last.
            let Some((_, slot)) = self.marked().pop() else { break };
            self.cancel_reclaim(slot);
            if let Some(id) = self.processes.get(&slot).map(|process| process.group) {
                self.serve_queue(id, now);
            }
        }
    }

    /// Unmarks a process, which continues to serve or ends.
    pub(super) fn cancel_reclaim(&mut self, slot: Slot) {
        if let Some(process) = self.processes.get_mut(&slot)
            && process.reclaim_at.take().is_some()
        {
            process.reclaim_delayed = false;
            self.counts.reclaiming -= 1;
            // A turn for which the next sweep did not have to wait may matter now.
            self.sweep_sooner = true;
        }
    }

    /// Returns a busy process to mark: the one with the fewest requests of the group with the most processes. Of groups
    /// with one process each, the one whose turn ended first, if any has.
    fn next_to_reclaim(&self, now: Instant) -> Option<Slot> {
        let loads = self.loads();
        let candidates = loads.values().filter(|load| load.processes() > 1 && !load.serving.is_empty());
        if let Some(largest) = candidates.max_by_key(|load| load.processes()) {
            return largest.serving.iter().min().map(|(_, slot)| *slot);
        }
        let alone = loads.iter().filter(|(_, load)| load.processes() == 1);
        let over = alone.filter_map(|(id, load)| {
            let (_, slot) = *load.serving.first()?;
            let until = self.turn_ends(slot)?;
            let risky = self.groups[*id].deployment != Deployment::Settled;
            (until <= now).then_some((risky, until, slot))
        });
        over.min().map(|(.., slot)| slot)
    }

    /// Returns until when a group keeps its only process.
    fn turn_ends(&self, slot: Slot) -> Option<Instant> {
        let process = self.processes.get(&slot)?;
        let took = process.ready.saturating_duration_since(process.ordered);
        Some(process.ready + took.clamp(MIN_TURN, MAX_TURN))
    }

    fn loads(&self) -> BTreeMap<GroupId, GroupLoad> {
        let mut loads: BTreeMap<GroupId, GroupLoad> = BTreeMap::new();
        for (slot, process) in &self.processes {
            let load = loads.entry(process.group).or_default();
            match process.state {
                State::Serving if process.reclaim_at.is_none() => {
                    load.serving.push((process.sessions, *slot))
                }
                // During a rolling restart it is unknown whether the new version starts.
                State::Starting if !self.groups[process.group].is_rolling() => load.starting.push(*slot),
                _ => {}
            }
        }
        loads
    }

    /// Abandons the newest starting process of the group with the most processes, if the group has others.
    fn abandon_newest_start(&mut self, id: GroupId) -> bool {
        if self.capacity_used() > self.limits.max_processes {
            return false;
        }
        let loads = self.loads();
        let candidates = loads.values().filter(|load| load.processes() > 1);
        let largest = candidates.max_by_key(|load| load.processes());
        let newest = largest.and_then(|load| load.starting.iter().max().copied());
        if let Some(slot) = newest {
            self.evict(slot, Some(id));
            self.abandon(slot);
        }
        newest.is_some()
    }

    /// Takes marked processes out of service that are not free in time; returns when the next one is due, or when the
    /// next turn ends.
    pub(super) fn sweep_reclaims(&mut self, now: Instant) -> Option<Instant> {
        for (_, slot) in self.marked().into_iter().take_while(|(until, _)| *until <= now) {
            let draining = self.processes.values().filter(|p| p.state == State::Draining).count();
            let Some(process) = self.processes.get_mut(&slot) else { continue };
            let id = process.group;
            if draining < (self.limits.max_processes / 4).max(1) {
                self.evict(slot, None);
                self.retire(slot);
            } else {
                process.reclaim_at = Some(now + RECLAIM_RETRY);
                process.reclaim_delayed = true;
            }
            // Requests that were bound to a retired process now wait for any process of the group.
            self.serve_queue(id, now);
        }
        self.start_starving_groups(now);
        let next = self.marked().first().map(|(until, _)| *until);
        if self.counts.starving.len() <= self.counts.reclaiming {
            return next;
        }
        let alone = self.processes.iter().filter(|(_, process)| {
            process.state == State::Serving && self.groups[process.group].capacity_used() == 1
        });
        let turns = alone.filter_map(|(slot, _)| self.turn_ends(*slot));
        next.into_iter().chain(turns.filter(|until| *until > now)).min()
    }
}
