//! One application's processes and its queue.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::{Slot, Waiter};

/// First pause after a failed start; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// Longest pause between two starts that no request asked for.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What an app's settings say to the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GroupOptions {
    /// Processes to keep once the app was used.
    pub(crate) min_instances: usize,
    /// Most processes; 0 for as many as the pool has room for.
    pub(crate) max_instances: usize,
    /// Most waiting requests; 0 for any number.
    pub(crate) max_queue: usize,
    /// Requests after which a process is replaced; 0 for never.
    pub(crate) max_requests: u64,
    /// A new version that does not start leaves the old one serving.
    pub(crate) resists_errors: bool,
    /// Of processes that are equally busy the one that has rested longest gets the request, and not the oldest.
    pub(crate) takes_turns: bool,
}

/// How far the newest version of an app has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deployment {
    /// Every process that will be replaced has been.
    Settled,
    /// Processes are replaced one after another.
    Rolling {
        /// Until when the next waits for the one before to end.
        patience: Option<Instant>,
    },
    /// The new version did not start: old processes stay, and none is started before the next restart.
    Resisting,
}

impl Deployment {
    /// When a rolling restart goes on at the latest.
    pub(super) fn patience(self) -> Option<Instant> {
        match self {
            Self::Rolling { patience } => patience,
            Self::Settled | Self::Resisting => None,
        }
    }
}

/// One application.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) options: GroupOptions,
    /// Requests that wait for any process, oldest first.
    pub(crate) queue: BTreeSet<Waiter>,
    /// Requests that wait for one process, since their client's earlier ones went there.
    pub(super) bound: BTreeMap<Slot, BTreeSet<Waiter>>,
    /// Its processes in the order they were started.
    pub(crate) members: Vec<Slot>,
    /// How many of them are starting.
    pub(super) starting: usize,
    /// How many of them are draining or stopping.
    pub(super) leaving: usize,
    /// How many restarts it has seen.
    pub(crate) generation: u64,
    /// What the last of them has come to.
    pub(crate) deployment: Deployment,
    /// nginx's configuration holds it, or is not known.
    pub(super) configured: bool,
    /// An administrator has paused it: its requests wait, whatever processes there are.
    pub(crate) paused: bool,
    /// Processes are to be there without a request.
    pub(super) kept: bool,
    /// A process has been ready: from now on `min_instances` is kept. An app that never started is not started again
    /// before a request asks for it.
    pub(super) used: bool,
    /// Those of its processes that ask for out-of-band work, in the order of asking, and the one that has it.
    pub(super) out_of_band: Vec<Slot>,
    /// Starts that failed since the last that did not.
    pub(super) failures: u32,
    /// No process is started before this time, unless a request needs one.
    pub(super) not_before: Option<Instant>,
    /// Orders groups that wait without any process by the time they began to.
    pub(super) starving_since: u64,
}

impl Group {
    pub(super) fn new(options: GroupOptions) -> Self {
        Self {
            options,
            queue: BTreeSet::new(),
            bound: BTreeMap::new(),
            members: Vec::new(),
            starting: 0,
            generation: 0,
            deployment: Deployment::Settled,
            configured: true,
            paused: false,
            kept: false,
            used: false,
            out_of_band: Vec::new(),
            failures: 0,
            not_before: None,
            leaving: 0,
            starving_since: 0,
        }
    }

    /// Processes that start or serve.
    pub(crate) fn capacity_used(&self) -> usize {
        self.members.len() - self.leaving
    }

    /// Processes that are starting.
    pub(crate) fn starting(&self) -> usize {
        self.starting
    }

    /// Every request that waits.
    pub(super) fn waiters(&self) -> Vec<Waiter> {
        self.queue.iter().chain(self.bound.values().flatten()).copied().collect()
    }

    /// Requests that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.len() + self.bound.values().map(BTreeSet::len).sum::<usize>()
    }

    /// The request does not wait any more.
    pub(super) fn forget(&mut self, waiter: Waiter) {
        if !self.queue.remove(&waiter) {
            self.bound.retain(|_, waiters| {
                waiters.remove(&waiter);
                !waiters.is_empty()
            });
        }
    }

    /// The process takes no further request: who waited for it waits for any.
    pub(super) fn unbind(&mut self, slot: Slot) {
        self.queue.extend(self.bound.remove(&slot).into_iter().flatten());
    }

    pub(super) fn queue_is_full(&self) -> bool {
        self.options.max_queue != 0 && self.waiting() >= self.options.max_queue
    }

    /// True when one more process should be started, if there is room for it: requests wait, or there are fewer than
    /// the configuration wants. After a failure one is tried at a time.
    pub(super) fn wants_more(&self, max_starting: usize) -> bool {
        let most = if self.used && self.failures == 0 { max_starting } else { 1 };
        let asked = !self.paused && self.queue.len() > self.starting;
        let more = asked || self.is_short();
        more && self.starting < most && self.not_before.is_none()
    }

    /// It has fewer processes than the configuration wants, and is in use.
    pub(crate) fn is_short(&self) -> bool {
        (self.used || self.kept) && self.configured && self.capacity_used() < self.options.min_instances
    }

    /// Nobody asks for it any more.
    pub(super) fn is_superfluous(&self) -> bool {
        !self.configured && self.waiting() == 0
    }

    /// Its processes are being replaced one after another.
    pub(crate) fn is_rolling(&self) -> bool {
        matches!(self.deployment, Deployment::Rolling { .. })
    }

    /// The first of its processes.
    pub(super) fn only_member(&self) -> Option<Slot> {
        self.members.first().copied()
    }

    /// Requests wait although it has no process.
    pub(super) fn is_starving(&self) -> bool {
        !self.paused && !self.queue.is_empty() && self.capacity_used() == 0
    }

    /// Puts the next start off, longer with each failure in a row.
    pub(super) fn note_failure(&mut self, now: Instant) {
        let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.min(10)).min(LONGEST_PAUSE);
        self.failures = self.failures.saturating_add(1);
        self.not_before = Some(now + pause);
    }
}
