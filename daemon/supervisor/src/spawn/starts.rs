//! The start of a process, in the order of its steps: an order of the router, the check that a stat worker performs, and
//! then a child that is launched or forked from a preloader, and its entry in the table of processes.
//!
//! The outcome of each step is returned: a check to request, or an answer for the router. The router may request
//! anything, but does not alone decide an app's user.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::unistd::{self, Pid};

use super::forks::{Fork, Forks, Hello, hand_over};
use super::precheck::{Precheck, ResolvedApp};
use super::{Launched, Launcher, Policy, Ports, inherited};
use crate::cgroups::{Cgroup, Cgroups};
use crate::lifecycle::rlimits::Originals;
use crate::processes::{Process, Processes, Stage};
use common::config::shared::Values;
use common::config::{Options, UserOptions};
use common::instance::Instance;
use common::link::{Notice, ProcessId, SpawnSpec, StopHow, Ticket};
use common::sys::descriptors;
use common::sys::process::Child;

/// Descriptors not available to processes: the next router, a log that is reopened, and hooks need some.
const RESERVED: u64 = 24;
/// Longest time for a fork, even when the router would wait longer.
const MAX_FORK_TIME: Duration = Duration::from_secs(3600);
/// Maximum number of remembered warnings about apps, each of which is logged once.
const MAX_WARNINGS: usize = 1024;

/// All starts in progress, and what they need.
#[derive(Debug)]
pub(crate) struct Starts {
    pub(crate) launcher: Launcher,
    pub(crate) forks: Forks,
    /// Maximum number of app processes at a time, as sent by the router.
    pub(crate) max_pool_size: usize,
    /// Warnings about apps that have been logged.
    warnings: BTreeSet<String>,
}

/// The parts of the daemon that a start changes.
pub(crate) struct Context<'a> {
    pub(crate) processes: &'a mut Processes,
    pub(crate) instance: &'a Instance,
    /// Whether requests are served.
    pub(crate) serving: bool,
}

/// A process that a preloader is to fork.
#[derive(Debug)]
pub(crate) struct ForkOrder {
    pub(crate) preloader: ProcessId,
    /// When it must be forked.
    pub(crate) due: Instant,
    pub(crate) handover_data: Vec<u8>,
}

impl ForkOrder {
    pub(crate) fn new(preloader: ProcessId, within_ms: u64, handover_data: Vec<u8>) -> Self {
        let due = Instant::now() + Duration::from_millis(within_ms).min(MAX_FORK_TIME);
        Self { preloader, due, handover_data }
    }
}

/// A notice for the router, with its descriptors.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) notice: Notice,
    pub(crate) descriptors: Vec<OwnedFd>,
}

impl Reply {
    /// The answer to an order for which no process is started.
    pub(crate) fn not_spawned(ticket: Ticket, group: &str, reason: String) -> Self {
        // The router logs it as often as it considers appropriate.
        tracing::debug!("no process of {group} is started: {reason}");
        Self::not_started(ticket, reason)
    }

    fn not_started(ticket: Ticket, reason: String) -> Self {
        Self { notice: Notice::NotStarted { ticket, reason }, descriptors: Vec::new() }
    }
}

/// Checks before a start.
impl Starts {
    pub(crate) fn new(options: &Options, originals: Originals, cgroups: Option<Cgroups>) -> Self {
        let max_pool_size = Values(&options.shared).number("max_pool_size");
        Self {
            launcher: Launcher {
                users: options.users.clone(),
                wanted_users: None,
                policy: policy(options),
                loaders: options.loaders.clone(),
                native_support: options.native_support.clone(),
                env_dir: options.env_dir.clone(),
                environment: inherited(std::env::vars_os(), options.pass_env.as_deref()),
                originals,
                ports: Ports::new(),
                cgroups,
            },
            forks: Forks::default(),
            max_pool_size: usize::try_from(max_pool_size).unwrap_or(usize::MAX),
            warnings: BTreeSet::new(),
        }
    }

    /// Returns the check before a process of `spec` is started.
    pub(crate) fn precheck(&self, spec: &SpawnSpec) -> Result<Precheck, String> {
        Precheck::about(spec, &self.launcher).map_err(|why| why.to_string())
    }

    /// Returns the check before a process is forked, as the settings or the startup file's owner may have changed since
    /// the preloader was started; `None` for a preloader that has ended.
    pub(crate) fn precheck_fork(&self, order: &ForkOrder, processes: &mut Processes) -> Option<Precheck> {
        let control = processes.get_mut(order.preloader)?.control()?;
        Precheck::about(&control.spec, &self.launcher).ok()
    }

    /// Sets the default user and group. Only root can switch users, so otherwise the names have no effect. Returns
    /// whether they have to be checked, which may need the network; until then, each start checks the names itself.
    pub(crate) fn set_users(&mut self, users: UserOptions) -> bool {
        let check = unistd::geteuid().is_root() && users != self.launcher.users;
        if check {
            self.launcher.wanted_users = Some(users);
        } else {
            self.launcher.wanted_users = None;
            self.launcher.users = users;
        }
        check
    }

    /// Applies checked default users, unless others are requested meanwhile. Returns why they are not applied, with the
    /// users in effect.
    pub(crate) fn apply_users(
        &mut self,
        users: UserOptions,
        checked: Result<(), String>,
    ) -> Result<(), (String, UserOptions)> {
        if self.launcher.wanted_users.as_ref() != Some(&users) {
            return Ok(());
        }
        self.launcher.wanted_users = None;
        match checked {
            Ok(()) => {
                self.launcher.users = users;
                Ok(())
            }
            Err(why) => Err((why, self.launcher.users.clone())),
        }
    }

    /// Logs a warning about an app, once in the life of the daemon.
    pub(crate) fn warn_once(&mut self, app: &str, warning: String) {
        if self.warnings.len() < MAX_WARNINGS && self.warnings.insert(warning.clone()) {
            tracing::warn!("{app}: {warning}");
        }
    }

    /// Checks that one more process may be started.
    fn check_room(&self, context: &Context<'_>) -> Result<(), String> {
        if !context.serving {
            return Err("the daemon is shutting down".to_owned());
        }
        // For a router that does not respect the pool's size. During restarts, old processes run beside new ones.
        let most = self.max_pool_size.saturating_mul(4).saturating_add(32);
        let processes = context.processes.len() + self.forks.len();
        if processes >= most {
            return Err(format!("the maximum number of processes is reached: {processes}"));
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
}

/// Starts.
impl Starts {
    /// Starts a process of an app that has been checked.
    pub(crate) fn spawn(
        &mut self,
        ticket: Ticket,
        spec: &SpawnSpec,
        resolved: ResolvedApp,
        context: &mut Context<'_>,
    ) -> Option<Reply> {
        for warning in resolved.warnings() {
            self.warn_once(&spec.group, warning);
        }
        let launched = self.check_room(context).and_then(|()| self.launch(spec, resolved, context));
        let entered = launched
            .and_then(|launched| enter(Some(ticket), launched, spec.group.clone(), context.processes));
        entered.unwrap_or_else(|reason| Some(Reply::not_spawned(ticket, &spec.group, reason)))
    }

    fn launch(
        &mut self,
        spec: &SpawnSpec,
        resolved: ResolvedApp,
        context: &mut Context<'_>,
    ) -> Result<Launched, String> {
        let Context { processes, instance, .. } = context;
        let id = processes.new_id();
        let taken = |port| processes.has_port(port);
        self.launcher.launch(spec, resolved, id, instance, taken).map_err(|why| {
            // It may have been created before the step that failed; if not, there is nothing to remove.
            let _ = instance.remove_app_socket(id);
            why.to_string()
        })
    }

    /// Has a process forked. It runs as its preloader's user; when this is no longer the app's user, none is forked.
    pub(crate) fn fork(
        &mut self,
        ticket: Ticket,
        order: ForkOrder,
        resolved: Option<&ResolvedApp>,
        context: &mut Context<'_>,
    ) -> Option<Reply> {
        let reason = self.try_fork(ticket, order, resolved, context).err()?;
        tracing::warn!("no process is forked: {reason}");
        Some(Reply::not_started(ticket, reason))
    }

    fn try_fork(
        &mut self,
        ticket: Ticket,
        order: ForkOrder,
        resolved: Option<&ResolvedApp>,
        context: &mut Context<'_>,
    ) -> Result<(), String> {
        let ForkOrder { preloader, due, handover_data } = order;
        // The preloader did not cause the delay, so it is not sent the order.
        if due <= Instant::now() {
            return Err("the app's user was not determined in time".to_owned());
        }
        self.check_room(context)?;
        let id = context.processes.new_id();
        let parent = context.processes.get_mut(preloader).ok_or("its preloader has ended")?;
        let control = parent.control().ok_or("it is not a preloader")?;
        if parent.stage != Stage::Ready {
            return Err("its preloader is not ready".to_owned());
        }
        if let Some(user) = resolved.map(ResolvedApp::user).filter(|user| **user != parent.record.user) {
            parent.stop(StopHow::Gracefully);
            return Err(format!(
                "its preloader runs as {}, and the app as {}",
                parent.record.user.name, user.name
            ));
        }
        let handover = hand_over(control.socket.as_fd(), id, context.instance).map_err(|why| {
            // It may have been created before the step that failed; if not, there is nothing to remove.
            let _ = context.instance.remove_app_socket(id);
            why.to_string()
        })?;
        let (group, user) = (parent.group.clone(), parent.record.user.clone());
        self.forks
            .0
            .insert(id, Fork { ticket: Some(ticket), preloader, group, user, handover_data, handover, due });
        Ok(())
    }

    /// Receives every hello that has arrived.
    pub(crate) fn receive_hellos(
        &mut self,
        context: &mut Context<'_>,
        is_known: impl Fn(Pid) -> bool,
    ) -> Vec<Reply> {
        let all: Vec<ProcessId> = self.forks.0.keys().copied().collect();
        all.into_iter().filter_map(|id| self.receive_hello(id, context, &is_known)).collect()
    }

    /// Receives the hello of one process. `is_known` returns whether a PID is that of the daemon's other children.
    pub(crate) fn receive_hello(
        &mut self,
        id: ProcessId,
        context: &mut Context<'_>,
        is_known: impl Fn(Pid) -> bool,
    ) -> Option<Reply> {
        let fork = self.forks.0.get(&id)?;
        match fork.receive_hello() {
            Hello::NotYet => None,
            Hello::End => {
                self.not_forked(id, "its preloader ended before it forked, or could not fork", context)
            }
            Hello::Invalid => self.refuse_fork(id, "sent an invalid hello", context),
            Hello::From(sender) => {
                let known = |pid| is_known(pid) || context.processes.has_pid(pid);
                match fork.child(sender, known) {
                    Ok(child) => self.forked(id, child, context),
                    Err(why) => self.refuse_fork(id, &why, context),
                }
            }
        }
    }

    fn forked(&mut self, id: ProcessId, child: Child, context: &mut Context<'_>) -> Option<Reply> {
        let fork = self.forks.0.remove(&id)?;
        let (ticket, group) = (fork.ticket, fork.group.clone());
        let cgroup = self.cgroup_of_fork(id, &fork, &child, context.processes);
        let entered = enter(ticket, fork.launched(id, child, cgroup), group, context.processes);
        if ticket.is_none() || !context.serving {
            context.processes.stop(id, StopHow::Kill);
        }
        entered.unwrap_or_else(|reason| ticket.map(|ticket| Reply::not_started(ticket, reason)))
    }

    /// Moves it from its preloader's control group into its own, with the same limits.
    fn cgroup_of_fork(
        &mut self,
        id: ProcessId,
        fork: &Fork,
        child: &Child,
        processes: &mut Processes,
    ) -> Option<Cgroup> {
        let limits =
            common::link::CgroupLimits::from(&processes.get_mut(fork.preloader)?.control()?.spec.settings);
        let made = self.launcher.cgroup(&fork.group, id, limits).map_err(|why| why.to_string());
        let cgroup = made.inspect_err(|why| tracing::error!("process {}: {why}", child.pid())).ok()??;
        if let Err(why) = cgroup.admit(child.pid()) {
            tracing::warn!("process {} stays in the control group of its preloader: {why}", child.pid());
        }
        Some(cgroup)
    }

    /// Refuses a fork that violates the protocol: its preloader is not trusted to fork another one.
    fn refuse_fork(&mut self, id: ProcessId, why: &str, context: &mut Context<'_>) -> Option<Reply> {
        if let Some(name) = self.kill_preloader_of(id, context.processes) {
            tracing::error!("{name} is killed: the process that it was to fork {why}");
        }
        self.not_forked(id, &format!("the process that its preloader forked {why}"), context)
    }

    fn kill_preloader_of(&mut self, id: ProcessId, processes: &mut Processes) -> Option<String> {
        let preloader = processes.get_mut(self.forks.0.get(&id)?.preloader)?;
        preloader.stop(StopHow::Kill);
        Some(preloader.name())
    }

    fn not_forked(&mut self, id: ProcessId, reason: &str, context: &mut Context<'_>) -> Option<Reply> {
        let fork = self.forks.0.remove(&id)?;
        if let Err(why) = context.instance.remove_app_socket(id) {
            tracing::warn!("the socket of a process that was not forked cannot be removed: {why}");
        }
        tracing::warn!("no process of {} is forked: {reason}", fork.group);
        fork.ticket.map(|ticket| Reply::not_started(ticket, reason.to_owned()))
    }

    /// Kills preloaders that did not fork in time, as they are stuck.
    pub(crate) fn give_up_overdue_forks(&mut self, now: Instant, context: &mut Context<'_>) -> Vec<Reply> {
        let mut replies = Vec::new();
        for id in self.forks.overdue(now) {
            if let Some(name) = self.kill_preloader_of(id, context.processes) {
                tracing::error!("{name} is killed, as it did not fork in time");
            }
            replies.extend(self.not_forked(id, "its preloader did not fork in time", context));
        }
        replies
    }
}

/// Returns what no app may access.
fn policy(options: &Options) -> Policy {
    let values = Values(&options.shared);
    let default_group = values.given("default_group").then(|| values.text("default_group").to_owned());
    Policy {
        sockets: vec![options.socket.path.clone()],
        router: options.router_user.as_ref().map(|user| (user.uid.as_raw(), user.gid.as_raw())),
        allowed: options.allowed.clone(),
        default_group,
    }
}

/// Adds a process to the table. Returns the notice for the router, if it has ordered the process.
fn enter(
    ticket: Option<Ticket>,
    launched: Launched,
    group: String,
    processes: &mut Processes,
) -> Result<Option<Reply>, String> {
    let (mut process, report) = Process::new(launched, group);
    tracing::debug!("{} started as {}", process.name(), process.record.user.name);
    let id = process.record.process;
    process.announced = ticket.is_some();
    let notice = ticket.map(|ticket| Notice::Started { ticket, record: process.record.clone() });
    process.record.environment = BTreeMap::new();
    let output = process.output.try_clone();
    processes.insert(process);
    match output {
        Ok(output) => Ok(notice.map(|notice| Reply { notice, descriptors: vec![output, report] })),
        Err(why) => {
            processes.stop(id, StopHow::Kill);
            Err(format!("its output pipe cannot be shared: {why}"))
        }
    }
}
