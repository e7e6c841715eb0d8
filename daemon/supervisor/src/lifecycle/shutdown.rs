//! The end of the daemon: what signals and time mean, carried out as [`phase`](super::phase) says.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use nix::libc;

use super::phase::{self, Action, Event, Phase};
use super::pid_file::PidFile;
use crate::processes::Stage;
use crate::{LAST_LINES, Supervisor};
use common::config::Hook;
use common::link::{Notice, StopHow};
use common::log::writer;

/// For the router to tell that it has finished, after its own limit.
const SLACK: Duration = Duration::from_secs(2);
/// What processes have at least, however long the router took.
const LEAST_GRACE: Duration = Duration::from_secs(5);
/// After SIGKILL only the kernel can keep a process.
const AFTER_KILL: Duration = Duration::from_secs(5);

/// How far the end has come.
#[derive(Debug)]
pub(crate) struct Shutdown {
    phase: Phase,
    limit: Duration,
    /// When all of it should be over.
    end: Option<Instant>,
    /// When this phase is.
    due: Option<Instant>,
    /// Requests were served at some time.
    served: bool,
    /// One of the operator's programs kept it from starting.
    refused: bool,
    /// The operator asked twice.
    impatient: bool,
}

impl Shutdown {
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            phase: Phase::Preparing,
            limit,
            end: None,
            due: None,
            served: false,
            refused: false,
            impatient: false,
        }
    }

    /// Another limit, when the end has not begun.
    pub(super) fn set_limit(&mut self, limit: Duration) {
        self.limit = limit;
    }

    /// Requests are served, and the end has not begun.
    pub(crate) fn is_serving(&self) -> bool {
        matches!(self.phase, Phase::Serving | Phase::Parting)
    }

    /// Nothing is served yet.
    pub(crate) fn is_preparing(&self) -> bool {
        self.phase == Phase::Preparing
    }

    /// Requests are served, and nobody wants the end.
    pub(super) fn is_settled(&self) -> bool {
        self.phase == Phase::Serving
    }

    /// How long the end may take.
    pub(super) fn limit(&self) -> Duration {
        self.limit
    }

    /// Another program has served before, and this one goes on.
    pub(crate) fn take_over(&mut self) {
        self.phase = Phase::Serving;
        self.served = true;
    }

    /// Requests are served from here on.
    pub(crate) fn note_served(&mut self) {
        self.served = true;
    }

    /// A program of the operator's keeps the daemon from starting.
    pub(crate) fn note_refused(&mut self) {
        self.refused = true;
    }

    /// There is no orderly end: nothing was served, or the operator did not wait.
    pub(crate) fn is_cut_short(&self) -> bool {
        self.impatient || !self.served
    }

    pub(crate) fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Notes the time that the phase just begun may take.
    fn enter(&mut self, phase: Phase, now: Instant) {
        self.phase = phase;
        self.due = match phase {
            Phase::Preparing | Phase::Serving | Phase::Parting | Phase::Concluding | Phase::Over => None,
            Phase::Draining => Some(self.end_from(now) + SLACK),
            Phase::Stopping => Some(self.end_from(now).max(now + LEAST_GRACE.min(self.limit))),
            Phase::Killing => Some(now + AFTER_KILL),
        };
    }

    /// When all of it should be over: one limit, counted from its beginning.
    fn end_from(&mut self, now: Instant) -> Instant {
        *self.end.get_or_insert(now + self.limit)
    }
}

impl Supervisor {
    pub(crate) fn read_signals(&mut self) {
        while let Ok(Some(signal)) = self.signals.read_signal() {
            match i32::try_from(signal.ssi_signo) {
                Ok(libc::SIGCHLD) => self.strangers = true,
                Ok(libc::SIGTERM) => self.asked("SIGTERM"),
                Ok(libc::SIGINT) => self.asked("SIGINT"),
                Ok(libc::SIGQUIT) => self.asked("SIGQUIT"),
                Ok(libc::SIGHUP) => self.reload(),
                Ok(libc::SIGUSR2) => self.begin_upgrade(),
                // The log tells how that went.
                Ok(libc::SIGUSR1) => drop(self.reopen_log()),
                _ => {}
            }
        }
    }

    fn asked(&mut self, signal: &str) {
        tracing::info!("received {signal}");
        self.call_upgrade_off();
        self.step(Event::Asked);
    }

    /// Takes one step of the table.
    pub(crate) fn step(&mut self, event: Event) {
        let (next, action) = phase::step(self.shutdown.phase, event);
        if next != self.shutdown.phase {
            self.shutdown.enter(next, Instant::now());
        }
        match action {
            Action::Nothing => {}
            Action::Serve => self.begin_to_serve(),
            Action::Abandon => self.abandon(),
            Action::Part => self.part_in_time(),
            Action::Drain => self.drain(),
            Action::Stop => self.stop_all(),
            Action::StopAndKillRouter => {
                tracing::warn!("the router has not finished in time and is killed");
                self.kill_router();
                self.stop_all();
            }
            Action::Kill => self.kill_all(),
            Action::KillImpatiently => {
                self.shutdown.impatient = true;
                self.kill_all();
            }
            Action::Conclude => self.conclude(),
        }
    }

    fn part_in_time(&mut self) {
        self.manager.stopping(self.hooks.time_for(Hook::BeforeWatchdogShutdown) + self.time_to_end());
        self.part();
    }

    /// The longest that the end takes from when requests are not taken any more.
    fn time_to_end(&self) -> Duration {
        let programs = self.hooks.time_for(Hook::AfterWatchdogShutdown);
        self.shutdown.limit + SLACK + LEAST_GRACE + AFTER_KILL + programs
    }

    fn drain(&mut self) {
        let limit = self.shutdown.limit.as_secs();
        tracing::info!("shutting down: requests and processes have {limit} seconds to end");
        self.manager.stopping(self.time_to_end());
        self.routers.start_no_more();
        if self.routers.running().is_some() {
            self.tell_router(&Notice::ShutDown { limit }, &[]);
        } else {
            self.step(Event::RouterGone);
        }
    }

    fn stop_all(&mut self) {
        let left = self.processes.iter_mut().filter(|process| process.stage != Stage::Stopping);
        left.for_each(|process| process.stop(StopHow::Gracefully));
    }

    fn kill_all(&mut self) {
        self.kill_router();
        self.hooks.kill_all();
        for process in self.processes.iter_mut() {
            tracing::warn!("{} has not ended in time and is killed", process.name());
            process.stop(StopHow::Kill);
        }
    }

    fn kill_router(&mut self) {
        if let Some(router) = self.routers.running_mut() {
            router.kill();
        }
    }

    pub(crate) fn check_alone(&mut self) {
        let left = self.processes.len() + self.forks.len() + self.hooks.len();
        if left == 0 && self.routers.running().is_none() {
            self.step(Event::Alone);
        }
    }

    /// When not even waiting works any more.
    pub(crate) fn shut_down_at_once(&mut self) {
        self.shutdown.impatient = true;
        self.kill_all();
    }

    /// Leaves nothing behind but, perhaps, what the kernel keeps.
    pub(crate) fn close(self) -> ExitCode {
        self.stat_workers.end();
        for process in self.processes.iter() {
            tracing::error!("{} cannot be killed and is left behind", process.name());
        }
        self.nginx.remove();
        self.pid_file.into_iter().for_each(PidFile::remove);
        if let Err(why) = self.instance.remove() {
            tracing::warn!("the instance directory stays: {why}");
        }
        tracing::info!("the daemon has ended");
        writer::finish(LAST_LINES);
        // The log's writer was in the daemon's own group.
        if let Some(cgroups) = self.launcher.cgroups {
            cgroups.dissolve();
        }
        if self.shutdown.impatient || self.shutdown.refused { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }
}
