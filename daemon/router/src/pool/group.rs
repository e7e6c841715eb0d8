//! The processes and the queue of one application.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::{Slot, Waiter};

/// First pause after a failed start; it doubles with each further failure.
const MIN_BACKOFF: Duration = Duration::from_millis(250);
/// Longest pause between two starts that no request needs.
const MAX_BACKOFF: Duration = Duration::from_secs(60);

/// The settings of an app that the pool uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct GroupOptions {
    /// Number of processes to keep once the app was used.
    pub(crate) min_instances: usize,
    /// Maximum number of processes; 0 for as many as the pool has room for.
    pub(crate) max_instances: usize,
    /// Maximum number of waiting requests; 0 for no limit.
    pub(crate) max_queue: usize,
    /// Number of requests after which a process is replaced; 0 for never.
    pub(crate) max_requests: u64,
    /// The old version continues to serve when a new one does not start.
    pub(crate) resists_errors: bool,
    /// Of equally busy processes, the least recently used one gets the request, instead of the oldest.
    pub(crate) takes_turns: bool,
}

/// The state of the deployment of an app's newest version.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Deployment {
    /// No process is to be replaced.
    #[default]
    Settled,
    /// Processes are replaced one after another.
    Rolling {
        /// Until when the next replacement waits for the last replaced process to end.
        wait_until: Option<Instant>,
    },
    /// The new version did not start: old processes continue, and none is started before the next restart.
    Resisting,
}

/// One application.
#[derive(Debug, Default, Clone)]
pub(crate) struct Group {
    pub(crate) options: GroupOptions,
    /// Requests that wait for any process, oldest first.
    pub(crate) queue: BTreeSet<Waiter>,
    /// Requests that wait for one process, as it served earlier ones of the same client.
    pub(super) bound: BTreeMap<Slot, BTreeSet<Waiter>>,
    /// Its processes in the order they were started.
    pub(crate) members: Vec<Slot>,
    /// How many members are starting.
    pub(crate) starting: usize,
    /// How many members are draining or stopping.
    pub(super) leaving: usize,
    /// Number of restarts of the group.
    pub(crate) generation: u64,
    /// State of the last restart.
    pub(crate) deployment: Deployment,
    /// nginx's configuration contains the app, or is not known.
    pub(super) configured: bool,
    /// An administrator has paused the app: its requests wait, even if processes are free.
    pub(crate) paused: bool,
    /// Processes are kept running without a request.
    pub(super) kept_running: bool,
    /// A process has been ready: from then on `min_instances` is kept. An app that never started is started again only
    /// for a request.
    pub(super) used: bool,
    /// Processes that ask for out-of-band work, in the order of asking, including the one that does it.
    pub(super) out_of_band: Vec<Slot>,
    /// Number of failed starts since the last successful one.
    pub(crate) failures: u32,
    /// No process is started before this time, unless a request needs one.
    pub(super) not_before: Option<Instant>,
    /// Sequence number for groups that wait without any process, in the order in which they began to wait.
    pub(super) starving_since: u64,
}

impl Group {
    pub(super) fn new(options: GroupOptions) -> Self {
        Self { options, configured: true, ..Self::default() }
    }

    /// Returns the number of processes that start or serve.
    pub(crate) fn capacity_used(&self) -> usize {
        self.members.len() - self.leaving
    }

    /// Removes and returns every waiting request.
    pub(super) fn take_waiters(&mut self) -> Vec<Waiter> {
        let bound = std::mem::take(&mut self.bound).into_values().flatten();
        std::mem::take(&mut self.queue).into_iter().chain(bound).collect()
    }

    /// Returns the number of waiting requests.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.len() + self.bound.values().map(BTreeSet::len).sum::<usize>()
    }

    /// Removes a waiting request.
    pub(super) fn remove_waiter(&mut self, waiter: Waiter) {
        if !self.queue.remove(&waiter) {
            self.bound.retain(|_, waiters| {
                waiters.remove(&waiter);
                !waiters.is_empty()
            });
        }
    }

    /// Lets requests that wait for this process wait for any process, as it takes no further request.
    pub(super) fn unbind(&mut self, slot: Slot) {
        self.queue.extend(self.bound.remove(&slot).into_iter().flatten());
    }

    pub(super) fn queue_is_full(&self) -> bool {
        self.options.max_queue != 0 && self.waiting() >= self.options.max_queue
    }

    /// Whether one more process is to be started, if there is room for it: requests wait, or there are fewer than the
    /// configured minimum. After a failure, one is started at a time.
    pub(super) fn wants_more(&self, max_starting: usize) -> bool {
        let max_starting = if self.used && self.failures == 0 { max_starting } else { 1 };
        let requests_wait = !self.paused && self.queue.len() > self.starting;
        let more = requests_wait || self.is_below_minimum();
        more && self.starting < max_starting && self.not_before.is_none()
    }

    /// Whether the group is in use and has fewer processes than the configured minimum.
    pub(crate) fn is_below_minimum(&self) -> bool {
        // An app that is kept running without a minimum is started once.
        let minimum = self.options.min_instances.max(usize::from(self.kept_running && !self.used));
        (self.used || self.kept_running) && self.configured && self.capacity_used() < minimum
    }

    /// Whether the app is no longer configured and no request waits for it.
    pub(super) fn is_obsolete(&self) -> bool {
        !self.configured && self.waiting() == 0
    }

    /// Whether the group's processes are being replaced one after another.
    pub(crate) fn is_rolling(&self) -> bool {
        matches!(self.deployment, Deployment::Rolling { .. })
    }

    /// Whether requests wait although the group has no process.
    pub(super) fn is_starving(&self) -> bool {
        !self.paused && !self.queue.is_empty() && self.capacity_used() == 0
    }

    /// Delays the next start, longer with each consecutive failure.
    pub(super) fn record_failure(&mut self, now: Instant) {
        let pause = MIN_BACKOFF.saturating_mul(1 << self.failures.min(10)).min(MAX_BACKOFF);
        self.failures = self.failures.saturating_add(1);
        self.not_before = Some(now + pause);
    }

    /// Returns when the next process is started after a failure, if no request is needed for it.
    pub(crate) fn next_start(&self) -> Option<Instant> {
        self.not_before.filter(|_| !self.paused && self.is_below_minimum())
    }

    /// Allows starts again once the delay after a failure has passed.
    pub(super) fn expire_backoff(&mut self, now: Instant) {
        self.not_before = self.not_before.filter(|at| *at > now);
    }
}
