//! The restart of a group: replaces every process, all at once or one after another.
//!
//! A rolling restart starts a process of the new version, takes the newest of the old ones out of service, waits until
//! that one has ended, and repeats. It stops at the first process that does not start.

use std::time::{Duration, Instant};

use super::{Action, Deployment, GroupId, Pool, Slot, State};

/// How long a rolling restart waits for a replaced process to end, so that a stuck one does not block it for ever.
const REPLACE_TIMEOUT: Duration = Duration::from_secs(60);

/// How processes are replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RestartHow {
    /// All of them at once; requests wait for the new ones.
    Blocking,
    /// One after another; the old ones serve meanwhile.
    Rolling,
}

impl Pool {
    /// Begins a new version of the group, to which processes started from now on belong, and replaces every older one.
    pub(crate) fn restart(&mut self, id: GroupId, how: RestartHow, now: Instant) {
        let group = &mut self.groups[id];
        group.generation += 1;
        group.failures = 0;
        group.not_before = None;
        group.deployment = Deployment::Settled;
        for slot in self.in_state(id, State::Starting) {
            self.abandon(slot);
        }
        let serving = self.in_state(id, State::Serving);
        // A group that resists deployment errors keeps the old version until a process of the new one has started.
        let rolls = how == RestartHow::Rolling || self.groups[id].options.resists_errors;
        if rolls && !serving.is_empty() {
            self.groups[id].deployment = Deployment::Rolling { wait_until: None };
        } else {
            serving.into_iter().for_each(|slot| self.retire(slot));
        }
        self.update(id, now);
    }

    /// Returns the number of processes of an older version that have not ended.
    pub(crate) fn outdated(&self, id: GroupId) -> usize {
        let group = &self.groups[id];
        let members = group.members.iter().filter_map(|slot| self.processes.get(slot));
        members.filter(|process| process.generation < group.generation).count()
    }

    pub(super) fn may_replace_another(&self, id: GroupId, wait_until: Option<Instant>, now: Instant) -> bool {
        let group = &self.groups[id];
        let last_has_gone = group.leaving == 0 || wait_until.is_none_or(|until| until <= now);
        group.starting == 0
            && group.not_before.is_none()
            && last_has_gone
            && self.next_to_replace(id).is_some()
    }

    /// Takes an old process out of service, as one of the new version serves.
    pub(super) fn replace_one(&mut self, id: GroupId, now: Instant) {
        if !self.groups[id].is_rolling() {
            return;
        }
        if let Some(old) = self.next_to_replace(id) {
            self.groups[id].deployment = Deployment::Rolling { wait_until: Some(now + REPLACE_TIMEOUT) };
            self.retire(old);
        }
    }

    /// Stops a rolling restart, as a process of the newest version did not start or ended early.
    pub(super) fn abort_rolling(&mut self, id: GroupId) {
        let group = &mut self.groups[id];
        if group.is_rolling() {
            let resists = group.options.resists_errors;
            group.deployment = if resists { Deployment::Resisting } else { Deployment::Settled };
            self.actions.push(Action::Undeployed(id));
        }
    }

    /// Completes a rolling restart when no process is left to replace.
    pub(super) fn finish_rolling(&mut self, id: GroupId) {
        if self.groups[id].is_rolling() && self.next_to_replace(id).is_none() {
            self.groups[id].deployment = Deployment::Settled;
            self.actions.push(Action::Deployed(id));
        }
    }

    /// Returns the newest serving process of an older version.
    fn next_to_replace(&self, id: GroupId) -> Option<Slot> {
        let group = &self.groups[id];
        let is_old = |slot: &&Slot| {
            let process = self.processes.get(slot);
            process.is_some_and(|p| p.state == State::Serving && p.generation < group.generation)
        };
        group.members.iter().rev().find(is_old).copied()
    }
}
