//! Failed starts: the reports by ID, and the last one of each group for callers that wait for the outcome of a restart.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::lock::Lock;
use crate::pool::GroupId;
use crate::report::SpawnFailure;

/// Maximum number of reports that are kept for look-ups by ID.
const MAX_REPORTS: usize = 100;

/// The last version of each group that did not start, and the latest reports.
#[derive(Debug, Default)]
pub(crate) struct Deployments {
    failures: Lock<HashMap<GroupId, (u64, Arc<SpawnFailure>)>>,
    /// When the last start of each group failed.
    failed_at: Lock<HashMap<GroupId, Instant>>,
    reports: Lock<VecDeque<Arc<SpawnFailure>>>,
}

impl Deployments {
    /// Records that a process of this version did not start.
    pub(super) fn failed(&self, group: GroupId, generation: u64, failure: Arc<SpawnFailure>) {
        let mut reports = self.reports.lock();
        // A failure for the same reason has the same ID.
        reports.retain(|report| report.id != failure.id);
        reports.truncate(MAX_REPORTS - 1);
        reports.push_front(failure.clone());
        self.failures.lock().insert(group, (generation, failure));
        self.failed_at.lock().insert(group, Instant::now());
    }

    /// Removes the group's failure. Its report is still found by its ID.
    pub(super) fn remove_group(&self, group: GroupId) {
        self.failures.lock().remove(&group);
        self.failed_at.lock().remove(&group);
    }

    /// Returns the report of a failed start by the ID that the log and the error page show.
    pub(crate) fn report(&self, id: &str) -> Option<Arc<SpawnFailure>> {
        self.reports.lock().iter().find(|failure| failure.id == id).cloned()
    }

    /// Returns the report of the group's last failed start, and how long ago it failed.
    pub(crate) fn last_failure(&self, group: GroupId) -> Option<(Arc<SpawnFailure>, Duration)> {
        let failure = self.failures.lock().get(&group).map(|(_, failure)| failure.clone())?;
        let at = self.failed_at.lock().get(&group).copied();
        Some((failure, at.map_or(Duration::ZERO, |at| at.elapsed())))
    }

    /// Returns why a process of this version did not start.
    pub(crate) fn failure_of(&self, group: GroupId, generation: u64) -> Option<Arc<SpawnFailure>> {
        let failures = self.failures.lock();
        failures.get(&group).filter(|(failed, _)| *failed == generation).map(|(_, failure)| failure.clone())
    }
}
