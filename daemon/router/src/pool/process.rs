//! One process as the pool sees it: a state, a count of sessions, and when it was last used.

use std::time::{Duration, Instant};

use super::GroupId;

/// A process that ends sooner than this after it became ready, without having served, counts as a failed start.
const YOUNG: Duration = Duration::from_secs(5);

/// How many requests a process takes at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Concurrency {
    /// Any number (Node.js, generic apps).
    Unlimited,
    /// This many.
    At(usize),
}

/// Where a process is in its life. It only ever moves down this list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// It was ordered and has not said that it is ready.
    Starting,
    /// It takes requests.
    Serving,
    /// It finishes the requests it has and gets no other.
    Draining,
    /// It was told to end.
    Stopping,
}

/// How far the out-of-band work of a process has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OutOfBand {
    /// None is asked for.
    No,
    /// It wants to work, and serves until it is its turn.
    Asked,
    /// It gets no further request, and works when it has none; it serves again if it still has some then.
    Next(Instant),
    /// It works. That counts as a session.
    AtWork,
}

impl OutOfBand {
    /// Requests are kept from the process.
    pub(super) fn is_begun(self) -> bool {
        matches!(self, Self::Next(_) | Self::AtWork)
    }
}

/// One process.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    pub(crate) group: GroupId,
    pub(crate) state: State,
    /// Which restart of its group it belongs to.
    pub(crate) generation: u64,
    pub(crate) concurrency: Concurrency,
    /// Requests it has now.
    pub(crate) sessions: usize,
    /// How many of them occupy no slot: their connection belongs to the app, and their thread is free.
    pub(crate) hijacked: usize,
    /// Requests it has finished.
    pub(crate) processed: u64,
    pub(crate) out_of_band: OutOfBand,
    /// When it last began or ended a request, or became ready.
    pub(crate) last_used: Instant,
    /// When its start was decided.
    pub(super) ordered: Instant,
    /// When it became ready.
    pub(super) ready: Instant,
    /// Its group gives a process up for another group: this one gets no request, and leaves at this time at the latest.
    pub(super) owed_until: Option<Instant>,
    /// It would leave by now, but too many processes finish above the pool's limit: it serves until it can leave.
    pub(super) serves_on: bool,
}

impl Process {
    pub(super) fn starting(group: GroupId, generation: u64, now: Instant) -> Self {
        Self {
            group,
            state: State::Starting,
            generation,
            concurrency: Concurrency::At(1),
            sessions: 0,
            hijacked: 0,
            processed: 0,
            out_of_band: OutOfBand::No,
            last_used: now,
            ordered: now,
            ready: now,
            owed_until: None,
            serves_on: false,
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.state == State::Serving
            && !self.out_of_band.is_begun()
            && (self.owed_until.is_none() || self.serves_on)
            && match self.concurrency {
                Concurrency::Unlimited => true,
                Concurrency::At(most) => self.slots_taken() < most,
            }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.state == State::Serving && self.sessions == 0 && !self.out_of_band.is_begun()
    }

    /// Orders processes: sessions for those without a limit, the share taken in thousandths for the others.
    pub(super) fn busyness(&self) -> usize {
        match self.concurrency {
            Concurrency::Unlimited => self.sessions,
            Concurrency::At(most) => self.slots_taken() * 1000 / most.max(1),
        }
    }

    /// Slots that requests occupy.
    pub(crate) fn slots_taken(&self) -> usize {
        self.sessions.saturating_sub(self.hijacked)
    }

    pub(super) fn begin_session(&mut self, now: Instant) {
        self.sessions += 1;
        self.last_used = now;
    }

    pub(super) fn end_session(&mut self, now: Instant) {
        self.sessions = self.sessions.saturating_sub(1);
        self.processed += 1;
        self.last_used = now;
    }

    /// True when `passenger_max_requests` says that it has served enough; 0 is no limit.
    pub(super) fn used_up(&self, max_requests: u64) -> bool {
        max_requests != 0 && self.processed >= max_requests
    }

    pub(super) fn died_young(&self, now: Instant) -> bool {
        self.processed == 0 && now.saturating_duration_since(self.last_used) < YOUNG
    }
}
