//! The daemon's life: what signals, phases, hooks of the daemon, the end of routers and an upgrade cause.

use std::io;
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use nix::libc;

use super::event_loop::Supervisor;
use super::hooks::{self, Finished};
use super::lifecycle::LAST_LINES;
use super::lifecycle::daemonize::Caller;
use super::lifecycle::phase::{Action, Event};
use super::lifecycle::pid_file::PidFile;
use super::lifecycle::reload;
use super::lifecycle::upgrade::State;
use super::lifecycle::upgrade::report::UpgradeResult;
use super::spawn::{Conditions, shown_to_owners};
use common::config::Hook;
use common::link::{Notice, StopHow};
use common::log::writer;
use common::sys::fd_handover::HandoverWriter;

/// Start.
impl Supervisor {
    /// Runs the programs for before anything is served; the daemon serves when they have succeeded.
    pub(crate) fn prepare(&mut self, caller: Option<Caller>) {
        self.life.caller = caller;
        let hook = Hook::BeforeWatchdogInitialization;
        let time = self.hooks.time_for(hook);
        if !time.is_zero() {
            self.life.manager.preparing(time);
        }
        self.run_own(hook);
    }

    /// Starts the router and notifies the service manager, the caller and the hooks that the daemon is up.
    fn serve(&mut self) {
        self.life.shutdown.served = true;
        self.begin_to_serve();
        if let Some(caller) = self.life.caller.take() {
            caller.up();
        }
        // The daemon does not wait for these programs.
        self.run_own(Hook::AfterWatchdogInitialization);
    }

    /// Continues to serve after an upgrade; the `previous` release did before.
    pub(crate) fn resume(&mut self, previous: String) {
        self.life.shutdown.take_over();
        self.begin_to_serve();
        let to = env!("CARGO_PKG_VERSION").to_owned();
        self.report_upgrade(UpgradeResult::Done { from: previous, to });
    }

    fn begin_to_serve(&mut self) {
        if let Err(why) = Conditions::publish(&self.starts.launcher, &self.instance) {
            tracing::warn!(
                "passenger-config exec is not available: cannot write into the instance directory: {why}"
            );
        }
        self.start_router();
        let socket = self.options.socket.path.display();
        tracing::info!(event = "listening", detail = %socket, "up and listening on {socket}");
        self.note_ready();
    }

    fn note_ready(&self) {
        self.life.manager.ready(&format!("listening on {}", self.options.socket.path.display()));
    }

    /// Ends the start-up, because a program of the operator has failed.
    fn refuse_to_start(&mut self, why: &str) {
        if !self.life.shutdown.is_preparing() {
            return;
        }
        tracing::error!(critical = true, "the daemon cannot start: {why}");
        if let Some(caller) = self.life.caller.take() {
            caller.failed(why);
        }
        self.life.shutdown.refused = true;
        self.step(Event::Refused);
    }

    /// Starts a router and hands everything over to it, or tries again after a pause.
    pub(crate) fn start_router(&mut self) {
        if self.router.start(&self.starts.launcher.originals) {
            let mut config = self.router.config(&self.options, self.instance.name(), self.hooks.of_apps());
            config.environment = shown_to_owners(&self.starts.launcher.environment);
            self.router.hand_over(config, self.nginx.socket.as_fd(), &mut self.processes);
        }
    }

    pub(crate) fn router_ended(&mut self) {
        // Its last orders and log lines are complete: it can no longer write.
        self.read_orders();
        self.router.copy_last_log();
        let restart = self.life.shutdown.is_serving() && !self.life.upgrade.is_in_progress();
        if !self.router.reap(restart) {
            return;
        }
        self.life.upgrade.note_router_gone(Instant::now());
        self.starts.forks.orphan();
        self.stat_workers.forget();
        self.app_logs.forget();
        self.processes.orphan(Instant::now() + self.options.shutdown_limit);
        self.step(Event::RouterGone);
    }
}

/// Signals, phases and hooks.
impl Supervisor {
    pub(crate) fn read_signals(&mut self) {
        while let Ok(Some(signal)) = self.life.signals.read_signal() {
            match i32::try_from(signal.ssi_signo) {
                Ok(libc::SIGCHLD) => self.orphans = true,
                Ok(libc::SIGTERM) => self.end("SIGTERM"),
                Ok(libc::SIGINT) => self.end("SIGINT"),
                Ok(libc::SIGQUIT) => self.end("SIGQUIT"),
                Ok(libc::SIGHUP) => self.reload(),
                Ok(libc::SIGUSR2) => self.begin_upgrade(),
                // The result is logged.
                Ok(libc::SIGUSR1) => drop(self.reopen_log()),
                _ => {}
            }
        }
    }

    fn end(&mut self, signal: &str) {
        tracing::info!("received {signal}");
        // Requests are served until the programs for before the shutdown have ended.
        if self.life.upgrade.cancel() {
            self.report_upgrade(UpgradeResult::Failed(format!("the daemon ends, as it received {signal}")));
            if self.router.running().is_none() {
                self.start_router();
            }
        }
        self.step(Event::Asked);
    }

    fn reload(&mut self) {
        tracing::info!("received SIGHUP: reading the configuration again");
        let serving = self.life.shutdown.is_serving();
        if serving {
            self.life.manager.reloading();
        }
        let read = reload::read_again(&self.options);
        let error = read.as_ref().err().cloned();
        if let Ok(options) = read {
            self.hooks.programs = options.hooks;
            self.life.shutdown.limit = options.shutdown_limit;
            self.options.shutdown_limit = options.shutdown_limit;
            self.options.shared = options.shared;
            self.router.send(&Notice::Options(self.options.shared.clone()), &[]);
            self.router.send(&Notice::Hooks(self.hooks.of_apps()), &[]);
        }
        if serving {
            self.note_ready();
            // systemctl status shows it until the next reload.
            if let Some(error) = error {
                self.life.manager.status(&error);
            }
        }
    }

    /// Takes one step of the phase table.
    pub(crate) fn step(&mut self, event: Event) {
        let action = self.life.shutdown.step(event);
        self.router.ending = !self.life.shutdown.is_serving();
        match action {
            Action::Nothing => {}
            Action::Serve => self.serve(),
            Action::Abandon => {
                if let Some(caller) = self.life.caller.take() {
                    caller.failed("it received a signal to stop while it started");
                }
                self.hooks.kill_all();
            }
            Action::Part => {
                let programs = self.hooks.time_for(Hook::BeforeWatchdogShutdown);
                self.note_stopping(programs);
                self.run_own(Hook::BeforeWatchdogShutdown);
            }
            Action::Drain => self.drain(),
            Action::Stop => self.processes.stop_all(),
            Action::StopAndKillRouter => {
                tracing::warn!("the router has not finished in time and is killed");
                self.router.kill();
                self.processes.stop_all();
            }
            Action::Kill => self.kill_all(),
            Action::KillImpatiently => self.kill_impatiently(),
            // None when the operator asked twice, and none when nothing was served.
            Action::Conclude if self.life.shutdown.is_cut_short() => self.step(Event::ProgramsDone),
            Action::Conclude => self.run_own(Hook::AfterWatchdogShutdown),
        }
    }

    /// Notifies the service manager of the maximum duration of `programs` and of all that follows them.
    fn note_stopping(&self, programs: Duration) {
        let last = self.hooks.time_for(Hook::AfterWatchdogShutdown);
        self.life.manager.stopping(programs + self.life.shutdown.time_to_end(last));
    }

    fn drain(&mut self) {
        let limit = self.life.shutdown.limit.as_secs();
        tracing::info!("shutting down: requests and processes have {limit} seconds to end");
        self.note_stopping(Duration::ZERO);
        self.router.cancel_start();
        if self.router.running().is_some() {
            self.router.send(&Notice::ShutDown { limit }, &[]);
        } else {
            self.step(Event::RouterGone);
        }
    }

    fn kill_all(&mut self) {
        self.router.kill();
        self.hooks.kill_all();
        self.processes.kill_all();
    }

    /// Kills everything because the operator asked twice, or because the supervisor cannot wait for events.
    pub(crate) fn kill_impatiently(&mut self) {
        self.life.shutdown.impatient = true;
        self.kill_all();
    }

    pub(crate) fn check_alone(&mut self) {
        let left = self.processes.len() + self.starts.forks.len() + self.hooks.len();
        if left == 0 && self.router.running().is_none() {
            self.step(Event::Alone);
        }
    }

    /// Runs the operator's programs of one of the daemon's own hooks, whose end is an event.
    fn run_own(&mut self, hook: Hook) {
        let finished = self.hooks.begin_own(hook);
        self.programs_finished(finished);
    }

    /// Continues after the last program of a hook.
    pub(crate) fn programs_finished(&mut self, finished: Option<Finished>) {
        let Some(Finished { incident, failure }) = finished else { return };
        match (incident.hook, failure) {
            (hook, _) if !hook.is_of_the_daemon() => {
                if let Some(process) = hooks::kill_afterwards(&incident) {
                    self.processes.stop(process, StopHow::Kill);
                }
            }
            (Hook::BeforeWatchdogInitialization, Some(why)) => self.refuse_to_start(&why),
            (Hook::AfterWatchdogInitialization, _) => {}
            _ => self.step(Event::ProgramsDone),
        }
    }

    /// Removes everything except, possibly, processes stuck in the kernel.
    pub(crate) fn close(self) -> ExitCode {
        self.stat_workers.end();
        for process in self.processes.iter() {
            tracing::error!("{} cannot be killed and is left behind", process.name());
        }
        self.nginx.socket.remove();
        self.life.pid_file.into_iter().for_each(PidFile::remove);
        if let Err(why) = self.instance.remove() {
            tracing::warn!("cannot remove the instance directory: {why}");
        }
        tracing::info!("the daemon has ended");
        writer::finish(LAST_LINES);
        // The log writer was in the daemon's own group.
        if let Some(cgroups) = self.starts.launcher.cgroups {
            cgroups.dissolve();
        }
        self.life.shutdown.exit_code()
    }
}

/// Upgrade.
impl Supervisor {
    /// Starts an upgrade: asks the router to finish, if there is a program that can take over.
    fn begin_upgrade(&mut self) {
        tracing::info!("received SIGUSR2: upgrading");
        self.life.upgrade.set_attempts(self.life.upgrade.attempts().saturating_add(1));
        if self.life.upgrade.is_in_progress() || !self.life.shutdown.is_settled() {
            let why = "the daemon is starting, stopping or already upgrading";
            tracing::warn!("upgrade ignored: {why}");
            return self.report_upgrade(UpgradeResult::Failed(why.to_owned()));
        }
        if let Err(why) = self.life.upgrade.check_successor(&self.options) {
            tracing::error!("upgrade refused: {why}");
            return self.report_upgrade(UpgradeResult::Failed(why));
        }
        self.report_upgrade(UpgradeResult::InProgress);
        self.life.manager.reloading();
        let limit = self.life.shutdown.limit;
        self.life.upgrade.begin(limit);
        self.router.cancel_start();
        self.router.send(&Notice::Retire { limit: limit.as_secs() }, &[]);
    }

    fn report_upgrade(&self, result: UpgradeResult) {
        self.life.upgrade.report(result).publish(&self.instance);
    }

    /// Handles the timeout of the router, or of the programs of hooks.
    pub(crate) fn check_upgrade(&mut self, now: Instant) {
        if !self.life.upgrade.is_overdue(now) {
            return;
        }
        if self.router.running().is_some() {
            tracing::warn!("the router has not finished in time and is killed");
            self.router.kill();
        } else if self.hooks.len() > 0 {
            let count = self.hooks.len();
            tracing::warn!("killing {count} hook programs, as requests wait for the upgrade");
            self.hooks.kill_running();
        }
    }

    /// Hands everything over when nothing is in progress that the next program could not continue.
    pub(crate) fn upgrade_when_quiet(&mut self) {
        let busy = self.starts.forks.len() + self.hooks.len() > 0 || self.router.running().is_some();
        if !self.life.upgrade.is_in_progress() || busy {
            return;
        }
        let Err(why) = self.life.upgrade.execute(&self.options, |writer| self.pack(writer));
        tracing::error!("the upgrade failed, and this program continues: {why}");
        self.report_upgrade(UpgradeResult::Failed(why.to_string()));
        self.life.upgrade.cancel();
        self.start_router();
        self.note_ready();
    }

    /// Packs everything for the next program.
    fn pack(&self, writer: &mut HandoverWriter) -> io::Result<State> {
        let (last_process, processes) = self.processes.pack(writer)?;
        let kept = self.router.kept.clone();
        Ok(State {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            log: self.log.pack(writer)?,
            originals: self.starts.launcher.originals.clone(),
            instance: self.instance.pack(writer)?,
            tools: writer.pack(&self.router.tools)?,
            nginx: self.nginx.socket.pack(writer)?,
            pid_file: self.life.pid_file.as_ref().map(|file| file.pack(writer)).transpose()?,
            last_process,
            processes,
            cgroups: self.starts.launcher.cgroups.as_ref().map(|cgroups| cgroups.own.clone()),
            upgrades: self.life.upgrade.attempts(),
            globals: kept.globals,
            app_prefix: Some(kept.app_prefix),
            overridden: kept.overridden,
            app_modes: kept.app_modes,
            routers: self.router.generation,
        })
    }
}
