//! The shared state of the router: creates its parts and applies the configuration to them. `run.rs` starts the tasks.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use protocol::globals::Globals as ReceivedGlobals;
use tokio::sync::Notify;

use super::apps::Routes;
use super::apps::maintenance::AppModes;
use super::connections::ConnectionTracker;
use super::dispatch::Dispatcher;
use super::metrics::active_requests::ActiveRequests;
use super::metrics::page_cache::PageCache;
use super::metrics::problems::Problems;
use super::nginx::incomplete_frames::Incomplete;
use super::nginx_conn::tunnel_share::Tunnels;
use super::options::Globals;
use super::output::log_file::LogFile;
use super::output::log_limit::LogLimit;
use super::output::{AppLogs, Places};
use super::response::BacklogOptions;
use super::spawn::Spawner;
use super::spawn::hooks::Hooks;
use super::supervisor_link::Supervisor;
use super::watch::memory::MemoryMonitor;
use super::watch::restart_files::Restarts;
use super::watch::usage::Usages;
use common::config::DaemonOption;
use common::link::{Order, RouterConfig};
use common::log;

/// How long a process may take to end before it is killed, as in Passenger; the daemon's shutdown limit applies if it
/// is shorter.
const STOP_LIMIT: Duration = Duration::from_secs(60);
/// Maximum number of log messages a minute about requests that got no process: each client could cause one.
const REFUSALS_A_MINUTE: u32 = 300;
/// Maximum number of log messages a minute about uploads that were too slow.
const SLOW_UPLOADS_A_MINUTE: u32 = 10;

/// The shared state that every request uses.
#[derive(Debug)]
pub(crate) struct RouterState {
    pub(crate) config: RouterConfig,
    pub(crate) globals: Globals,
    pub(crate) routes: Rc<Routes>,
    pub(crate) dispatcher: Rc<Dispatcher>,
    pub(crate) restarts: Rc<Restarts>,
    pub(crate) memory_monitor: Rc<MemoryMonitor>,
    pub(crate) app_modes: AppModes,
    pub(crate) active_requests: ActiveRequests,
    pub(super) app_logs: Rc<AppLogs>,
    pub(crate) page_cache: PageCache,
    pub(crate) problems: Rc<Problems>,
    pub(crate) tunnels: Tunnels,
    /// Limits log messages about requests that got no process.
    pub(crate) refusals: Rc<LogLimit>,
    /// Limits log messages about uploads that were too slow.
    pub(crate) slow_uploads: Rc<LogLimit>,
    /// Limits log messages about connections from nginx that violate the protocol.
    pub(super) faults: Rc<LogLimit>,
    pub(super) incomplete: Incomplete,
    pub(crate) usages: Usages,
    pub(crate) log_file: LogFile,
    backlog: RefCell<Rc<BacklogOptions>>,
    pub(super) supervisor: Rc<Supervisor>,
    pub(crate) spawner: Rc<Spawner>,
    pub(crate) connections: ConnectionTracker,
    /// Notified when the router may end.
    pub(super) finished: Notify,
}

impl RouterState {
    pub(super) fn new(config: RouterConfig, supervisor: Rc<Supervisor>) -> Rc<Self> {
        let globals = Globals::new(config.options.clone());
        if let Ok(received) = ReceivedGlobals::decode(&config.globals) {
            globals.update(received);
        }
        globals.set_overridden(config.overridden.clone());
        log::set_app_prefix(globals.log_prefix());
        let dispatcher = Dispatcher::new(globals.limits());
        let routes = Rc::new(Routes::new(&config.app_defaults));
        let drain_limit = Duration::from_secs(config.drain_limit);
        let hooks = Hooks::new(config.hooks.clone(), supervisor.clone());
        let stop_limit = STOP_LIMIT.min(Duration::from_secs(config.shutdown_limit));
        let app_logs = AppLogs::new(supervisor.clone());
        let places = Places::new(config.app_output, config.app_output_limit, app_logs.clone());
        let spawner = Spawner::new(
            supervisor.clone(),
            hooks,
            dispatcher.clone(),
            routes.clone(),
            places,
            stop_limit,
            drain_limit,
        );
        let restarts = Rc::new(Restarts::new(supervisor.clone(), globals.stat_throttle()));
        let problems = Rc::new(Problems::new(&config.problems));
        let backlog = RefCell::new(Rc::new(globals.backlog(problems.clone())));
        Rc::new(Self {
            problems,
            config,
            globals,
            routes,
            dispatcher,
            restarts,
            memory_monitor: Rc::new(MemoryMonitor::new(supervisor.clone())),
            app_modes: AppModes::new(supervisor.clone()),
            tunnels: Tunnels::new(),
            refusals: LogLimit::new("requests that got no process", REFUSALS_A_MINUTE),
            slow_uploads: LogLimit::new("uploads that were too slow", SLOW_UPLOADS_A_MINUTE),
            faults: LogLimit::new("connections from nginx that were closed", REFUSALS_A_MINUTE),
            incomplete: Incomplete::default(),
            active_requests: ActiveRequests::default(),
            usages: Usages::default(),
            app_logs,
            page_cache: PageCache::new(),
            log_file: LogFile::new(supervisor.clone()),
            backlog,
            supervisor,
            spawner,
            connections: ConnectionTracker::default(),
            finished: Notify::new(),
        })
    }

    /// Applies the daemon-wide options received from nginx.
    pub(crate) fn update(&self, received: ReceivedGlobals) {
        let before = self.globals.effective();
        if !self.globals.update(received) {
            return;
        }
        self.globals.log_changes(&before, "nginx's configuration");
        self.apply_options();
    }

    /// Applies the daemon's changed configuration.
    pub(super) fn reconfigure(&self, options: Vec<DaemonOption>) {
        let before = self.globals.effective();
        self.globals.reconfigure(options);
        self.globals.log_changes(&before, "the daemon's configuration");
        self.apply_options();
    }

    fn apply_options(&self) {
        log::set_level(self.globals.log_level());
        log::set_app_prefix(self.globals.log_prefix());
        self.dispatcher.update(|pool, now| pool.set_limits(self.globals.limits(), now));
        self.restarts.set_throttle(self.globals.stat_throttle());
        *self.backlog.borrow_mut() = Rc::new(self.globals.backlog(self.problems.clone()));
        self.supervisor.send(&Order::ApplyOptions(Box::new(self.globals.for_supervisor())));
    }

    /// Returns how much of a response is buffered for a slow client, and where.
    pub(crate) fn backlog_options(&self) -> Rc<BacklogOptions> {
        self.backlog.borrow().clone()
    }
}
