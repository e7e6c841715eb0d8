//! Supervision of the router: starts it, hands everything over to it, and replaces it when it ends.
//!
//! App processes are not affected: the sockets, pipes and processes belong to the supervisor. The modules: the process
//! and its restarts ([`process`], [`backoff`], [`heartbeat`]), its log ([`log`], [`log_limits`]), its orders
//! ([`orders`], [`outstanding`], [`options`]), and what the supervisor keeps for the next router ([`maintenance`],
//! [`troubles`]).

pub(crate) mod backoff;
pub(crate) mod heartbeat;
pub(crate) mod log;
pub(crate) mod log_limits;
pub(crate) mod maintenance;
pub(crate) mod options;
pub(crate) mod orders;
pub(crate) mod outstanding;
pub(crate) mod process;
pub(crate) mod troubles;

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::unistd::Gid;

use super::Supervisor;
use super::lifecycle::phase::Event;
use super::processes::Stage;
use super::processes::exit_status;
use backoff::BackOff;
use common::link::{Notice, Order, RouterConfig, StopHow};
use heartbeat::HeartbeatAction;
use log_limits::Topic;
use process::RouterProcess;

/// Maximum number of orders carried out before signals and exits are handled again.
const ORDERS_AT_A_TIME: usize = 64;
/// Maximum time for them.
const TIME_AT_A_TIME: Duration = Duration::from_millis(10);
/// Reads of the log pipe of a router that has ended: more than a pipe holds. Other processes may have the pipe, too.
const LAST_READS: usize = 8;

/// The current router and its restarts.
#[derive(Debug, Default)]
pub(super) struct RouterSupervision {
    state: State,
    back_off: BackOff,
    generation: u32,
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

impl RouterSupervision {
    pub(super) fn running(&self) -> Option<&RouterProcess> {
        match &self.state {
            State::Running(router) => Some(router),
            State::None | State::Pause(_) => None,
        }
    }

    pub(super) fn running_mut(&mut self) -> Option<&mut RouterProcess> {
        match &mut self.state {
            State::Running(router) => Some(router),
            State::None | State::Pause(_) => None,
        }
    }

    /// When [`Supervisor::routers_due`] has to run: at the end of a pause or of the router's time limits.
    pub(super) fn due(&self) -> Option<Instant> {
        match &self.state {
            State::None => None,
            State::Running(router) => router.due(),
            State::Pause(until) => Some(*until),
        }
    }

    /// Whether the router answers or is being replaced.
    pub(super) fn is_in_hand(&self, now: Instant) -> bool {
        self.running().is_none_or(|router| !router.is_undead(now))
    }

    /// How many routers have been started.
    pub(super) fn count(&self) -> u32 {
        self.generation
    }

    /// Starts counting after this many routers.
    pub(super) fn after(generation: u32) -> Self {
        Self { generation, ..Self::default() }
    }

    /// Cancels the start of the next router. Does not affect a running one.
    pub(super) fn start_no_more(&mut self) {
        if let State::Pause(_) = self.state {
            self.state = State::None;
        }
    }
}

impl Supervisor {
    /// Starts a router and hands everything over to it, or tries again after a pause.
    pub(super) fn start_router(&mut self) {
        match self.plan.start(&self.launcher.originals) {
            Ok(router) => {
                self.routers.state = State::Running(router);
                self.hand_over();
            }
            Err(why) => {
                tracing::error!(critical = true, "the router cannot be started: {why}");
                self.pause_routers(Duration::ZERO);
            }
        }
    }

    fn pause_routers(&mut self, life: Duration) {
        let pause = self.routers.back_off.after(life);
        self.routers.state = State::Pause(Instant::now() + pause);
    }

    /// Hands over the configuration, the sockets, the app modes and the processes that serve.
    fn hand_over(&mut self) {
        let config = Notice::Config(self.router_config());
        self.routers.generation += 1;
        let Some(router) = self.routers.running_mut() else {
            return;
        };
        let mut handed = router.tell(&config, &[self.nginx.as_fd(), self.tools.as_fd()]);
        for notice in self.app_modes.notices() {
            handed = handed.and_then(|()| router.tell(&notice, &[]));
        }
        for process in self.processes.iter_mut().filter(|process| process.serves()) {
            let adopt = Notice::Adopt(process.record.clone());
            process.announced = true;
            handed = handed.and_then(|()| router.tell(&adopt, &[process.output.as_fd()]));
        }
        handed = handed.and_then(|()| router.tell(&Notice::Serve, &[]));
        if let Err(why) = handed {
            tracing::error!("the router cannot be told what there is: {why}");
            router.kill();
        }
    }

    fn router_config(&self) -> RouterConfig {
        RouterConfig {
            socket_file: self.options.socket.path.clone(),
            instance_name: self.instance.name().to_owned(),
            options: self.options.shared.clone(),
            app_defaults: self.options.app_defaults.clone(),
            globals: self.globals.clone(),
            overruled: self.overruled.clone(),
            shutdown_limit: self.options.shutdown_limit.as_secs(),
            drain_limit: self.options.drain_limit.as_secs(),
            admin_uid: nix::unistd::Uid::effective().as_raw(),
            status_gid: self.options.status_group.map(Gid::as_raw),
            app_output: self.options.app_output,
            app_output_limit: self.options.app_output_limit,
            min_upload_rate: self.options.min_upload_rate,
            hooks: self.hooks.of_apps(),
            troubles: self.troubles.iter().map(|(kind, what)| (*kind, what.clone())).collect(),
            generation: self.routers.generation,
        }
    }

    /// Sends a notice to the router. A router that cannot receive it is replaced; without a router it is dropped.
    pub(super) fn tell_router(&mut self, notice: &Notice, descriptors: &[BorrowedFd<'_>]) {
        let Some(router) = self.routers.running_mut() else {
            return;
        };
        match router.tell(notice, descriptors) {
            Ok(()) => {}
            Err(why) if why.kind() == io::ErrorKind::InvalidInput => {
                tracing::error!("a message to the router cannot be sent: {why}");
            }
            Err(why) => self.deaf_router(&why),
        }
    }

    pub(super) fn send_waiting(&mut self) {
        if let Some(router) = self.routers.running_mut()
            && let Err(why) = router.send_waiting()
        {
            self.deaf_router(&why);
        }
    }

    /// Kills a router that cannot receive notices. While the daemon ends, it may just have finished.
    fn deaf_router(&mut self, why: &io::Error) {
        if self.shutdown.is_serving() {
            tracing::error!("the router is replaced, as it cannot be told anything: {why}");
        } else {
            tracing::debug!("the router cannot be told anything any more: {why}");
        }
        if let Some(router) = self.routers.running_mut() {
            router.kill();
        }
    }

    /// Whether the router's orders are read. Otherwise they wait in its socket until some earlier ones are carried out,
    /// or until it has read the notices sent to it.
    pub(super) fn takes_orders(&self) -> bool {
        self.outstanding.has_room() && self.routers.running().is_none_or(RouterProcess::reads)
    }

    /// Updates whether orders wait. A router whose orders are not read does not count as silent.
    pub(super) fn note_whether_orders_wait(&mut self, now: Instant) {
        let wait = !self.takes_orders();
        let begin = wait && !std::mem::replace(&mut self.orders_wait, wait);
        self.orders_wait = wait;
        if !wait {
            return;
        }
        if begin && self.log_limits.admit(Topic::Bounds, now) {
            let why = if self.outstanding.has_room() {
                "it does not read the answers to earlier ones"
            } else {
                "too many are not carried out yet"
            };
            tracing::warn!("no more orders are read from the router for now: {why}");
        }
        if let Some(router) = self.routers.running_mut() {
            router.heard(now);
        }
    }

    /// Reads and carries out the router's orders. No order ends the supervisor.
    pub(super) fn hear_router(&mut self) {
        let until = Instant::now() + TIME_AT_A_TIME;
        for _ in 0..ORDERS_AT_A_TIME {
            if !self.takes_orders() || Instant::now() >= until {
                return;
            }
            let Some(router) = self.routers.running_mut() else {
                return;
            };
            match router.channel().recv::<Order>(&mut self.buffer) {
                // Descriptors sent by a router are never used: they are closed here.
                Ok(Some((order, _descriptors))) => {
                    router.heard(Instant::now());
                    self.carry_out(order);
                }
                Ok(None) => {
                    // It ends, or has closed the link and is of no use.
                    router.kill();
                    return;
                }
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => return,
                Err(why) if why.kind() == io::ErrorKind::InvalidData => {
                    if self.log_limits.admit(Topic::Refused, Instant::now()) {
                        tracing::error!("a message of the router is refused: {why}");
                    }
                }
                Err(why) => {
                    tracing::error!("the router is replaced, as the link fails: {why}");
                    router.kill();
                    return;
                }
            }
        }
    }

    pub(super) fn router_ended(&mut self) {
        // Its last orders and log lines are complete: it can no longer write.
        self.hear_router();
        let _ = (0..LAST_READS).all(|_| self.copy_router_log());
        let Some(router) = self.routers.running() else {
            return;
        };
        let how = match router.child().try_reap() {
            Ok(Some(end)) => exit_status::sentence(end),
            Ok(None) => return,
            Err(why) => format!("ended, and its status cannot be read: {why}"),
        };
        let (pid, life) = (router.child().pid(), router.life());
        if self.shutdown.is_serving() && !self.upgrade.is_under_way() {
            tracing::error!("the router (PID {pid}) {how}; the next one takes over");
            self.pause_routers(life);
        } else {
            tracing::debug!("the router (PID {pid}) {how}");
            self.routers.state = State::None;
        }
        self.upgrade.note_router_gone(Instant::now());
        self.orphan_processes();
        self.step(Event::RouterGone);
    }

    /// Ends processes that only the ended router could continue to use, including preloaders: the next router cannot
    /// know whether their code is still current. The rest waits for the next router.
    fn orphan_processes(&mut self) {
        self.forks.orphan();
        self.stat_workers.forget();
        self.app_logs.forget();
        self.measurements.forget();
        let kill_at = Instant::now() + self.options.shutdown_limit;
        for process in self.processes.iter_mut() {
            process.announced = false;
            match process.stage {
                Stage::Starting => {
                    tracing::warn!("{} was not ready and ends with its router", process.name());
                    process.stop(StopHow::Kill);
                }
                Stage::Ready if process.is_preloader() => {
                    process.stop(StopHow::Gracefully);
                    process.kill_at = Some(kill_at);
                }
                Stage::Ready => {}
                Stage::Stopping => process.kill_at = Some(kill_at),
            }
        }
    }

    pub(super) fn routers_due(&mut self, now: Instant) {
        if self.routers.due().is_none_or(|due| due > now) {
            return;
        }
        match &mut self.routers.state {
            State::Pause(_) => self.start_router(),
            State::Running(router) => match router.look_after(now) {
                Ok(HeartbeatAction::Ask) => self.tell_router(&Notice::Ping, &[]),
                Ok(_) => {}
                Err(why) => {
                    tracing::error!("the router (PID {}) {why}, and is killed", router.child().pid());
                    router.kill();
                }
            },
            State::None => {}
        }
    }
}
