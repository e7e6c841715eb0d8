//! Supervision of the router: starts it, hands everything over to it, and replaces it when it ends.
//!
//! App processes are not affected: the sockets, pipes and processes belong to the supervisor. The modules: the process
//! and its restarts ([`process`], [`backoff`], [`heartbeat`]), its log ([`log`], [`log_limits`]), the limits of its orders
//! ([`outstanding`], [`options`]), and the app modes kept for the next router ([`maintenance`]).

pub(crate) mod backoff;
pub(crate) mod heartbeat;
pub(crate) mod log;
pub(crate) mod log_limits;
pub(crate) mod maintenance;
pub(crate) mod options;
pub(crate) mod outstanding;
pub(crate) mod process;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::unistd::{Gid, Uid};

use super::lifecycle::rlimits::{OpenFiles, Originals};
use super::processes::Processes;
use backoff::BackOff;
use common::config::{Hook, Options};
use common::link::channel::Buffer;
use common::link::{AppMode, Notice, Order, OverriddenOption, Problem, RouterConfig};
use heartbeat::HeartbeatAction;
use log_limits::{LogLimits, Topic};
use maintenance::AppModes;
use outstanding::Outstanding;
use process::{RouterPlan, RouterProcess};

/// Reads of the log pipe of a router that has ended: more than a pipe holds. Other processes may have the pipe, too.
const LAST_READS: usize = 8;
/// Maximum characters of a text chosen by the router in a log line.
const MAX_LOGGED: usize = 1000;

/// The current router, its restarts, and what the next router receives.
#[derive(Debug)]
pub(crate) struct RouterSupervision {
    pub(crate) plan: RouterPlan,
    state: State,
    back_off: BackOff,
    /// How many routers have been started.
    pub(crate) generation: u32,
    /// Whether the daemon ends: a router that cannot be reached may just have finished then.
    pub(crate) ending: bool,
    pub(crate) outstanding: Outstanding,
    orders_suspended: bool,
    buffer: Buffer,
    log_limits: LogLimits,
    /// Problems of the daemon itself, sent to every router for the status page. They are logged where they are found.
    problems: BTreeMap<Problem, String>,
    /// The socket for the tools.
    pub(crate) tools: OwnedFd,
    pub(crate) kept: Kept,
}

/// The state that one router sends and the next one receives.
#[derive(Debug, Clone, Default)]
pub(crate) struct Kept {
    /// The daemon-wide options from nginx.
    pub(crate) globals: Vec<u8>,
    /// Those of them that are not applied.
    pub(crate) overridden: Vec<OverriddenOption>,
    /// App modes set by administrators.
    pub(crate) app_modes: AppModes,
    /// Whether the output of apps gets a prefix in the log.
    pub(crate) app_prefix: bool,
}

#[derive(Debug, Default)]
enum State {
    /// There is no router, and none is to be started.
    #[default]
    None,
    /// A router is running.
    Running(RouterProcess),
    /// The next router is started then.
    Pause(Instant),
}

/// The result of a receive.
#[derive(Debug)]
pub(crate) enum Received {
    Order(Order),
    /// A message that is not an order.
    Refused,
    Nothing,
}

impl RouterSupervision {
    /// Starts counting after `generation` routers.
    pub(crate) fn new(plan: RouterPlan, tools: OwnedFd, generation: u32, kept: Kept) -> Self {
        Self {
            plan,
            state: State::None,
            back_off: BackOff::default(),
            generation,
            ending: false,
            outstanding: Outstanding::default(),
            orders_suspended: false,
            buffer: Buffer::default(),
            log_limits: LogLimits::default(),
            problems: BTreeMap::new(),
            tools,
            kept,
        }
    }

    pub(crate) fn running(&self) -> Option<&RouterProcess> {
        match &self.state {
            State::Running(router) => Some(router),
            State::None | State::Pause(_) => None,
        }
    }

    fn running_mut(&mut self) -> Option<&mut RouterProcess> {
        match &mut self.state {
            State::Running(router) => Some(router),
            State::None | State::Pause(_) => None,
        }
    }

    /// When [`check`](Self::check) has to run: at the end of a pause, of the router's time limits, or of an interval of
    /// the log.
    pub(crate) fn due(&self) -> Option<Instant> {
        let own = match &self.state {
            State::None => None,
            State::Running(router) => router.due(),
            State::Pause(until) => Some(*until),
        };
        own.into_iter().chain(self.log_limits.due()).min()
    }

    /// Whether the router answers or is being replaced.
    pub(crate) fn is_under_control(&self, now: Instant) -> bool {
        self.running().is_none_or(|router| !router.is_undead(now))
    }

    /// Cancels the start of the next router. Does not affect a running one.
    pub(crate) fn cancel_start(&mut self) {
        if let State::Pause(_) = self.state {
            self.state = State::None;
        }
    }

    /// Starts a router, or tries again after a pause. [`hand_over`](Self::hand_over) follows if one was started.
    pub(crate) fn start(&mut self, originals: &Originals) -> bool {
        match self.plan.start(originals) {
            Ok(router) => {
                self.state = State::Running(router);
                true
            }
            Err(why) => {
                tracing::error!(critical = true, "the router cannot be started: {why}");
                self.pause(Duration::ZERO);
                false
            }
        }
    }

    fn pause(&mut self, life: Duration) {
        self.state = State::Pause(Instant::now() + self.back_off.after(life));
    }

    /// Returns the configuration of the next router.
    pub(crate) fn config(&self, options: &Options, instance: &str, hooks: Vec<Hook>) -> RouterConfig {
        let problems = self.problems.iter().map(|(kind, what)| (*kind, what.clone())).collect();
        RouterConfig {
            socket_file: options.socket.path.clone(),
            instance_name: instance.to_owned(),
            options: options.shared.clone(),
            app_defaults: options.app_defaults.clone(),
            globals: self.kept.globals.clone(),
            overridden: self.kept.overridden.clone(),
            shutdown_limit: options.shutdown_limit.as_secs(),
            drain_limit: options.drain_limit.as_secs(),
            admin_uid: Uid::effective().as_raw(),
            status_gid: options.status_group.map(Gid::as_raw),
            app_output: options.app_output,
            app_output_limit: options.app_output_limit,
            min_upload_rate: options.min_upload_rate,
            threads: options.router_threads,
            hooks,
            problems,
            generation: self.generation,
            environment: None,
        }
    }

    /// Hands over the configuration, the sockets, the app modes and the processes that serve.
    pub(crate) fn hand_over(
        &mut self,
        config: RouterConfig,
        nginx: BorrowedFd<'_>,
        processes: &mut Processes,
    ) {
        self.generation += 1;
        let State::Running(router) = &mut self.state else { return };
        let mut handed = router.send(&Notice::Config(config), &[nginx, self.tools.as_fd()]);
        for notice in self.kept.app_modes.notices() {
            handed = handed.and_then(|()| router.send(&notice, &[]));
        }
        for process in processes.iter_mut().filter(|process| process.serves()) {
            let adopt = Notice::Adopt(process.record.clone());
            process.announced = true;
            handed = handed.and_then(|()| router.send(&adopt, &[process.output.as_fd()]));
        }
        handed = handed.and_then(|()| router.send(&Notice::Serve, &[]));
        if let Err(why) = handed {
            tracing::error!("cannot hand processes over to the new router: {why}");
            router.kill();
        }
    }

    /// Sends a notice to the router. A router that cannot receive it is replaced; without a router it is dropped.
    pub(crate) fn send(&mut self, notice: &Notice, descriptors: &[BorrowedFd<'_>]) {
        let Some(router) = self.running_mut() else { return };
        match router.send(notice, descriptors) {
            Ok(()) => {}
            Err(why) if why.kind() == io::ErrorKind::InvalidInput => {
                tracing::error!("cannot send a message to the router: {why}");
            }
            Err(why) => self.replace_deaf(&why),
        }
    }

    /// Sends queued notices, as far as there is room.
    pub(crate) fn flush(&mut self) {
        if let Some(router) = self.running_mut()
            && let Err(why) = router.flush()
        {
            self.replace_deaf(&why);
        }
    }

    /// Kills a router that cannot receive notices.
    fn replace_deaf(&mut self, why: &io::Error) {
        if self.ending {
            tracing::debug!("cannot send messages to the router any more: {why}");
        } else {
            tracing::error!("replacing the router, to which no messages can be sent: {why}");
        }
        self.kill();
    }

    /// Sets the description of a problem; `None` when there is none. Returns whether this is a change.
    pub(crate) fn set_problem(&mut self, problem: Problem, what: Option<&str>) -> bool {
        if self.problems.get(&problem).map(String::as_str) == what {
            return false;
        }
        match what {
            Some(what) => drop(self.problems.insert(problem, what.to_owned())),
            None => drop(self.problems.remove(&problem)),
        }
        self.send(&Notice::Problem { problem, what: what.map(str::to_owned) }, &[]);
        true
    }

    /// Records that nginx's value of an option is not applied, and the value in effect.
    pub(crate) fn set_overridden(&mut self, name: &str, value: String) {
        self.kept.overridden.push(OverriddenOption { name: name.to_owned(), value });
    }

    /// Keeps an app mode for the next router.
    pub(crate) fn keep_app_mode(&mut self, app: String, mode: AppMode) {
        let name = shortened(&app);
        if let Err(why) = self.kept.app_modes.keep(app, mode)
            && self.may_log(Topic::Bounds)
        {
            tracing::error!("maintenance state of app {name} will be lost when the router restarts: {why}");
        }
    }

    /// Whether a line that the router can cause at will may be logged.
    pub(crate) fn may_log(&mut self, topic: Topic) -> bool {
        self.log_limits.admit(topic, Instant::now())
    }

    /// Whether the router's orders are read. Otherwise they wait in its socket until some earlier ones are carried out,
    /// or until it has read the notices sent to it.
    pub(crate) fn takes_orders(&self) -> bool {
        self.outstanding.has_room() && self.running().is_none_or(RouterProcess::reads)
    }

    /// Suspends or resumes the reading of orders. A router whose orders are not read does not count as silent.
    pub(crate) fn suspend_or_resume_orders(&mut self, now: Instant) {
        let suspend = !self.takes_orders();
        let is_new = suspend && !std::mem::replace(&mut self.orders_suspended, suspend);
        self.orders_suspended = suspend;
        if !suspend {
            return;
        }
        if is_new && self.log_limits.admit(Topic::Bounds, now) {
            let why = if self.outstanding.has_room() {
                "it does not read the answers to earlier ones"
            } else {
                "too many are in progress"
            };
            tracing::warn!("no more orders are read from the router for now: {why}");
        }
        if let Some(router) = self.running_mut() {
            router.note_message(now);
        }
    }

    /// Receives one order.
    pub(crate) fn receive(&mut self) -> Received {
        let State::Running(router) = &mut self.state else { return Received::Nothing };
        match router.channel.recv::<Order>(&mut self.buffer) {
            // Descriptors sent by a router are never used: they are closed here.
            Ok(Some((order, _descriptors))) => {
                router.note_message(Instant::now());
                Received::Order(order)
            }
            Ok(None) => {
                // It ends, or has closed the link and is of no use.
                router.kill();
                Received::Nothing
            }
            Err(why) if why.kind() == io::ErrorKind::WouldBlock => Received::Nothing,
            Err(why) if why.kind() == io::ErrorKind::InvalidData => {
                if self.may_log(Topic::Refused) {
                    tracing::error!("invalid message from the router: {why}");
                }
                Received::Refused
            }
            Err(why) => {
                tracing::error!("replacing the router, as the link to it failed: {why}");
                router.kill();
                Received::Nothing
            }
        }
    }

    /// Copies its log lines. Returns whether more may be left.
    pub(crate) fn copy_log(&mut self) -> bool {
        let framed = self.kept.app_prefix;
        self.running_mut().is_some_and(|router| router.copy_log(framed))
    }

    /// Copies the last log lines of a router that can no longer write.
    pub(crate) fn copy_last_log(&mut self) {
        let _ = (0..LAST_READS).all(|_| self.copy_log());
    }

    /// Reaps the router if it has ended; the next one is started after a pause if `restart`.
    pub(crate) fn reap(&mut self, restart: bool) -> bool {
        let Some(router) = self.running() else { return false };
        let how = match router.child.try_reap() {
            Ok(Some(end)) => end.to_string(),
            Ok(None) => return false,
            Err(why) => format!("ended, and its status cannot be read: {why}"),
        };
        let (pid, life) = (router.child.pid(), router.life());
        if restart {
            tracing::error!("the router (PID {pid}) {how}; the next one takes over");
            self.pause(life);
        } else {
            tracing::debug!("the router (PID {pid}) {how}");
            self.state = State::None;
        }
        true
    }

    /// Kills the router; it is reaped like one that ends by itself.
    pub(crate) fn kill(&mut self) {
        if let Some(router) = self.running_mut() {
            router.kill();
        }
    }

    /// Records that the router is about to exit.
    pub(crate) fn note_finished(&mut self) {
        if let Some(router) = self.running_mut() {
            router.note_finished();
        }
    }

    /// Limits the open files of the router, or has it do so itself.
    pub(crate) fn limit_open_files(&mut self, limit: OpenFiles) {
        let child = self.running().map(|router| &router.child);
        if let Err(why) = child.map_or(Ok(()), |child| child.limit_open_files(limit.soft, limit.hard)) {
            tracing::debug!("the router limits its open files itself: {why}");
            self.send(&Notice::OpenFiles(limit.soft), &[]);
        }
    }

    /// Handles what is due. Returns whether the next router has to be started.
    pub(crate) fn check(&mut self, now: Instant) -> bool {
        self.log_limits.settle(now);
        match &mut self.state {
            State::Pause(until) => *until <= now,
            State::Running(router) if router.due().is_some_and(|due| due <= now) => {
                match router.check(now) {
                    Ok(HeartbeatAction::Ping) => self.send(&Notice::Ping, &[]),
                    Ok(_) => {}
                    Err(why) => {
                        tracing::error!("the router (PID {}) {why}, and is killed", router.child.pid());
                        router.kill();
                    }
                }
                false
            }
            State::Running(_) | State::None => false,
        }
    }
}

/// Shortens a text chosen by the router for the log.
pub(crate) fn shortened(text: &str) -> String {
    text.chars().take(MAX_LOGGED).collect()
}
