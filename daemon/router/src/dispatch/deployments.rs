//! The outcome of each group's newest version, for callers that wait until a restart is done.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use tokio::sync::Notify;

use crate::pool::GroupId;
use crate::report::SpawnFailure;

/// Maximum number of reports that are kept for look-ups by ID.
const MAX_REPORTS: usize = 100;

/// The last version of each group that did not start, and the number of waiting callers.
#[derive(Debug, Default)]
pub(crate) struct Deployments {
    failures: RefCell<HashMap<GroupId, (u64, Rc<SpawnFailure>)>>,
    reports: RefCell<VecDeque<Rc<SpawnFailure>>>,
    waiting: Cell<usize>,
    changed: Notify,
}

impl Deployments {
    /// Records that a process of this version did not start.
    pub(crate) fn failed(&self, group: GroupId, generation: u64, failure: Rc<SpawnFailure>) {
        let mut reports = self.reports.borrow_mut();
        reports.truncate(MAX_REPORTS - 1);
        reports.push_front(failure.clone());
        self.failures.borrow_mut().insert(group, (generation, failure));
    }

    /// Removes the group's failure. Its report is still found by its ID.
    pub(crate) fn forget(&self, group: GroupId) {
        self.failures.borrow_mut().remove(&group);
    }

    /// Returns the report of a failed start by the ID that the log and the error page show.
    pub(crate) fn report(&self, id: &str) -> Option<Rc<SpawnFailure>> {
        self.reports.borrow().iter().find(|failure| failure.id == id).cloned()
    }

    /// Returns the ID of the report of the group's last failed start.
    pub(crate) fn last_error_id(&self, group: GroupId) -> Option<String> {
        self.failures.borrow().get(&group).map(|(_, failure)| failure.id.clone())
    }

    /// Notifies waiting callers that the pool has changed. Does nothing while no caller waits.
    pub(crate) fn look_again(&self) {
        if self.waiting.get() > 0 {
            self.changed.notify_waiters();
        }
    }

    /// Waits until `look` returns a value; calls it after each change of the pool.
    pub(crate) async fn wait_for<T>(&self, look: impl Fn() -> Option<T>) -> T {
        self.waiting.set(self.waiting.get() + 1);
        let _waiting = Waiting(self);
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(found) = look() {
                return found;
            }
            changed.await;
        }
    }

    /// Returns why a process of this version did not start.
    pub(crate) fn failure_of(&self, group: GroupId, generation: u64) -> Option<Rc<SpawnFailure>> {
        let failures = self.failures.borrow();
        failures.get(&group).filter(|(failed, _)| *failed == generation).map(|(_, failure)| failure.clone())
    }
}

/// Counts one waiting caller while it lives.
struct Waiting<'a>(&'a Deployments);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.set(self.0.waiting.get() - 1);
    }
}
