//! How a group's newest version fares: for whoever waits until a restart is done.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use tokio::sync::Notify;

use super::dispatch::Dispatcher;
use super::pool::{Deployment, GroupId};
use super::spawn::SpawnFailure;

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

/// What became of a restart.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    /// No process of an older version is left, and those that are wanted serve.
    Done,
    /// The new version does not start.
    Failed(Rc<SpawnFailure>),
    /// The new version starts and does not live.
    Unstable,
    /// Another restart came in between.
    Superseded,
}

impl Deployments {
    /// A process of this version did not start.
    pub(crate) fn failed(&self, group: GroupId, generation: u64, failure: Rc<SpawnFailure>) {
        let mut reports = self.reports.borrow_mut();
        reports.truncate(MOST_REPORTS - 1);
        reports.push_front(failure.clone());
        self.failures.borrow_mut().insert(group, (generation, failure));
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

    fn failure_of(&self, group: GroupId, generation: u64) -> Option<Rc<SpawnFailure>> {
        let failures = self.failures.borrow();
        failures.get(&group).filter(|(failed, _)| *failed == generation).map(|(_, failure)| failure.clone())
    }
}

/// Waits until the restart that made this version of the group has come to its end.
pub(crate) async fn settled(dispatcher: &Dispatcher, group: GroupId, generation: u64) -> Outcome {
    let deployments = &dispatcher.deployments;
    deployments.waiting.set(deployments.waiting.get() + 1);
    let _waiting = Waiting(deployments);
    loop {
        let changed = deployments.changed.notified();
        tokio::pin!(changed);
        changed.as_mut().enable();
        if let Some(outcome) = outcome(dispatcher, group, generation) {
            return outcome;
        }
        changed.await;
    }
}

fn outcome(dispatcher: &Dispatcher, id: GroupId, generation: u64) -> Option<Outcome> {
    let failure = dispatcher.deployments.failure_of(id, generation);
    dispatcher.inspect(|pool, _| {
        let group = pool.group(id);
        if group.generation != generation {
            return Some(Outcome::Superseded);
        }
        if let Some(failure) = failure {
            return Some(Outcome::Failed(failure));
        }
        if group.deployment == Deployment::Resisting {
            return Some(Outcome::Unstable);
        }
        (pool.outdated(id) == 0 && group.starting() == 0 && !group.is_short()).then_some(Outcome::Done)
    })
}

/// Counts one who waits while it lives.
struct Waiting<'a>(&'a Deployments);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.set(self.0.waiting.get() - 1);
    }
}
