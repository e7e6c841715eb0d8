//! Execution or refusal of the router's orders. It may request anything, but does not alone decide an app's user.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::time::Instant;

use nix::unistd::Uid;

use super::log_limits::Topic;
use crate::Supervisor;
use crate::lifecycle::phase::Event;
use crate::processes::{Process, Stage};
use crate::spawn::{Launched, ResolvedApp};
use crate::stat_workers::file_checks::shortened;
use common::link::{Address, AppMode, MOST_REVISION, Notice, Order, ProcessId, SpawnSpec, StopHow, Ticket};
use common::sys::descriptors;

/// Descriptors not available to processes: the next router, a log that is reopened, and hooks need some.
const RESERVED: u64 = 24;

impl Supervisor {
    pub(super) fn carry_out(&mut self, order: Order) {
        match order {
            Order::Spawn { ticket, spec } => self.check_before_spawn(ticket, spec),
            Order::Fork { ticket, preloader, within_ms, memo } => {
                self.check_before_fork(ticket, preloader, within_ms, memo);
            }
            Order::MarkReady { process, at_once, revision } => self.mark_ready(process, at_once, revision),
            Order::Admit(process) => self.admit_router(process),
            Order::Stop(process, how) => self.stop(process, how),
            Order::LookAtRestartFiles { ticket, dir } => self.check_restart_files(ticket, dir),
            Order::Measure { ticket, processes } => self.measure(ticket, processes),
            Order::Adjust(adjustment) => self.adjust(*adjustment),
            Order::Happened(incident) => self.happened(incident),
            Order::SetAppMode { app, mode } => self.keep_app_mode(app, mode),
            Order::OpenAppLog { ticket, process, path } => self.want_app_log(ticket, process, path),
            Order::ReopenLog { ticket } => {
                let failure = self.reopen_log().err();
                self.tell_router(&Notice::LogReopened { ticket, failure }, &[]);
            }
            // Its arrival is enough; see [`Supervisor::hear_router`].
            Order::Pong => {}
            Order::Finished => self.router_finished(),
        }
    }

    /// Starts a process of an app that has been resolved.
    pub(crate) fn spawn(&mut self, ticket: Ticket, spec: &SpawnSpec, resolved: ResolvedApp) {
        if let Err(reason) = self.try_spawn(ticket, spec, resolved) {
            self.not_spawned(ticket, &spec.group, reason);
        }
    }

    pub(crate) fn not_spawned(&mut self, ticket: Ticket, group: &str, reason: String) {
        // The router logs it as often as it considers appropriate.
        tracing::debug!("no process of {group} is started: {reason}");
        self.tell_router(&Notice::NotStarted { ticket, reason }, &[]);
    }

    fn try_spawn(&mut self, ticket: Ticket, spec: &SpawnSpec, resolved: ResolvedApp) -> Result<(), String> {
        self.check_room()?;
        let id = self.processes.new_id();
        let processes = &self.processes;
        let taken = |port| processes.has_port(port);
        let launched = self.launcher.launch(spec, resolved, id, &self.instance, taken).map_err(|why| {
            // It may have been created before the step that failed; if not, there is nothing to remove.
            let _ = self.instance.remove_app_socket(id);
            why.to_string()
        })?;
        self.enter(Some(ticket), launched, spec.group.clone())
    }

    /// Checks that one more process may be started.
    pub(crate) fn check_room(&self) -> Result<(), String> {
        if !self.shutdown.is_serving() {
            return Err("the daemon is shutting down".to_owned());
        }
        let processes = self.processes.len() + self.forks.len();
        if processes >= self.most_processes() {
            return Err(format!("{processes} processes are too many"));
        }
        match descriptors::left() {
            Ok(left) if left >= RESERVED => Ok(()),
            Ok(_) => {
                Err("the daemon has no descriptors left for another process (--core-file-descriptor-ulimit, \
                          systemd's LimitNOFILE=)"
                    .to_owned())
            }
            Err(why) => Err(format!("the daemon's descriptors cannot be counted: {why}")),
        }
    }

    /// Adds a process to the table and notifies the router if it has ordered the process.
    pub(crate) fn enter(
        &mut self,
        ticket: Option<Ticket>,
        launched: Launched,
        group: String,
    ) -> Result<(), String> {
        let (mut process, report) = Process::new(launched, group);
        tracing::debug!("{} started as {}", process.name(), process.record.user.name);
        let id = process.record.process;
        process.announced = ticket.is_some();
        let started = ticket.map(|ticket| Notice::Started { ticket, record: process.record.clone() });
        process.record.environment = BTreeMap::new();
        let output = process.output.try_clone();
        self.processes.insert(process);
        match (output, started) {
            (Ok(output), Some(started)) => self.tell_router(&started, &[output.as_fd(), report.as_fd()]),
            (Ok(_), None) => {}
            (Err(why), _) => {
                self.stop(id, StopHow::Kill);
                return Err(format!("its output pipe cannot be shared: {why}"));
            }
        }
        Ok(())
    }

    /// Returns the maximum number of processes, for a router that does not respect the pool's size. During restarts,
    /// old processes run beside new ones.
    fn most_processes(&self) -> usize {
        self.max_pool_size.saturating_mul(4).saturating_add(32)
    }

    fn mark_ready(&mut self, process: ProcessId, at_once: Option<u32>, revision: Option<String>) {
        match self.processes.get_mut(process) {
            Some(process) if process.stage == Stage::Starting => {
                process.stage = Stage::Ready;
                process.record.at_once = at_once;
                // It is displayed, and a router may send anything.
                process.record.revision = revision.filter(|revision| revision.len() <= MOST_REVISION);
            }
            // It has ended meanwhile or is being stopped.
            Some(_) | None => {}
        }
    }

    fn admit_router(&mut self, process: ProcessId) {
        let Some(record) = self.processes.get_mut(process).map(|process| &process.record) else { return };
        if !matches!(record.address, Address::Own(_)) {
            return;
        }
        if let Err(why) = self.instance.admit_router(process, Uid::from_raw(record.user.uid)) {
            tracing::debug!("the socket of process {} stays as it is: {why}", record.pid);
        }
    }

    pub(crate) fn stop(&mut self, process: ProcessId, how: StopHow) {
        // A process that is not in the table has ended; the notice to the router is on its way.
        if let Some(process) = self.processes.get_mut(process) {
            process.stop(how);
        }
    }

    fn keep_app_mode(&mut self, app: String, mode: AppMode) {
        let name = shortened(&app);
        if let Err(why) = self.app_modes.keep(app, mode)
            && self.log_limits.admit(Topic::Bounds, Instant::now())
        {
            tracing::error!("maintenance state of app {name} will be lost when the router restarts: {why}");
        }
    }

    fn router_finished(&mut self) {
        if self.shutdown.is_serving() && !self.upgrade.is_under_way() {
            tracing::error!("the router says that it has finished, which nobody asked for");
        }
        if let Some(router) = self.routers.running_mut() {
            router.leaves();
        }
        self.step(Event::RouterGone);
    }
}
