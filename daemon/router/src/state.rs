//! The shared state of the router: creates its parts and applies the configuration to them. `run.rs` starts the tasks.

use std::sync::Arc;

use protocol::globals::Globals as ReceivedGlobals;

use super::apps::Routes;
use super::apps::maintenance::AppModes;
use super::connections::ConnectionTracker;
use super::dispatch::Dispatcher;
use super::lock::Lock;
use super::metrics::active_requests::ActiveRequests;
use super::metrics::page_cache::PageCache;
use super::metrics::problems::Problems;
use super::nginx::incomplete_frames::Incomplete;
use super::nginx_conn::tunnel_share::Tunnels;
use super::options::Globals;
use super::output::log_file::LogFile;
use super::output::log_limit::LogLimit;
use super::response::BacklogOptions;
use super::spawn::ReadyPreloaders;
use super::spawn::hooks::Hooks;
use super::supervisor_link::Supervisor;
use super::watch::memory::MemoryMonitor;
use super::watch::restart_files::Restarts;
use super::watch::usage::Usages;
use common::config::DaemonOption;
use common::link::{Order, RouterConfig};
use common::log;

/// Maximum number of log messages a minute about requests that got no process: each client could cause one.
const REFUSALS_A_MINUTE: u32 = 300;
/// Maximum number of log messages a minute about uploads that were too slow.
const SLOW_UPLOADS_A_MINUTE: u32 = 10;

/// The shared state that every request uses, on every thread.
///
/// Its parts are locked one at a time, for a few instructions, with these exceptions, in this order of locks: applying
/// changed options; the registry of [`Routes`], [`AppModes`] and [`Usages`], which call the [`Dispatcher`]; the tables of
/// the dispatcher; and what calls nothing else, such as metrics, failed starts and connections of a process.
#[derive(Debug)]
pub(crate) struct RouterState {
    pub(crate) config: RouterConfig,
    pub(crate) globals: Globals,
    /// Held while changed options are applied: those that changed last are in effect.
    changing_options: Lock<()>,
    pub(crate) routes: Arc<Routes>,
    pub(crate) dispatcher: Arc<Dispatcher>,
    pub(crate) restarts: Arc<Restarts>,
    pub(crate) memory_monitor: Arc<MemoryMonitor>,
    pub(crate) app_modes: AppModes,
    pub(crate) active_requests: ActiveRequests,
    pub(crate) page_cache: PageCache,
    pub(crate) problems: Arc<Problems>,
    pub(crate) tunnels: Tunnels,
    /// Limits log messages about requests that got no process.
    pub(crate) refusals: Arc<LogLimit>,
    /// Limits log messages about uploads that were too slow.
    pub(crate) slow_uploads: Arc<LogLimit>,
    /// Limits log messages about connections from nginx that violate the protocol.
    pub(super) faults: Arc<LogLimit>,
    pub(super) incomplete: Incomplete,
    pub(crate) usages: Usages,
    pub(crate) log_file: LogFile,
    backlog: Lock<Arc<BacklogOptions>>,
    pub(super) supervisor: Arc<Supervisor>,
    pub(crate) hooks: Arc<Hooks>,
    pub(crate) preloaders: ReadyPreloaders,
    pub(crate) connections: ConnectionTracker,
}

impl RouterState {
    pub(super) fn new(config: RouterConfig, supervisor: Arc<Supervisor>) -> Arc<Self> {
        let globals = Globals::new(config.options.clone());
        if let Ok(received) = ReceivedGlobals::decode(&config.globals) {
            globals.update(received);
        }
        globals.set_overridden(config.overridden.clone());
        log::set_app_prefix(globals.log_prefix());
        let dispatcher = Dispatcher::new(globals.limits());
        let routes = Arc::new(Routes::new(&config.app_defaults));
        let hooks = Hooks::new(config.hooks.clone(), supervisor.clone());
        let restarts = Arc::new(Restarts::new(supervisor.clone(), globals.stat_throttle()));
        let problems = Arc::new(Problems::new(&config.problems));
        let backlog = Lock::new(Arc::new(globals.backlog(problems.clone())));
        Arc::new(Self {
            problems,
            config,
            globals,
            changing_options: Lock::default(),
            routes,
            dispatcher,
            restarts,
            memory_monitor: Arc::new(MemoryMonitor::new(supervisor.clone())),
            app_modes: AppModes::new(supervisor.clone()),
            tunnels: Tunnels::new(),
            refusals: LogLimit::new("requests that got no process", REFUSALS_A_MINUTE),
            slow_uploads: LogLimit::new("uploads that were too slow", SLOW_UPLOADS_A_MINUTE),
            faults: LogLimit::new("connections from nginx that were closed", REFUSALS_A_MINUTE),
            incomplete: Incomplete::default(),
            active_requests: ActiveRequests::default(),
            usages: Usages::default(),
            page_cache: PageCache::new(),
            log_file: LogFile::new(supervisor.clone()),
            backlog,
            supervisor,
            hooks: Arc::new(hooks),
            preloaders: ReadyPreloaders::default(),
            connections: ConnectionTracker::default(),
        })
    }

    /// Applies the daemon-wide options received from nginx.
    pub(crate) fn update(&self, received: ReceivedGlobals) {
        let _one_at_a_time = self.changing_options.lock();
        let before = self.globals.effective();
        if !self.globals.update(received) {
            return;
        }
        self.globals.log_changes(&before, "nginx's configuration");
        self.apply_options();
    }

    /// Applies the daemon's changed configuration.
    pub(super) fn reconfigure(&self, options: Vec<DaemonOption>) {
        let _one_at_a_time = self.changing_options.lock();
        let before = self.globals.effective();
        self.globals.reconfigure(options);
        self.globals.log_changes(&before, "the daemon's configuration");
        self.apply_options();
    }

    fn apply_options(&self) {
        log::set_level(self.globals.log_level());
        log::set_app_prefix(self.globals.log_prefix());
        let limits = self.globals.limits();
        self.dispatcher.update(|pool, now| pool.set_limits(limits, now));
        self.restarts.set_throttle(self.globals.stat_throttle());
        *self.backlog.lock() = Arc::new(self.globals.backlog(self.problems.clone()));
        self.supervisor.send(&Order::ApplyOptions(Box::new(self.globals.for_supervisor())));
    }

    /// Returns how much of a response is buffered for a slow client, and where.
    pub(crate) fn backlog_options(&self) -> Arc<BacklogOptions> {
        self.backlog.lock().clone()
    }
}
