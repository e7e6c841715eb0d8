//! Snapshot of the pool, as the tools show it.

use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;

use super::super::pool::{
    ByNumber, Concurrency, Deployment, Group, GroupId, GroupOptions, Pool, Process, Slot, State,
};
use super::caller::{Caller, Scope};
use super::settings::{OptionView, Secrets, SettingView};
use super::times::Times;
use crate::app::route::Route;
use crate::dispatch::worker::Worker;
use crate::metrics::problems::CurrentProblem;
use crate::options::EffectiveOption;
use crate::state::RouterState;
use crate::watch::usage::Usages;
use common::config::AppDefault;
use common::link::Address;
use common::sys::clock;

/// Everything the caller may see.
#[derive(Debug, Serialize)]
pub(super) struct Snapshot {
    pub(super) version: &'static str,
    pub(super) instance: String,
    /// Whether `groups` lists all apps, or only those of the caller.
    pub(super) scope: Scope,
    pub(super) max_pool_size: usize,
    pub(super) capacity_used: usize,
    /// Current problems of the daemon itself; only for callers that may see everything.
    pub(super) problems: Vec<CurrentProblem>,
    /// The daemon's options that nginx can set too; only for callers that may see everything.
    pub(super) options: Vec<OptionView>,
    /// The defaults of apps where nginx sets nothing; only for callers that may see everything.
    pub(super) app_defaults: Vec<OptionView>,
    /// Settings of nginx for the daemon as a whole that this release ignores.
    pub(super) ignored_directives: Vec<SettingView>,
    pub(super) groups: Vec<GroupView>,
    /// IDs of the same groups.
    #[serde(skip)]
    pub(super) ids: Vec<GroupId>,
}

/// One app.
#[derive(Debug, Serialize)]
pub(super) struct GroupView {
    pub(super) name: String,
    pub(super) app_root: String,
    pub(super) app_type: &'static str,
    /// The command of a generic app; empty for other apps.
    pub(super) start_command: String,
    pub(super) environment: String,
    pub(super) queue: usize,
    pub(super) spawning: usize,
    pub(super) min_instances: usize,
    pub(super) max_request_queue_size: usize,
    pub(super) restarts: u64,
    /// Number of failed starts since the last successful one.
    pub(super) failing_starts: u32,
    /// Number of processes that ended to make room for other apps.
    pub(super) evictions: u64,
    /// Seconds since the last of them.
    pub(super) last_eviction: Option<u64>,
    /// `settled`, `rolling` while processes are replaced, `resisting` after a new version failed to start.
    pub(super) deployment: &'static str,
    /// `open`, `paused` or `maintenance`, as set by an administrator.
    pub(super) mode: &'static str,
    /// The PID of the preloader that forks the app's processes; `null` when there is none.
    pub(super) preloader: Option<i32>,
    /// Latencies of the app.
    pub(super) times: Times,
    /// The app's settings as sent by nginx.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) settings: Option<Vec<SettingView>>,
    pub(super) processes: Vec<ProcessView>,
}

/// One process.
#[derive(Debug, Serialize)]
pub(super) struct ProcessView {
    pub(super) pid: i32,
    pub(super) state: &'static str,
    /// Whether the process belongs to a version that is being replaced.
    pub(super) outdated: bool,
    pub(super) user: String,
    /// The revision of its code, when the app's directory contains one.
    pub(super) code_revision: Option<String>,
    /// Whether its loader uses native support: `yes`, or `no: ` and the reason; `null` for other apps.
    pub(super) native_support: Option<String>,
    pub(super) sessions: usize,
    /// Maximum number of concurrent requests; `null` for no limit.
    pub(super) concurrency: Option<usize>,
    pub(super) processed: u64,
    /// Seconds since the process started.
    pub(super) uptime: u64,
    /// Seconds since its last request began or ended.
    pub(super) last_used: u64,
    /// Average use of one core since the process started, in percent.
    pub(super) cpu: u64,
    /// CPU time since the process started, in milliseconds.
    pub(super) cpu_ms: u64,
    /// Private memory, in bytes.
    pub(super) memory: u64,
    /// The address the process listens on: `http://127.0.0.1:PORT` or `unix:PATH`.
    #[serde(skip)]
    pub(super) url: String,
}

impl Snapshot {
    pub(super) fn take(router: &RouterState, caller: Caller) -> Self {
        Self::with(router, caller, |route| Some(Secrets::of(caller).settings(&route.configured())))
    }

    /// As [`Snapshot::take`], for callers that poll, or must not see secrets.
    pub(super) fn without_settings(router: &RouterState, caller: Caller) -> Self {
        Self::with(router, caller, |_| None)
    }

    /// A snapshot of a pool without apps.
    #[cfg(test)]
    pub(super) fn empty(scope: Scope) -> Self {
        Self {
            version: "0",
            instance: "x".to_owned(),
            scope,
            max_pool_size: 0,
            capacity_used: 0,
            problems: Vec::new(),
            options: Vec::new(),
            app_defaults: Vec::new(),
            ignored_directives: Vec::new(),
            groups: Vec::new(),
            ids: Vec::new(),
        }
    }

    fn with(
        router: &RouterState,
        caller: Caller,
        settings_of: impl Fn(&Route) -> Option<Vec<SettingView>>,
    ) -> Self {
        let groups = router.routes.groups().into_iter();
        let views =
            groups.filter_map(|(name, id)| Some((group_view(router, caller, name, id, &settings_of)?, id)));
        let (groups, ids): (Vec<_>, Vec<_>) = views.unzip();
        let (max_pool_size, capacity_used) =
            router.dispatcher.inspect(|pool, _| (pool.limits().max_processes, pool.capacity_used()));
        let snapshot = Self {
            version: env!("CARGO_PKG_VERSION"),
            instance: router.config.instance_name.clone(),
            scope: caller.scope(),
            max_pool_size,
            capacity_used,
            problems: Vec::new(),
            options: Vec::new(),
            app_defaults: Vec::new(),
            ignored_directives: Vec::new(),
            groups,
            ids,
        };
        if caller.sees_all() { snapshot.with_daemon(router, Secrets::of(caller)) } else { snapshot }
    }

    /// Adds the state of the daemon as a whole.
    fn with_daemon(self, router: &RouterState, secrets: Secrets) -> Self {
        let effective = router.globals.effective().into_iter();
        let app_defaults = router.config.app_defaults.iter();
        Self {
            problems: router.problems.list(),
            options: effective
                .map(|EffectiveOption { name, value, source }| secrets.option(name, &value, source))
                .collect(),
            app_defaults: app_defaults
                .map(|AppDefault { name, value, given }| secrets.option(name.clone(), value, (*given).into()))
                .collect(),
            ignored_directives: secrets.settings(&router.globals.ignored_directives()),
            ..self
        }
    }

    /// Returns the number of processes of all listed groups.
    pub(super) fn process_count(&self) -> usize {
        self.groups.iter().map(|group| group.processes.len()).sum()
    }
}

/// A group as it was at one moment.
struct Seen {
    queue: usize,
    spawning: usize,
    options: GroupOptions,
    generation: u64,
    failures: u32,
    deployment: Deployment,
    processes: Vec<(Process, Arc<Worker>)>,
}

impl Seen {
    fn of(group: &Group, pool: &Pool, workers: &ByNumber<Slot, Arc<Worker>>) -> Self {
        let process = |slot: &Slot| Some((pool.process(*slot)?.clone(), workers.get(slot)?.clone()));
        Self {
            queue: group.waiting(),
            spawning: group.starting,
            options: group.options,
            generation: group.generation,
            failures: group.failures,
            deployment: group.deployment,
            processes: group.members.iter().filter_map(process).collect(),
        }
    }
}

/// Returns an app, if the caller may see it.
fn group_view(
    router: &RouterState,
    caller: Caller,
    name: String,
    id: GroupId,
    settings_of: &impl Fn(&Route) -> Option<Vec<SettingView>>,
) -> Option<GroupView> {
    let seen = router.dispatcher.inspect(|pool, workers| Seen::of(pool.group(id), pool, workers));
    let mine = seen.processes.iter().any(|(_, worker)| caller.sees(worker.record.user.uid));
    if !mine && !caller.sees_all() {
        return None;
    }
    let route = router.dispatcher.route(id)?;
    let metrics = router.dispatcher.metrics(id);
    let last_eviction = *metrics.last_evicted.lock();
    let view = |(process, worker): &(Process, Arc<Worker>)| {
        process_view(process, seen.generation, worker, &router.usages)
    };
    Some(GroupView {
        mode: router.app_modes.name_of(&name),
        name,
        app_root: route.root.to_string_lossy().into_owned(),
        app_type: route.kind.as_str(),
        start_command: Secrets::of(caller).text(route.command()),
        environment: route.settings.process.app_env.clone(),
        queue: seen.queue,
        spawning: seen.spawning,
        min_instances: seen.options.min_instances,
        max_request_queue_size: seen.options.max_queue,
        restarts: seen.generation,
        failing_starts: seen.failures,
        evictions: metrics.evicted.get(),
        last_eviction: last_eviction.map(|at| at.elapsed().as_secs()),
        deployment: deployment(seen.deployment),
        preloader: router.preloaders.pid_of(id),
        times: Times::of(&metrics),
        settings: settings_of(&route),
        processes: seen.processes.iter().map(view).collect(),
    })
}

fn process_view(process: &Process, generation: u64, worker: &Worker, usages: &Usages) -> ProcessView {
    let uptime = clock::steady_ms().saturating_sub(worker.record.started_ms) / 1000;
    let usage = usages.of(worker.record.pid);
    ProcessView {
        pid: worker.record.pid,
        state: state(process),
        outdated: process.generation < generation,
        user: worker.record.user.name.clone(),
        code_revision: worker.record.revision.clone(),
        native_support: worker.record.native.clone(),
        sessions: process.sessions,
        concurrency: match process.concurrency {
            Concurrency::Unlimited => None,
            Concurrency::At(most) => Some(most),
        },
        processed: process.processed,
        uptime,
        last_used: Instant::now().saturating_duration_since(process.last_used).as_secs(),
        cpu: usage.cpu_percent(uptime),
        cpu_ms: usage.cpu_ms,
        memory: usage.memory,
        url: url(&worker.record.address),
    }
}

fn url(address: &Address) -> String {
    match address {
        Address::Unix(path) | Address::Own(path) => format!("unix:{}", path.display()),
        Address::Tcp(port) => format!("http://127.0.0.1:{port}"),
        Address::Nowhere => "nowhere".to_owned(),
    }
}

fn state(process: &Process) -> &'static str {
    match process.state {
        State::Starting => "starting",
        State::Serving => "serving",
        State::Draining => "draining",
        State::Stopping => "stopping",
    }
}

fn deployment(deployment: Deployment) -> &'static str {
    match deployment {
        Deployment::Settled => "settled",
        Deployment::Rolling { .. } => "rolling",
        Deployment::Resisting => "resisting",
    }
}
