//! Events of apps, reported to the supervisor for the operator's hook programs. Without a program for an event nothing
//! is reported.

use std::sync::Arc;

use tracing::error;

use crate::app::route::Route;
use crate::dispatch::worker::Worker;
use crate::lock::Lock;
use crate::report::SpawnFailure;
use crate::supervisor_link::Supervisor;
use common::config::Hook;
use common::link::{Fact, Incident, Order, ProcessId};

/// Longest value in a report, in bytes: an order has several, and must fit into one message.
const MAX_VALUE: usize = 16 * 1024;

/// The request for which a process took too long.
#[derive(Debug)]
pub(crate) struct SlowRequest {
    pub(crate) path: String,
    pub(crate) host: String,
}

/// Reports events for the operator's programs.
#[derive(Debug)]
pub(crate) struct Hooks {
    named: Lock<Vec<Hook>>,
    supervisor: Arc<Supervisor>,
}

impl Hooks {
    pub(crate) fn new(named: Vec<Hook>, supervisor: Arc<Supervisor>) -> Self {
        Self { named: Lock::new(named), supervisor }
    }

    /// Replaces the set of hooks that have programs.
    pub(crate) fn set_named(&self, named: Vec<Hook>) {
        *self.named.lock() = named;
    }

    /// Reports that a process takes requests.
    pub(crate) fn attached(&self, worker: &Worker) {
        self.report(Hook::AttachedProcess, None, || of_worker(worker));
    }

    /// Reports, once, that a process takes no more requests.
    pub(crate) fn detached(&self, worker: &Worker) {
        if worker.mark_detached() {
            self.report(Hook::DetachedProcess, None, || of_worker(worker));
        }
    }

    pub(crate) fn spawn_failed(&self, failure: &SpawnFailure) {
        self.report(Hook::SpawnFailed, None, || {
            vec![
                (Fact::AppRoot, failure.app_root.clone()),
                (Fact::AppGroupName, failure.app.clone()),
                (Fact::ErrorMessage, failure.summary.clone()),
                (Fact::ErrorId, failure.id.clone()),
                (Fact::AppErrorMessage, failure.details.clone()),
            ]
        });
    }

    pub(crate) fn queue_full(&self, route: &Route) {
        self.report(Hook::QueueFullError, None, || of_app(route));
    }

    /// Reports that a request took too long. The supervisor kills the process when the programs have ended; false when
    /// nothing was reported, so that the caller must kill it.
    pub(crate) fn too_slow(&self, worker: &Worker, request: SlowRequest) -> bool {
        self.report(Hook::MaxRequestTimeReached, Some(worker.record.process), || {
            let mut facts = of_worker(worker);
            facts.push((Fact::RequestPath, request.path));
            facts.push((Fact::RequestHost, request.host));
            facts
        })
    }

    fn report(
        &self,
        hook: Hook,
        kill_afterwards: Option<ProcessId>,
        facts: impl FnOnce() -> Vec<(Fact, String)>,
    ) -> bool {
        if !self.named.lock().contains(&hook) {
            return false;
        }
        let mut facts = facts();
        facts.iter_mut().for_each(|(_, value)| shorten(value));
        let sent = self.supervisor.order(&Order::Happened(Incident { hook, kill_afterwards, facts }));
        sent.inspect_err(|why| error!("cannot run the hook {}: {why}", hook.name())).is_ok()
    }
}

fn shorten(value: &mut String) {
    let end = (0..=MAX_VALUE.min(value.len())).rev().find(|end| value.is_char_boundary(*end));
    value.truncate(end.unwrap_or(0));
}

fn of_app(route: &Route) -> Vec<(Fact, String)> {
    vec![(Fact::AppRoot, route.root.display().to_string()), (Fact::AppGroupName, route.name.clone())]
}

fn of_worker(worker: &Worker) -> Vec<(Fact, String)> {
    let mut facts = of_app(&worker.route);
    facts.push((Fact::ProcessPid, worker.record.pid.to_string()));
    facts
}
