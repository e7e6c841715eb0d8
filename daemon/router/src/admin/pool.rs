//! The pool at one moment, in words and numbers: what the tools show.

use std::time::Instant;

use protocol::settings::{Settings, Value};
use serde::Serialize;

use super::super::pool::{Concurrency, Deployment, GroupId, Pool, Process, Slot, State};
use super::caller::Caller;
use super::times::Times;
use crate::app::route::Route;
use crate::dispatch::worker::Worker;
use crate::options::{EffectiveOption, Globals, Source};
use crate::state::RouterState;
use crate::watch::usage::Usages;
use common::link::Address;
use common::sys::clock;

/// Everything the caller may see.
#[derive(Debug, Serialize)]
pub(super) struct Snapshot {
    pub(super) version: &'static str,
    pub(super) instance: String,
    pub(super) max_pool_size: usize,
    pub(super) capacity_used: usize,
    /// What is wrong with the daemon itself; for who sees everything.
    pub(super) troubles: Vec<TroubleView>,
    /// The daemon's options that nginx may set too; for who sees everything.
    pub(super) options: Vec<OptionView>,
    /// What holds for apps where nginx says nothing; for who sees everything.
    pub(super) app_defaults: Vec<OptionView>,
    /// What nginx sets for the daemon as a whole, and this release does nothing with.
    pub(super) ignored_directives: Vec<SettingView>,
    pub(super) groups: Vec<GroupView>,
    /// The same groups' numbers.
    #[serde(skip)]
    pub(super) ids: Vec<GroupId>,
}

/// Something that is wrong.
#[derive(Debug, Serialize)]
pub(super) struct TroubleView {
    pub(super) what: String,
    /// For how many seconds, when that is known.
    pub(super) seconds: Option<u64>,
}

/// One of the daemon's options.
#[derive(Debug, Serialize)]
pub(super) struct OptionView {
    pub(super) name: String,
    pub(super) value: serde_json::Value,
    pub(super) source: Source,
}

/// What nginx's configuration says of one thing.
#[derive(Debug, Serialize)]
pub(super) struct SettingView {
    pub(super) name: String,
    pub(super) value: serde_json::Value,
}

/// One app.
#[derive(Debug, Serialize)]
pub(super) struct GroupView {
    pub(super) name: String,
    pub(super) app_root: String,
    pub(super) app_type: &'static str,
    /// The command of a generic app; otherwise empty.
    pub(super) start_command: String,
    pub(super) environment: String,
    pub(super) queue: usize,
    pub(super) spawning: usize,
    pub(super) min_instances: usize,
    pub(super) max_request_queue_size: usize,
    pub(super) restarts: u64,
    /// `settled`, `rolling` while processes are replaced, `resisting` after a new version that did not start.
    pub(super) deployment: &'static str,
    /// `open`, `paused` or `maintenance`, as an administrator has said.
    pub(super) mode: &'static str,
    /// The PID of the process that its processes are forked from; `null` when there is none.
    pub(super) preloader: Option<i32>,
    /// How long things take there.
    pub(super) times: Times,
    /// Its settings as nginx sends them.
    pub(super) settings: Vec<SettingView>,
    pub(super) processes: Vec<ProcessView>,
}

/// One process.
#[derive(Debug, Serialize)]
pub(super) struct ProcessView {
    pub(super) pid: i32,
    pub(super) state: &'static str,
    /// It belongs to a version that is being replaced.
    pub(super) outdated: bool,
    pub(super) user: String,
    /// The revision of its code, when the app's directory tells one.
    pub(super) code_revision: Option<String>,
    pub(super) sessions: usize,
    /// Requests it takes at a time; `null` for any number.
    pub(super) concurrency: Option<usize>,
    pub(super) processed: u64,
    /// Seconds since it was started.
    pub(super) uptime: u64,
    /// Seconds since its last request began or ended.
    pub(super) last_used: u64,
    /// Share of one core since it was started, in percent.
    pub(super) cpu: u64,
    /// Time of processors since it was started, in milliseconds.
    pub(super) cpu_ms: u64,
    /// Private memory, in bytes.
    pub(super) memory: u64,
    /// Where it takes connections: `http://127.0.0.1:PORT`, or `unix:PATH`.
    #[serde(skip)]
    pub(super) url: String,
}

impl Snapshot {
    pub(super) fn take(router: &RouterState, caller: Caller) -> Self {
        Self::with(router, caller, |route| settings(&route.said()))
    }

    /// As [`Snapshot::take`], for who looks often, or may see no secrets.
    pub(super) fn without_settings(router: &RouterState, caller: Caller) -> Self {
        Self::with(router, caller, |_| Vec::new())
    }

    fn with(router: &RouterState, caller: Caller, settings_of: impl Fn(&Route) -> Vec<SettingView>) -> Self {
        let views = router.dispatcher.inspect(|pool, workers| {
            let groups = router.routes.groups().into_iter();
            let views = groups.filter_map(|(name, id)| {
                let processes: Vec<_> = pool
                    .group(id)
                    .members
                    .iter()
                    .filter_map(|slot| view(*slot, pool, workers.get(slot)?, &router.usages))
                    .collect();
                let mine = processes.iter().any(|(uid, _)| caller.sees(*uid));
                if !mine && !caller.sees_all() {
                    return None;
                }
                let route = router.dispatcher.route(id)?;
                let group = pool.group(id);
                let view = GroupView {
                    mode: router.app_modes.name_of(&name),
                    name,
                    app_root: route.root.to_string_lossy().into_owned(),
                    app_type: route.kind.as_str(),
                    start_command: route.start_command.clone(),
                    environment: route.settings.app_env.clone(),
                    queue: group.waiting(),
                    spawning: group.starting(),
                    min_instances: group.options.min_instances,
                    max_request_queue_size: group.options.max_queue,
                    restarts: group.generation,
                    deployment: deployment(group.deployment),
                    preloader: router.spawner.preloader_of(id),
                    times: Times::of(&router.dispatcher.metrics(id)),
                    settings: settings_of(&route),
                    processes: processes.into_iter().map(|(_, view)| view).collect(),
                };
                Some((view, id))
            });
            (pool.limits().max_processes, pool.capacity_used(), views.unzip())
        });
        let (max_pool_size, capacity_used, (groups, ids)): (_, _, (Vec<_>, Vec<_>)) = views;
        let instance = router.config.instance_name.clone();
        let globals = caller.sees_all().then_some(&router.globals);
        Self {
            version: env!("CARGO_PKG_VERSION"),
            instance,
            max_pool_size,
            capacity_used,
            troubles: if caller.sees_all() { troubles(router) } else { Vec::new() },
            options: globals.map(options).unwrap_or_default(),
            app_defaults: globals.map(|_| app_defaults(router)).unwrap_or_default(),
            ignored_directives: globals
                .map(|globals| settings(&globals.ignored_directives()))
                .unwrap_or_default(),
            groups,
            ids,
        }
    }

    /// Processes of all groups that are listed.
    pub(super) fn process_count(&self) -> usize {
        self.groups.iter().map(|group| group.processes.len()).sum()
    }
}

fn troubles(router: &RouterState) -> Vec<TroubleView> {
    let all = router.troubles.list().into_iter();
    all.map(|(what, seconds)| TroubleView { what, seconds: Some(seconds) }).collect()
}

fn options(globals: &Globals) -> Vec<OptionView> {
    let effective = globals.effective().into_iter();
    effective
        .map(|EffectiveOption { name, value, source }| OptionView { name, value: json(&value), source })
        .collect()
}

fn app_defaults(router: &RouterState) -> Vec<OptionView> {
    let given = router.config.app_defaults.iter();
    given
        .map(|default| OptionView {
            name: default.name.clone(),
            value: json(&default.value),
            source: default.given.into(),
        })
        .collect()
}

fn settings(settings: &Settings) -> Vec<SettingView> {
    settings.iter().map(|(name, value)| SettingView { name: name.to_owned(), value: json(value) }).collect()
}

fn json(value: &Value) -> serde_json::Value {
    match value {
        Value::Flag(flag) => (*flag).into(),
        Value::Number(number) => (*number).into(),
        Value::Text(text) => text.as_str().into(),
        Value::List(all) => all.clone().into(),
        Value::Map(all) => all.iter().map(|(name, value)| vec![name.clone(), value.clone()]).collect(),
    }
}

fn view(slot: Slot, pool: &Pool, worker: &Worker, usages: &Usages) -> Option<(u32, ProcessView)> {
    let process = pool.process(slot)?;
    let uptime = clock::steady_ms().saturating_sub(worker.record.started_ms) / 1000;
    let usage = usages.of(worker.record.pid);
    let view = ProcessView {
        pid: worker.record.pid,
        state: state(process),
        outdated: process.generation < pool.group(process.group).generation,
        user: worker.record.user.name.clone(),
        code_revision: worker.record.revision.clone(),
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
    };
    Some((worker.record.user.uid, view))
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
