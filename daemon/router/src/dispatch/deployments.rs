//! How a group's newest version fares: for whoever waits until a restart is done.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use tokio::sync::Notify;

use crate::pool::GroupId;
use crate::report::SpawnFailure;

/// Reports kept for whoever asks by their ID.
const MOST_REPORTS: usize = 100;

/// The last version of each group that did not start, and who waits.
#[derive(Debug, Default)]
pub(crate) struct Deployments {
    failures: RefCell<HashMap<GroupId, (u64, Rc<SpawnFailure>)>>,
    reports: RefCell<VecDeque<Rc<SpawnFailure>>>,
    waiting: Cell<usize>,
    changed: Notify,
}

impl Deployments {
    /// A process of this version did not start.
    pub(crate) fn failed(&self, group: GroupId, generation: u64, failure: Rc<SpawnFailure>) {
        let mut reports = self.reports.borrow_mut();
        reports.truncate(MOST_REPORTS - 1);
        reports.push_front(failure.clone());
        self.failures.borrow_mut().insert(group, (generation, failure));
    }

    /// The group is no more. Its report can still be had by its ID.
    pub(crate) fn forget(&self, group: GroupId) {
        self.failures.borrow_mut().remove(&group);
    }

    /// The report of a failed start, by the ID that log and error page show.
    pub(crate) fn report(&self, id: &str) -> Option<Rc<SpawnFailure>> {
        self.reports.borrow().iter().find(|failure| failure.id == id).cloned()
    }

    /// The report of a group's last start that failed.
    pub(crate) fn last_error_id(&self, group: GroupId) -> Option<String> {
        self.failures.borrow().get(&group).map(|(_, failure)| failure.id.clone())
    }

    /// The pool has changed. Costs nothing while nobody waits.
    pub(crate) fn look_again(&self) {
        if self.waiting.get() > 0 {
            self.changed.notify_waiters();
        }
    }

    /// Waits until a look at the pool finds something.
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

    /// Why a process of this version did not start.
    pub(crate) fn failure_of(&self, group: GroupId, generation: u64) -> Option<Rc<SpawnFailure>> {
        let failures = self.failures.borrow();
        failures.get(&group).filter(|(failed, _)| *failed == generation).map(|(_, failure)| failure.clone())
    }
}

/// Counts one who waits while it lives.
struct Waiting<'a>(&'a Deployments);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.set(self.0.waiting.get() - 1);
    }
}
