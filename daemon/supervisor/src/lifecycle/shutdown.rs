//! The shutdown of the daemon: handles signals and timeouts as the table in [`phase`](super::phase) defines.

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

/// Time for the router to report that it has finished, after its own limit.
const SLACK: Duration = Duration::from_secs(2);
/// Minimum time for processes to end, however long the router took.
const LEAST_GRACE: Duration = Duration::from_secs(5);
/// Time after SIGKILL; only the kernel can delay a process longer.
const AFTER_KILL: Duration = Duration::from_secs(5);

/// Progress of the shutdown.
#[derive(Debug)]
pub(crate) struct Shutdown {
    phase: Phase,
    limit: Duration,
    /// When the whole shutdown should be complete.
    end: Option<Instant>,
    /// When the current phase ends.
    due: Option<Instant>,
    /// Whether requests were served at any time.
    served: bool,
    /// Whether a program of the operator prevented the start.
    refused: bool,
    /// Whether the operator asked twice.
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

    /// Sets the limit of a shutdown that has not begun.
    pub(super) fn set_limit(&mut self, limit: Duration) {
        self.limit = limit;
    }

    /// Whether requests are served and the router is not shutting down.
    pub(crate) fn is_serving(&self) -> bool {
        matches!(self.phase, Phase::Serving | Phase::Parting)
    }

    /// Whether nothing is served yet.
    pub(crate) fn is_preparing(&self) -> bool {
        self.phase == Phase::Preparing
    }

    /// Whether requests are served and no shutdown was requested.
    pub(super) fn is_settled(&self) -> bool {
        self.phase == Phase::Serving
    }

    /// How long the shutdown may take.
    pub(super) fn limit(&self) -> Duration {
        self.limit
    }

    /// Continues after a previous program that has served.
    pub(crate) fn take_over(&mut self) {
        self.phase = Phase::Serving;
        self.served = true;
    }

    /// Records that requests are served.
    pub(crate) fn note_served(&mut self) {
        self.served = true;
    }

    /// Records that a program of the operator prevents the start.
    pub(crate) fn note_refused(&mut self) {
        self.refused = true;
    }

    /// Whether there is no orderly shutdown: nothing was served, or the operator asked twice.
    pub(crate) fn is_cut_short(&self) -> bool {
        self.impatient || !self.served
    }

    pub(crate) fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Enters a phase and sets its time limit.
    fn enter(&mut self, phase: Phase, now: Instant) {
        self.phase = phase;
        self.due = match phase {
            Phase::Preparing | Phase::Serving | Phase::Parting | Phase::Concluding | Phase::Over => None,
            Phase::Draining => Some(self.end_from(now) + SLACK),
            Phase::Stopping => Some(self.end_from(now).max(now + LEAST_GRACE.min(self.limit))),
            Phase::Killing => Some(now + AFTER_KILL),
        };
    }

    /// When the whole shutdown should be complete: one limit, from its beginning.
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
                // The result is logged.
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

    /// Takes one step of the phase table.
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

    /// The maximum duration of the shutdown once no more requests are accepted.
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

    /// Kills everything when waiting for events fails.
    pub(crate) fn shut_down_at_once(&mut self) {
        self.shutdown.impatient = true;
        self.kill_all();
    }

    /// Removes everything except, possibly, processes stuck in the kernel.
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
        // The log writer was in the daemon's own group.
        if let Some(cgroups) = self.launcher.cgroups {
            cgroups.dissolve();
        }
        if self.shutdown.impatient || self.shutdown.refused { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }
}
