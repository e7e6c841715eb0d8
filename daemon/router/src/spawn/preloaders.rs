//! Preloaders: processes that have loaded an app and are forked by order of the supervisor. Each group has at most one.
//!
//! A process is forked only from a preloader that was started with the same order and after the same restart, so that
//! no process runs with outdated settings or code. After a preloader ends, the next start of a process starts another.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard, oneshot};
use tokio::time::Instant;
use tracing::{info, warn};

use super::super::output::Places;
use super::readiness::{NotStarted, Pipes, ProcessEnd, Start};
use crate::app::route::Route;
use crate::lock::Lock;
use crate::pool::GroupId;
use crate::report::{SpawnFailure, StartupTrace};
use crate::supervisor_link::Supervisor;
use common::link::{Order, ProcessId, ProcessRecord, SpawnSpec, StopHow, Ticket};

/// What must match for a process to be forked from a preloader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PreloaderKey {
    spec: SpawnSpec,
    /// Number of restarts of its group so far.
    generation: u64,
}

impl PreloaderKey {
    pub(super) fn of(route: &Route, generation: u64) -> Self {
        let spec = SpawnSpec { preloader: true, handover_data: Vec::new(), ..route.spawn_spec() };
        Self { spec, generation }
    }
}

/// A preloader that can be forked.
#[derive(Debug)]
struct Preloader {
    process: ProcessId,
    pid: i32,
    app: String,
    key: PreloaderKey,
    /// The revision of the code that it has loaded.
    revision: Option<String>,
    /// Number of forks, compared by the task that waits for it to become idle.
    uses: u64,
}

/// The preloaders that can be forked. Every thread may read their PIDs.
#[derive(Debug, Default, Clone)]
pub(crate) struct ReadyPreloaders(Arc<Lock<HashMap<GroupId, Preloader>>>);

impl ReadyPreloaders {
    /// Returns the PID of a group's preloader.
    pub(crate) fn pid_of(&self, group: GroupId) -> Option<i32> {
        self.0.lock().get(&group).map(|preloader| preloader.pid)
    }
}

/// The supervisor's answer to the order to start a preloader.
type Answer = Result<(ProcessRecord, Vec<OwnedFd>), String>;

/// A preloader that was ordered and has not started yet.
#[derive(Debug)]
struct Ordered {
    answer: oneshot::Sender<Answer>,
    ended: Rc<ProcessEnd>,
}

/// Number of failed forks in a row after which an app is started directly until its next restart: its preloaders would
/// load it in vain.
const MAX_FAILURES: u32 = 3;

/// All preloaders.
#[derive(Debug)]
pub(crate) struct Preloaders {
    me: Weak<Self>,
    supervisor: Arc<Supervisor>,
    places: Rc<Places>,
    /// How long a preloader may take to end after the order.
    stop_limit: Duration,
    ordered: RefCell<HashMap<Ticket, Ordered>>,
    loading: RefCell<HashMap<ProcessId, Rc<ProcessEnd>>>,
    ready: ReadyPreloaders,
    /// Locked while a group's preloader is being loaded: one preloader serves all waiting forks.
    locks: RefCell<HashMap<GroupId, Arc<Mutex<()>>>>,
    /// Number of failed forks in a row of this code.
    failures: RefCell<HashMap<GroupId, (PreloaderKey, u32)>>,
}

impl Preloaders {
    pub(super) fn new(
        supervisor: Arc<Supervisor>,
        places: Rc<Places>,
        ready: ReadyPreloaders,
        stop_limit: Duration,
    ) -> Rc<Self> {
        Rc::new_cyclic(|me| Self {
            me: me.clone(),
            supervisor,
            places,
            stop_limit,
            ordered: RefCell::default(),
            loading: RefCell::default(),
            ready,
            locks: RefCell::default(),
            failures: RefCell::default(),
        })
    }

    /// Returns the group's preloader for a fork if it has this code; ends a preloader with other code.
    pub(super) fn take(&self, route: &Route, key: &PreloaderKey) -> Option<ProcessId> {
        let other = self.ready.0.lock().get(&route.group).is_some_and(|preloader| preloader.key != *key);
        if other {
            self.end_of(route.group);
        }
        let mut ready = self.ready.0.lock();
        let preloader = ready.get_mut(&route.group)?;
        preloader.uses += 1;
        self.end_when_idle(route, preloader.uses);
        Some(preloader.process)
    }

    /// Waits until no other task loads the group's preloader, and returns the lock.
    pub(super) async fn lock(&self, group: GroupId) -> OwnedMutexGuard<()> {
        let lock = self.locks.borrow_mut().entry(group).or_default().clone();
        lock.lock_owned().await
    }

    /// Starts a preloader and waits until it has loaded the app.
    pub(super) async fn load(
        &self,
        route: &Route,
        key: PreloaderKey,
        ended: &Rc<ProcessEnd>,
        until: Instant,
    ) -> Result<ProcessId, NotStarted> {
        info!(app_name = route.name, "app {}: starting a preloader", route.name);
        let trace = StartupTrace::from_program(route, true);
        let started = self.order_start(&key, ended).await;
        let (record, descriptors) =
            started.map_err(|reason| Some(Box::new(SpawnFailure::new(route, &reason, &trace))))?;
        trace.has_process();
        let (process, pid, supervisor) = (record.process, record.pid, &self.supervisor);
        let pipes = Pipes::new(descriptors, &self.places, route, &record);
        let start =
            Start { supervisor, role: "preloader", record: &record, route, ended, until, trace: &trace };
        let result = start.finish(pipes).await;
        self.loading.borrow_mut().remove(&process);
        let revision = result?.revision;
        supervisor.send(&Order::MarkReady { process, max_concurrent: None, revision: None, native: None });
        self.end_of(route.group);
        let preloader = Preloader { process, pid, app: route.name.clone(), key, revision, uses: 0 };
        self.ready.0.lock().insert(route.group, preloader);
        Ok(process)
    }

    /// Orders a preloader and waits for the supervisor's answer.
    async fn order_start(&self, key: &PreloaderKey, ended: &Rc<ProcessEnd>) -> Answer {
        let ticket = self.supervisor.ticket();
        let (answer, answered) = oneshot::channel();
        self.ordered.borrow_mut().insert(ticket, Ordered { answer, ended: ended.clone() });
        if let Err(why) = self.supervisor.order(&Order::Spawn { ticket, spec: Box::new(key.spec.clone()) }) {
            self.ordered.borrow_mut().remove(&ticket);
            return Err(not_sent(&why));
        }
        answered.await.unwrap_or_else(|_| Err("the supervisor has exited".to_owned()))
    }

    /// Whether the ticket belongs to an order of this module.
    pub(super) fn is_ordered(&self, ticket: Ticket) -> bool {
        self.ordered.borrow().contains_key(&ticket)
    }

    /// Handles the supervisor's answer to an order.
    pub(super) fn answered(&self, ticket: Ticket, answer: Answer) {
        let Some(Ordered { answer: sender, ended }) = self.ordered.borrow_mut().remove(&ticket) else {
            return;
        };
        if let Ok((record, _)) = &answer {
            // Must happen now: the supervisor's next message may report its end.
            self.loading.borrow_mut().insert(record.process, ended);
        }
        // The task that ordered it waits as long as this process lives.
        drop(sender.send(answer));
    }

    /// Handles the end of a process, which may be a preloader.
    pub(super) fn exited(&self, process: ProcessId, how: &str) {
        if let Some(ended) = self.loading.borrow().get(&process) {
            ended.report(how);
        }
        self.ready.0.lock().retain(|_, preloader| {
            if preloader.process == process {
                let Preloader { app, pid, .. } = preloader;
                warn!(
                    app_name = app,
                    "app {app}: preloader {pid} {how}; the next start of a process starts another"
                );
            }
            preloader.process != process
        });
    }

    /// Whether forks of this code have failed too often.
    pub(super) fn forks_fail(&self, group: GroupId, key: &PreloaderKey) -> bool {
        self.failures.borrow().get(&group).is_some_and(|(of, times)| of == key && *times >= MAX_FAILURES)
    }

    /// Records that a process was forked.
    pub(super) fn forked(&self, group: GroupId) {
        self.failures.borrow_mut().remove(&group);
    }

    /// Records that a process could not be forked.
    pub(super) fn fork_failed(&self, route: &Route, key: PreloaderKey) {
        let mut failures = self.failures.borrow_mut();
        let before = failures.remove(&route.group).filter(|(of, _)| *of == key).map_or(0, |(_, times)| times);
        if before + 1 == MAX_FAILURES {
            warn!(
                "app {}: started directly until its next restart, as {MAX_FAILURES} forks in a row have failed",
                route.name
            );
        }
        failures.insert(route.group, (key, before + 1));
    }

    /// Returns the revision of the code that a group's preloader has loaded.
    pub(super) fn revision_of(&self, group: GroupId) -> Option<String> {
        self.ready.0.lock().get(&group)?.revision.clone()
    }

    /// Ends the group's preloader and discards the group's state.
    pub(super) fn remove_group(&self, group: GroupId) {
        self.end_of(group);
        self.locks.borrow_mut().remove(&group);
        self.failures.borrow_mut().remove(&group);
    }

    /// Ends the group's preloader, if it has one. The processes forked from it are not affected.
    pub(super) fn end_of(&self, group: GroupId) {
        if let Some(preloader) = self.ready.0.lock().remove(&group) {
            info!("app {}: stopping preloader {}", preloader.app, preloader.pid);
            self.end(preloader.process);
        }
    }

    /// Ends all preloaders.
    pub(crate) fn end_all(&self) {
        let groups: Vec<GroupId> = self.ready.0.lock().keys().copied().collect();
        groups.into_iter().for_each(|group| self.end_of(group));
    }

    fn end(&self, process: ProcessId) {
        self.supervisor.send(&Order::Stop(process, StopHow::Gracefully));
        let Some(me) = self.me.upgrade() else { return };
        tokio::task::spawn_local(async move {
            tokio::time::sleep(me.stop_limit).await;
            // The supervisor ignores the order if the process has ended.
            me.supervisor.send(&Order::Stop(process, StopHow::Kill));
        });
    }

    /// Ends the group's preloader if it was not used again within `max_preloader_idle`.
    fn end_when_idle(&self, route: &Route, uses: u64) {
        let (Some(me), Some(limit)) = (self.me.upgrade(), route.settings.router.max_preloader_idle_time)
        else {
            return;
        };
        let (group, app) = (route.group, route.name.clone());
        tokio::task::spawn_local(async move {
            tokio::time::sleep(limit).await;
            let idle = me.ready.0.lock().get(&group).is_some_and(|preloader| preloader.uses == uses);
            if idle {
                info!("app {app}: preloader was not used for {} s", limit.as_secs());
                me.end_of(group);
            }
        });
    }
}

/// Returns why a start failed whose order could not be sent.
pub(super) fn not_sent(why: &io::Error) -> String {
    format!("the order to start it cannot be sent to the supervisor: {why}")
}
