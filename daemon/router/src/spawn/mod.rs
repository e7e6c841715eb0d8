//! Start and end of processes: carries out the pool's decisions with orders to the supervisor, and reports the results
//! to the pool.
//!
//! Each process is in exactly one [`Lifecycle`] from its order to its end, and is removed from the table when the
//! supervisor reports its end. Requests are not handled here.
//!
//! `control` carries out what the dispatcher orders. `smart` starts processes from `preloaders`, `readiness` waits until
//! they are ready, with a `probe` for apps that use HTTP, `listen_hint` explains a failure, and `hooks` reports events
//! to the operator's programs.

mod control;
pub(crate) mod hooks;
mod listen_hint;
mod preloaders;
pub(crate) mod probe;
mod readiness;
mod smart;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::os::fd::OwnedFd;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{error, info, warn};

use self::control::carry_out_orders;
pub(crate) use self::preloaders::ReadyPreloaders;
use self::preloaders::{Preloaders, not_sent};
use self::readiness::{NotStarted, Pipes, ProcessEnd, Ready, Start};
use super::app::route::{HandoverData, Route};
use super::apps::Routes;
use super::dispatch::Dispatcher;
use super::dispatch::worker::Worker;
use super::output::log_limit::LogLimit;
use super::output::{Output, Places};
use super::pool::Slot;
use super::report::{self, SpawnFailure, StartupTrace};
use super::supervisor_link::Supervisor;
use common::link::{Address, Order, ProcessId, ProcessRecord, StopHow, Ticket};
use hooks::Hooks;

/// Maximum number of log messages a minute about starts of apps that are not in nginx's roster.
const MAX_LOGS_PER_MINUTE: u32 = 120;

/// State of a process, according to the supervisor's messages.
#[derive(Debug)]
enum Lifecycle {
    /// Its app is being loaded in the process that it will be forked from.
    Preloading { ended: Rc<ProcessEnd> },
    /// The order was sent. The process must be ready at `until`.
    Ordered { route: Arc<Route>, wanted: bool, until: Instant, forked: bool, trace: StartupTrace },
    /// The process runs and has not reported that it is ready.
    Starting { process: ProcessId, ended: Rc<ProcessEnd> },
    /// The process takes requests.
    Serving { name: String, pid: i32 },
    /// The process was ordered to end.
    Stopping { process: ProcessId },
}

/// How long the end of a process may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EndLimits {
    /// From the order to its end.
    pub(crate) stop: Duration,
    /// For the requests of a process that is replaced.
    pub(crate) drain: Duration,
}

/// Starts and ends processes through the supervisor.
#[derive(Debug)]
pub(crate) struct Spawner {
    me: Weak<Self>,
    supervisor: Arc<Supervisor>,
    hooks: Arc<Hooks>,
    dispatcher: Arc<Dispatcher>,
    routes: Arc<Routes>,
    pub(crate) preloaders: Rc<Preloaders>,
    places: Rc<Places>,
    /// How long a process may take to end after the order.
    stop_limit: Duration,
    /// How long a process that is replaced may take to finish its requests.
    drain_limit: Duration,
    processes: RefCell<HashMap<Slot, Lifecycle>>,
    /// Limits of log messages about starts and failed starts of apps that are not in nginx's roster.
    starts: Arc<LogLimit>,
    failures: Arc<LogLimit>,
    ordered: RefCell<HashMap<Ticket, Slot>>,
    slots: RefCell<HashMap<ProcessId, Slot>>,
    /// An order of the dispatcher is being carried out.
    is_carrying_out: Cell<bool>,
}

impl Spawner {
    pub(crate) fn new(
        supervisor: Arc<Supervisor>,
        hooks: Arc<Hooks>,
        dispatcher: Arc<Dispatcher>,
        routes: Arc<Routes>,
        places: Rc<Places>,
        preloaders: ReadyPreloaders,
        limits: EndLimits,
    ) -> Rc<Self> {
        let EndLimits { stop: stop_limit, drain: drain_limit } = limits;
        let spawner = Rc::new_cyclic(|me| Self {
            me: me.clone(),
            preloaders: Preloaders::new(supervisor.clone(), places.clone(), preloaders, stop_limit),
            places,
            supervisor,
            hooks,
            dispatcher: dispatcher.clone(),
            routes,
            stop_limit,
            drain_limit,
            processes: RefCell::default(),
            starts: LogLimit::new("starts of apps that are not in nginx's roster", MAX_LOGS_PER_MINUTE),
            failures: LogLimit::new(
                "failed starts of apps that are not in nginx's roster",
                MAX_LOGS_PER_MINUTE,
            ),
            ordered: RefCell::default(),
            slots: RefCell::default(),
            is_carrying_out: Cell::new(false),
        });
        tokio::task::spawn_local(carry_out_orders(Rc::downgrade(&spawner), dispatcher));
        spawner
    }

    /// Handles a process that the supervisor has started; its output and report pipes come with it.
    pub(crate) fn started(&self, ticket: Ticket, record: ProcessRecord, descriptors: Vec<OwnedFd>) {
        self.carry_out_orders();
        if self.preloaders.is_ordered(ticket) {
            return self.preloaders.answered(ticket, Ok((record, descriptors)));
        }
        let Some(slot) = self.ordered.borrow_mut().remove(&ticket) else { return };
        let process = record.process;
        self.slots.borrow_mut().insert(process, slot);
        let lifecycle = self.processes.borrow_mut().remove(&slot);
        let Some(Lifecycle::Ordered { route, wanted: true, until, forked, trace }) = lifecycle else {
            self.set_stopping(slot, process);
            self.supervisor.send(&Order::Stop(process, StopHow::Kill));
            return;
        };
        trace.has_process();
        if forked {
            self.preloaders.forked(route.group);
        }
        let ended = Rc::new(ProcessEnd::default());
        self.processes.borrow_mut().insert(slot, Lifecycle::Starting { process, ended: ended.clone() });
        let pipes = Pipes::new(descriptors, &self.places, &route, &record);
        let Some(me) = self.me.upgrade() else { return };
        tokio::task::spawn_local(async move {
            let supervisor = &me.supervisor;
            let (record, route) = (&record, &route);
            let start =
                Start { supervisor, role: "process", record, route, ended: &ended, until, trace: &trace };
            match start.finish(pipes).await {
                Ok(ready) => me.serve(slot, record.clone(), route.clone(), ready),
                Err(not_started) => {
                    if !ended.has_ended() {
                        me.set_stopping(slot, process);
                    }
                    me.end_start(slot, not_started);
                }
            }
        });
    }

    /// Handles an order that the supervisor could not carry out.
    pub(crate) fn not_started(&self, ticket: Ticket, reason: &str) {
        self.carry_out_orders();
        if self.preloaders.is_ordered(ticket) {
            return self.preloaders.answered(ticket, Err(reason.to_owned()));
        }
        let Some(slot) = self.ordered.borrow_mut().remove(&ticket) else { return };
        let lifecycle = self.processes.borrow_mut().remove(&slot);
        match lifecycle {
            Some(Lifecycle::Ordered { route, wanted: true, forked: true, .. }) => {
                self.start_without_preloader(slot, route, reason);
            }
            Some(Lifecycle::Ordered { route, wanted: true, trace, .. }) => {
                self.report(slot, SpawnFailure::new(&route, reason, &trace));
            }
            _ => self.dispatcher.exited(slot),
        }
    }

    /// Handles the end of a process.
    pub(crate) fn exited(&self, process: ProcessId, how: &str) {
        self.carry_out_orders();
        self.places.ended(process);
        let Some(slot) = self.slots.borrow_mut().remove(&process) else {
            return self.preloaders.exited(process, how);
        };
        let lifecycle = self.processes.borrow_mut().remove(&slot);
        match lifecycle {
            // The task that waits for its readiness notifies the pool.
            Some(Lifecycle::Starting { ended, .. }) => ended.report(how),
            Some(Lifecycle::Serving { name, pid }) => {
                warn!(
                    event = "process_exited",
                    detail = how,
                    app_name = name,
                    "app {name}: process {pid} {how}"
                );
                self.dispatcher.exited(slot);
            }
            _ => self.dispatcher.exited(slot),
        }
    }

    /// Takes over a process that an earlier router started.
    pub(crate) fn adopt(&self, record: ProcessRecord, output: Option<OwnedFd>) {
        let (process, pid) = (record.process, record.pid);
        let route = HandoverData::decode(&record.handover_data)
            .and_then(|data| self.routes.restore_route(&data, &self.dispatcher).ok());
        let (Some(route), Some(output)) = (route, output) else {
            error!("process {pid} of an earlier router cannot be taken over: ending it");
            self.supervisor.send(&Order::Stop(process, StopHow::Kill));
            return;
        };
        drop(Output::follow(output, &self.places, &route, &record));
        info!(app_name = route.name, "app {}: took over process {pid}", route.name);
        let concurrency = route.settings.concurrency(route.kind, record.max_concurrent);
        self.dispatcher.adopt(route.group, concurrency, |slot| {
            self.slots.borrow_mut().insert(process, slot);
            let lifecycle = Lifecycle::Serving { name: route.name.clone(), pid };
            self.processes.borrow_mut().insert(slot, lifecycle);
            Worker::new(slot, record, route.clone())
        });
    }

    /// Passes requests to a process that is ready.
    fn serve(&self, slot: Slot, record: ProcessRecord, route: Arc<Route>, ready: Ready) {
        let (process, pid, max_concurrent) = (record.process, record.pid, ready.max_concurrent);
        let native = ready.native;
        // A forked process has the code of its preloader.
        let revision = ready.revision.or_else(|| self.preloaders.revision_of(route.group));
        if let Address::Tcp(port) = record.address {
            route.log_open_port(port);
        }
        let name = route.name.clone();
        self.processes.borrow_mut().insert(slot, Lifecycle::Serving { name, pid });
        let (of_code, of_native) = (revision.clone(), native.clone());
        self.supervisor.send(&Order::MarkReady {
            process,
            max_concurrent,
            revision: of_code,
            native: of_native,
        });
        let concurrency = route.settings.concurrency(route.kind, max_concurrent);
        let record =
            ProcessRecord { max_concurrent, revision, native, environment: BTreeMap::new(), ..record };
        let worker = Arc::new(Worker::new(slot, record, route));
        self.hooks.attached(&worker);
        self.dispatcher.ready(worker, concurrency);
    }

    /// Ends the start of a process that is not ready.
    fn end_start(&self, slot: Slot, not_started: NotStarted) {
        match not_started {
            Some(failure) => self.report(slot, *failure),
            None => self.dispatcher.exited(slot),
        }
    }

    /// Reports a failed start. The pool removes the slot now; its process, if it still runs, ends separately.
    fn report(&self, slot: Slot, mut failure: SpawnFailure) {
        let (group, earlier) = self.dispatcher.failed_before(slot);
        let earlier = earlier.filter(|earlier| failure.is_like(earlier));
        let may_log = self.may_log(&failure.app, &self.failures);
        match &earlier {
            Some(earlier) => failure.id.clone_from(&earlier.id),
            None if may_log => failure.log(),
            None => {}
        }
        self.hooks.spawn_failed(&failure);
        let failure = Arc::new(failure);
        self.dispatcher.failed(slot, failure.clone());
        if may_log && earlier.is_some() {
            report::log_again(&failure, group.and_then(|group| self.dispatcher.next_start(group)));
        }
    }

    /// Whether the log may mention the app. Apps in nginx's roster are few; clients can create any number of others
    /// where `root` contains a variable.
    fn may_log(&self, app: &str, limit: &Arc<LogLimit>) -> bool {
        self.routes.is_in_roster(app) || limit.admits()
    }

    fn set_stopping(&self, slot: Slot, process: ProcessId) {
        self.processes.borrow_mut().insert(slot, Lifecycle::Stopping { process });
    }

    fn start_directly(&self, slot: Slot, route: Arc<Route>, until: Instant) {
        let spec = Box::new(route.spawn_spec());
        let trace = StartupTrace::from_program(&route, false);
        let ordered = Lifecycle::Ordered { route, wanted: true, until, forked: false, trace };
        self.order_start(slot, ordered, |ticket| Order::Spawn { ticket, spec });
    }

    /// Orders the start of a process, which the supervisor answers.
    fn order_start(&self, slot: Slot, ordered: Lifecycle, order: impl FnOnce(Ticket) -> Order) {
        let ticket = self.supervisor.ticket();
        self.ordered.borrow_mut().insert(ticket, slot);
        self.processes.borrow_mut().insert(slot, ordered);
        if let Err(why) = self.supervisor.order(&order(ticket)) {
            self.not_started(ticket, &not_sent(&why));
        }
    }

    /// Kills a process that does not end in time.
    fn kill_when_overdue(&self, slot: Slot, process: ProcessId, name: String, pid: i32) {
        let Some(me) = self.me.upgrade() else { return };
        tokio::task::spawn_local(async move {
            tokio::time::sleep(me.stop_limit).await;
            let processes = me.processes.borrow();
            if matches!(processes.get(&slot), Some(Lifecycle::Stopping { process: p }) if *p == process) {
                warn!("app {name}: process {pid} did not end within {} s: killed", me.stop_limit.as_secs());
                me.supervisor.send(&Order::Stop(process, StopHow::Kill));
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use common::config::AppOutput;
    use common::link::AppUser;
    use common::sys::packets;
    use protocol::request::AppKind;

    use super::super::dispatch::Refused;
    use super::super::output::AppLogs;
    use super::super::pool::{GroupOptions, Limits};
    use super::*;

    /// A child of the process keeps the output open, so that the report waits for the rest of it.
    #[test]
    fn an_exit_while_a_failed_start_is_reported_fails_the_request() {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().start_paused(true).build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, async {
            let (link, _supervisor) = packets::pair().unwrap();
            let supervisor = Arc::new(Supervisor::new(link).unwrap());
            let limits = Limits { max_processes: 1, max_per_group: 0, max_starting: 1, idle_after: None };
            let dispatcher = Dispatcher::new(limits);
            let mut route = Route::for_test("ruby");
            route.kind = AppKind::Generic;
            let group = dispatcher.add_group(GroupOptions { max_queue: 1, ..GroupOptions::default() });
            dispatcher.set_route(group, Arc::new(route));
            let spawner = Spawner::new(
                supervisor.clone(),
                Arc::new(Hooks::new(Vec::new(), supervisor.clone())),
                dispatcher.clone(),
                Arc::default(),
                Places::new(AppOutput::Log, 0, AppLogs::new(supervisor)),
                ReadyPreloaders::default(),
                EndLimits { stop: Duration::from_secs(1), drain: Duration::from_secs(1) },
            );
            let request = async {
                let answer = dispatcher.checkout(group, None, None);
                tokio::time::timeout(Duration::from_secs(3600), answer).await.expect("an answer")
            };
            let process = async {
                let ((output, _child), (report, _pipe)) =
                    (nix::unistd::pipe().unwrap(), nix::unistd::pipe().unwrap());
                let process = ProcessId(1);
                spawner.started(Ticket(1), record(process), vec![output, report]);
                // After passenger_start_timeout, before the end of the wait for the output.
                tokio::time::sleep(Duration::from_millis(90_100)).await;
                spawner.exited(process, "was killed");
                tokio::time::sleep(Duration::from_secs(1)).await;
            };
            let (answer, ()) = tokio::join!(request, process);
            assert!(matches!(answer, Err(Refused::SpawnFailed(_))), "{:?}", answer.err());
        });
    }

    fn record(process: ProcessId) -> ProcessRecord {
        ProcessRecord {
            process,
            pid: 1,
            address: Address::Nowhere,
            user: AppUser { uid: 1, gid: 1, name: "app".into() },
            started_ms: 0,
            max_concurrent: None,
            revision: None,
            native: None,
            environment: BTreeMap::new(),
            handover_data: Vec::new(),
        }
    }
}
