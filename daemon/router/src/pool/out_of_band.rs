//! Out-of-band work: work that a process requests to do between requests, while other processes serve.
//!
//! As in Passenger, the process gets no further request, finishes those it has, works, and serves again. One process of
//! a group works at a time. A group's only process waits until a second one serves; if none can be started, its request
//! for out-of-band work is dropped.

use std::time::{Duration, Instant};

use super::rules::StartReason;
use super::{Action, Deployment, GroupId, OutOfBand, Pool, Slot, State};

/// How long a process may take to finish its requests; after that it serves again without working, as some never end.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(60);

impl Pool {
    /// Records that a process requests out-of-band work.
    pub(crate) fn request_out_of_band(&mut self, slot: Slot, now: Instant) {
        let Some(process) = self.processes.get_mut(&slot) else { return };
        if process.state == State::Serving && process.out_of_band == OutOfBand::None {
            process.out_of_band = OutOfBand::Requested;
            let id = process.group;
            self.groups[id].out_of_band.push(slot);
            self.advance_out_of_band(id, now);
        }
    }

    /// Lets a process serve again that has done its out-of-band work, or has failed to.
    pub(crate) fn end_out_of_band(&mut self, slot: Slot, now: Instant) {
        let Some(process) = self.processes.get_mut(&slot) else { return };
        if process.out_of_band != OutOfBand::Working {
            return;
        }
        process.out_of_band = OutOfBand::None;
        process.sessions -= 1;
        process.last_used = now;
        let (id, state, sessions) = (process.group, process.state, process.sessions);
        self.remove_out_of_band(id, slot);
        match state {
            State::Draining if sessions == 0 => self.stop(slot),
            State::Serving if self.settle_reclaim(slot, now) => self.retire(slot),
            _ => {}
        }
        self.update(id, now);
    }

    /// Takes the next step of the group's out-of-band work, if there is one.
    pub(super) fn advance_out_of_band(&mut self, id: GroupId, now: Instant) {
        let group = &self.groups[id];
        let Some(&first) = group.out_of_band.first() else { return };
        let has_begun = |slot: &Slot| self.processes.get(slot).is_some_and(|p| p.out_of_band.is_begun());
        if self.closing || group.deployment != Deployment::Settled {
            // The processes that requested it are about to be replaced.
            self.drop_out_of_band_requests(id);
            self.serve_queue(id, now);
        } else if let Some(slot) = group.out_of_band.iter().copied().find(has_begun) {
            self.start_out_of_band(slot, now);
        } else if self.in_state(id, State::Serving).iter().any(|other| *other != first) {
            if let Some(process) = self.processes.get_mut(&first) {
                process.out_of_band = OutOfBand::Draining(now + DRAIN_TIMEOUT);
            }
            self.sweep_sooner = true;
            self.start_out_of_band(first, now);
        } else if group.starting == 0 {
            self.start_substitute(id, now);
        }
    }

    /// Returns until when a process waits for its last requests; after that time, it serves again.
    pub(super) fn out_of_band_due(&mut self, id: GroupId, now: Instant) -> Option<Instant> {
        let waiting = |slot: &Slot| match self.processes.get(slot)?.out_of_band {
            OutOfBand::Draining(until) => Some((*slot, until)),
            _ => None,
        };
        let (slot, until) = self.groups[id].out_of_band.iter().find_map(waiting)?;
        if until > now {
            return Some(until);
        }
        if let Some(process) = self.processes.get_mut(&slot) {
            process.out_of_band = OutOfBand::None;
        }
        self.remove_out_of_band(id, slot);
        self.serve_queue(id, now);
        self.advance_out_of_band(id, now);
        None
    }

    /// Removes a process that ends or has done its work from the list.
    pub(super) fn remove_out_of_band(&mut self, id: GroupId, slot: Slot) {
        self.groups[id].out_of_band.retain(|other| *other != slot);
    }

    /// Starts the work if the process has no request left.
    fn start_out_of_band(&mut self, slot: Slot, now: Instant) {
        let Some(process) = self.processes.get_mut(&slot) else { return };
        if process.sessions == 0 && process.out_of_band != OutOfBand::Working {
            process.out_of_band = OutOfBand::Working;
            process.begin_session(now);
            self.actions.push(Action::WorkOutOfBand(slot));
        }
    }

    /// Starts a process that serves meanwhile; if none may be started, drops the requests for out-of-band work.
    fn start_substitute(&mut self, id: GroupId, now: Instant) {
        let group = &self.groups[id];
        let may_start = group.not_before.is_none() && !group.is_obsolete();
        if may_start && self.has_room_for(StartReason::Demand, id) {
            self.start_process(id, now);
        } else {
            self.drop_out_of_band_requests(id);
        }
    }

    /// Lets processes that do not work yet continue to serve.
    fn drop_out_of_band_requests(&mut self, id: GroupId) {
        let processes = &mut self.processes;
        self.groups[id].out_of_band.retain(|slot| match processes.get_mut(slot) {
            Some(process) if process.out_of_band != OutOfBand::Working => {
                process.out_of_band = OutOfBand::None;
                false
            }
            found => found.is_some(),
        });
    }
}
