//! The pool's record of one process: its state, number of sessions, and time of last use.

use std::time::{Duration, Instant};

use super::GroupId;

/// A process that ends sooner than this after it became ready, without having served a request, is a failed start.
const EARLY: Duration = Duration::from_secs(5);

/// How many requests a process serves at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Concurrency {
    /// Any number (Node.js, generic apps).
    Unlimited,
    /// At most this many.
    At(usize),
}

/// The state of a process. It only changes to a later one of this list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Its start was ordered and it has not reported that it is ready.
    Starting,
    /// It takes requests.
    Serving,
    /// It finishes the requests it has and gets no other.
    Draining,
    /// It was ordered to end.
    Stopping,
}

/// The state of a process's out-of-band work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OutOfBand {
    /// The process has not requested it.
    None,
    /// The process has requested it, and serves until it is its turn.
    Requested,
    /// The process gets no further request, and works once it has none; it serves again if it has some at this time.
    Draining(Instant),
    /// The process works, which occupies it like a session.
    Working,
}

impl OutOfBand {
    /// Whether the process gets no requests.
    pub(super) fn is_begun(self) -> bool {
        matches!(self, Self::Draining(_) | Self::Working)
    }
}

/// One process.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    pub(crate) group: GroupId,
    pub(crate) state: State,
    /// The restart of its group after which it was started.
    pub(crate) generation: u64,
    pub(crate) concurrency: Concurrency,
    /// Number of requests it has now.
    pub(crate) sessions: usize,
    /// How many of them occupy no slot: the app has hijacked their connection, and their thread is free.
    pub(crate) hijacked: usize,
    /// Number of requests it has finished.
    pub(crate) processed: u64,
    pub(crate) out_of_band: OutOfBand,
    /// When it last began or ended a request, or became ready.
    pub(crate) last_used: Instant,
    /// When its start was decided.
    pub(super) ordered: Instant,
    /// When it became ready.
    pub(super) ready: Instant,
    /// It is marked for reclaim by a group that has no process: it gets no request, and drains at this time.
    pub(super) reclaim_at: Option<Instant>,
    /// That time has passed, but too many processes drain above the pool's limit: it serves until it can drain.
    pub(super) reclaim_delayed: bool,
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
            out_of_band: OutOfBand::None,
            last_used: now,
            ordered: now,
            ready: now,
            reclaim_at: None,
            reclaim_delayed: false,
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.state == State::Serving
            && !self.out_of_band.is_begun()
            && (self.reclaim_at.is_none() || self.reclaim_delayed)
            && !self.is_full()
    }

    /// Whether every slot is occupied.
    pub(super) fn is_full(&self) -> bool {
        matches!(self.concurrency, Concurrency::At(max) if self.slots_taken() >= max)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.state == State::Serving && self.sessions == 0 && !self.out_of_band.is_begun()
    }

    /// Returns the load, for comparison: sessions of a process without a limit, otherwise taken slots in thousandths.
    pub(super) fn load(&self) -> usize {
        match self.concurrency {
            Concurrency::Unlimited => self.sessions,
            Concurrency::At(max) => self.slots_taken() * 1000 / max.max(1),
        }
    }

    /// Returns the number of slots that requests occupy.
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

    /// Whether the process has served as many requests as `passenger_max_requests` allows; 0 for no limit.
    pub(super) fn reached_max_requests(&self, max_requests: u64) -> bool {
        max_requests != 0 && self.processed >= max_requests
    }

    pub(super) fn failed_early(&self, now: Instant) -> bool {
        self.processed == 0 && now.saturating_duration_since(self.last_used) < EARLY
    }
}
