//! The supervisor: owns the sockets and the app processes, and starts the router, which owns the requests.
//!
//! Its input is signals, orders of the router and exits of processes; its output is processes, notices and log lines.
//! It parses no data sent by clients, reads no files of apps, has one thread, and waits in one place only ([`poll`]).
//! The modules in the order of the daemon's life: start, reload, upgrade and end ([`lifecycle`]), the files it opens
//! ([`log_file`], [`nginx_socket`]), the programs of the operator ([`hooks`]), the router and its orders ([`router`]),
//! and the app processes ([`stat_workers`], [`spawn`], [`cgroups`], [`processes`]).

#![forbid(unsafe_code)]

mod cgroups;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod hooks;
pub(crate) mod lifecycle;
mod log_file;
mod nginx_socket;
pub(crate) mod poll;
mod processes;
pub(crate) mod router;
mod spawn;
mod stat_workers;

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use nix::sys::signalfd::SignalFd;
use nix::unistd::Pid;

pub use lifecycle::daemonize;
pub use lifecycle::upgrade::{StartMode, start_mode};
pub use router::process::{ROUTER_ARGUMENT, close_to_others};
pub use spawn::{Policy, Why, would_run_as};

use common::config::Options;
use common::instance::Instance;
use common::link::channel::Buffer;
use common::link::{Notice, Overruled, ProcessId, StopHow};
use common::log::writer;
use common::sys::process;
use hooks::Hooks;
use lifecycle::daemonize::Caller;
use lifecycle::phase::Event;
use lifecycle::pid_file::PidFile;
use lifecycle::sd_notify::ServiceManager;
use lifecycle::shutdown::Shutdown;
use lifecycle::upgrade::Upgrade;
use log_file::LogFile;
use log_file::app_logs::AppLogs;
use nginx_socket::NginxSocket;
use nginx_socket::guard::SocketCare;
use poll::{Happened, Watched};
use processes::forks::Forks;
use processes::memory::Measurements;
use processes::{Process, Processes, Stage};
use router::RouterSupervision;
use router::log_limits::LogLimits;
use router::maintenance::AppModes;
use router::outstanding::Outstanding;
use router::process::RouterPlan;
use router::troubles::Troubles;
use spawn::Launcher;
use stat_workers::StatWorkers;
use stat_workers::file_checks::PendingAction;

/// How long the daemon waits at its end until its last lines are in the log.
const LAST_LINES: Duration = Duration::from_secs(5);

/// Runs the daemon in place of the program that packed its state under this descriptor number.
pub fn take_over(options: Options, packed: RawFd) -> ExitCode {
    match Supervisor::take_over(options, packed) {
        Ok(mut supervisor) => {
            supervisor.go_on();
            supervisor.live();
            supervisor.close()
        }
        Err(why) => {
            tracing::error!(critical = true, "the daemon cannot be taken over: {why}");
            writer::finish(LAST_LINES);
            ExitCode::FAILURE
        }
    }
}

/// Runs the daemon until it is asked to end, and notifies `caller` when it is up.
pub fn run(options: Options, caller: Option<Caller>) -> ExitCode {
    match Supervisor::open(options) {
        Ok(mut supervisor) => {
            supervisor.caller = caller;
            supervisor.prepare();
            supervisor.live();
            supervisor.close()
        }
        Err(why) => {
            if let Some(caller) = caller {
                caller.failed(&why.to_string());
            }
            tracing::error!(critical = true, "the daemon cannot start: {why}");
            writer::finish(LAST_LINES);
            ExitCode::FAILURE
        }
    }
}

/// The state of the supervisor.
struct Supervisor {
    options: Options,
    /// Maximum number of app processes at a time, as sent by the router.
    max_pool_size: usize,
    /// The requested limit of open files; 0 for none.
    open_files_wanted: u64,
    log: LogFile,
    /// Whether the output of apps gets a prefix in the log, as sent by the router.
    app_prefix: bool,
    /// The daemon-wide options from nginx, kept for the next router.
    globals: Vec<u8>,
    /// Those of them that are not applied.
    overruled: Vec<Overruled>,
    /// App modes set by administrators.
    app_modes: AppModes,
    instance: Instance,
    nginx: NginxSocket,
    socket_care: SocketCare,
    pid_file: Option<PidFile>,
    manager: ServiceManager,
    troubles: Troubles,
    /// The process that waits for the daemon to be up.
    caller: Option<Caller>,
    tools: OwnedFd,
    signals: SignalFd,
    launcher: Launcher,
    /// Warnings about apps that have been logged, each once.
    warnings: BTreeSet<String>,
    log_limits: LogLimits,
    outstanding: Outstanding,
    /// Whether reading of the router's orders is suspended.
    orders_wait: bool,
    app_logs: AppLogs,
    measurements: Measurements,
    processes: Processes,
    forks: Forks,
    stat_workers: StatWorkers<PendingAction>,
    hooks: Hooks,
    plan: RouterPlan,
    routers: RouterSupervision,
    shutdown: Shutdown,
    upgrade: Upgrade,
    buffer: Buffer,
    /// Whether a child that is in no table may have ended.
    strangers: bool,
}

impl Supervisor {
    fn live(&mut self) {
        while !self.shutdown.is_over() {
            if let Err(why) = self.wait_and_act() {
                tracing::error!(critical = true, "the supervisor cannot wait for events: {why}");
                self.shut_down_at_once();
                return;
            }
        }
    }

    /// Starts the router and notifies the service manager, the caller and the hooks that the daemon is up.
    fn begin_to_serve(&mut self) {
        self.shutdown.note_served();
        self.start_router();
        let socket = self.options.socket.path.display();
        tracing::info!(event = "listening", detail = %socket, "up and listening on {socket}");
        self.manager.ready(&self.status());
        if let Some(caller) = self.caller.take() {
            caller.up();
        }
        self.tell_that_it_serves();
    }

    /// Continues to serve after an upgrade.
    fn go_on(&mut self) {
        self.shutdown.take_over();
        self.start_router();
        let socket = self.options.socket.path.display();
        tracing::info!(event = "listening", detail = %socket, "up and listening on {socket}");
        self.manager.ready(&self.status());
    }

    /// Ends the start-up, because a program of the operator has failed.
    fn refuse_to_start(&mut self, why: &str) {
        if !self.shutdown.is_preparing() {
            return;
        }
        tracing::error!(critical = true, "the daemon cannot start: {why}");
        if let Some(caller) = self.caller.take() {
            caller.failed(why);
        }
        self.shutdown.note_refused();
        self.step(Event::Refused);
    }

    fn abandon(&mut self) {
        if let Some(caller) = self.caller.take() {
            caller.failed("it was told to end before it was up");
        }
        self.hooks.kill_all();
    }

    /// Returns the status text for the service manager.
    fn status(&self) -> String {
        format!("listening on {}", self.options.socket.path.display())
    }

    fn wait_and_act(&mut self) -> io::Result<()> {
        self.note_whether_orders_wait(Instant::now());
        let until = self.next_due();
        let router = self.routers.running();
        let socket = self.nginx.touched();
        let watched = Watched {
            signals: &self.signals,
            socket,
            router,
            processes: &self.processes,
            forks: &self.forks,
            stat_workers: &self.stat_workers,
            hooks: &self.hooks,
            app_logs: &self.app_logs,
            takes_orders: !self.orders_wait,
        };
        let happened = poll::wait(watched, until)?;
        for event in happened {
            self.act(event);
        }
        self.measure_some();
        self.do_what_is_due(Instant::now());
        self.check_log();
        self.reap_strangers();
        self.sweep_cgroups();
        self.check_alone();
        self.upgrade_when_quiet();
        Ok(())
    }

    fn act(&mut self, happened: Happened) {
        match happened {
            Happened::Signal => self.read_signals(),
            Happened::ProcessEnded(process) => self.process_ended(process),
            Happened::ForkSpoke(process) => self.hear_fork(process),
            Happened::HookEnded(run) => self.hook_ended(run),
            Happened::StatWorkerSpoke(id) => self.hear_stat_worker(id),
            Happened::AppLogOpened => self.app_log_opened(),
            Happened::StatWorkerEnded(id) => self.stat_worker_ended(id),
            Happened::SocketTouched => self.look_after_socket(),
            Happened::LinkHasRoom => self.send_waiting(),
            Happened::RouterLogged => {
                self.copy_router_log();
            }
            Happened::LogWriterSpoke => writer::hear(),
            Happened::LogHasRoom => writer::flush(),
            Happened::RouterSpoke => self.hear_router(),
            Happened::RouterEnded => self.router_ended(),
        }
    }

    /// Returns the earliest time at which something is due.
    fn next_due(&self) -> Option<Instant> {
        let dues = [
            writer::due(Instant::now()),
            self.routers.due(),
            self.shutdown.due(),
            self.upgrade.due(),
            self.processes.next_kill(),
            self.forks.next_due(),
            self.stat_workers.due(),
            self.hooks.next_due(),
            self.manager.due(),
            Some(self.socket_care.due()),
            self.log_limits.due(),
            self.measurements.due(),
        ];
        dues.into_iter().flatten().min()
    }

    fn do_what_is_due(&mut self, now: Instant) {
        self.kill_overdue(now);
        self.forks_due(now);
        self.file_checks_due(now);
        self.hooks.kill_overdue(now);
        self.routers_due(now);
        self.upgrade_due(now);
        self.manager.beat(now, self.routers.is_in_hand(now));
        self.socket_due(now);
        self.log_limits.settle(now);
        if self.shutdown.due().is_some_and(|due| due <= now) {
            self.step(Event::TimeUp);
        }
    }

    fn kill_overdue(&mut self, now: Instant) {
        for process in self.processes.iter_mut() {
            if process.kill_at.is_some_and(|due| due <= now) {
                process.kill_at = None;
                tracing::warn!("{} does not end and is killed", process.name());
                process.stop(StopHow::Kill);
            }
        }
    }

    fn process_ended(&mut self, id: ProcessId) {
        let Some(process) = self.processes.get_mut(id) else {
            return;
        };
        let how = match process.try_reap() {
            Ok(Some(how)) => how,
            Ok(None) => return,
            Err(why) => format!("ended, and its status cannot be read: {why}"),
        };
        match process.stage {
            Stage::Stopping => tracing::debug!("{} {how}", process.name()),
            Stage::Starting | Stage::Ready => tracing::warn!("{} {how}", process.name()),
        }
        let announced = process.announced;
        let cgroup = self.processes.remove(id).and_then(Process::into_cgroup);
        self.launcher.end_cgroup(cgroup);
        if let Err(why) = self.instance.remove_app_socket(id) {
            tracing::warn!("the socket of an ended process cannot be removed: {why}");
        }
        if announced {
            self.tell_router(&Notice::Exited { process: id, how }, &[]);
        }
    }

    fn sweep_cgroups(&mut self) {
        if let Some(cgroups) = &mut self.launcher.cgroups {
            cgroups.sweep();
        }
    }

    /// Reaps orphans of apps, which become children of the supervisor.
    fn reap_strangers(&mut self) {
        while self.strangers {
            match process::ended_child() {
                Ok(Some(pid)) => {
                    // It may be a process that has just said hello and ended.
                    self.hear_forks();
                    if self.is_known(pid) {
                        // Its own event follows; after that it no longer hides others.
                        return;
                    }
                    self.reap_stranger(pid);
                }
                Ok(None) => self.strangers = false,
                Err(why) => {
                    tracing::warn!("children cannot be looked at: {why}");
                    self.strangers = false;
                }
            }
        }
    }

    fn reap_stranger(&mut self, pid: Pid) {
        match process::reap(pid) {
            Ok(()) => tracing::trace!("reaped {pid}, an orphan"),
            Err(why) => {
                tracing::warn!("{pid}, an orphan, cannot be reaped: {why}");
                self.strangers = false;
            }
        }
    }

    /// Whether the PID is that of the router, a process in the table, a hook program, a stat worker or a process that
    /// opens a log file.
    fn is_known(&self, pid: Pid) -> bool {
        let routers = self.routers.running().is_some_and(|router| router.child().pid() == pid);
        let hook = self.hooks.running().any(|(_, child)| child.pid() == pid);
        let worker = self.stat_workers.iter().any(|(.., child)| child.pid() == pid);
        let opener = self.app_logs.openers().any(|child| child.pid() == pid);
        routers
            || hook
            || worker
            || opener
            || self.processes.iter().any(|process| process.child().pid() == pid)
    }
}
