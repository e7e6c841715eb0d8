//! The router's parts joined: who knows whom, and what runs beside what.

use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use nix::sys::resource::{self, Resource};
use protocol::globals::Globals as Said;
use tokio::net::UnixListener;
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::{error, info, warn};

use super::dispatch::Dispatcher;
use super::doors::Doors;
use super::globals::Globals;
use super::hooks::Hooks;
use super::log_file::LogFile;
use super::memory::Scales;
use super::output::{AppLogs, Places};
use super::reply::BacklogOptions;
use super::restart::{self, Restarts};
use super::routes::Routes;
use super::spawn::Spawner;
use super::standings::Standings;
use super::status_page::Board;
use super::supervisor::Supervisor;
use super::troubles::Troubles;
use super::under_way::Desks;
use super::usages::Usages;
use super::{accept, admin, memory};
use crate::config::DaemonOption;
use crate::link::channel::Buffer;
use crate::link::{Notice, Order, RouterConfig};
use crate::log;
use crate::sys::descriptors;

/// How long a process that was told to end may take before it is killed, as with Passenger; less where the whole daemon
/// has less time to end.
const STOP_LIMIT: Duration = Duration::from_secs(60);
/// How long to wait for a sweep when nothing is due.
const LONG: Duration = Duration::from_secs(3600);

/// What every request needs.
#[derive(Debug)]
pub(crate) struct Router {
    pub(crate) config: RouterConfig,
    pub(crate) globals: Globals,
    pub(crate) routes: Rc<Routes>,
    pub(crate) dispatcher: Rc<Dispatcher>,
    pub(crate) restarts: Restarts,
    pub(crate) scales: Scales,
    pub(crate) standings: Standings,
    pub(crate) desks: Desks,
    app_logs: Rc<AppLogs>,
    pub(crate) board: Board,
    pub(crate) troubles: Rc<Troubles>,
    pub(crate) usages: Usages,
    pub(crate) log_file: LogFile,
    backlog: RefCell<Rc<BacklogOptions>>,
    supervisor: Rc<Supervisor>,
    pub(crate) spawner: Rc<Spawner>,
    pub(crate) doors: Doors,
    finished: Notify,
}

/// Runs the router until the supervisor ends it.
pub(crate) async fn run(link: OwnedFd) -> io::Result<()> {
    let supervisor = Rc::new(Supervisor::new(link)?);
    let mut buffer = Buffer::default();
    let Some((Notice::Config(config), sockets)) = supervisor.notice(&mut buffer).await else {
        return Err(io::Error::other("the supervisor did not say how to work"));
    };
    let (nginx, tools) = listeners(sockets)?;
    let router = Router::new(config, supervisor);
    tokio::task::spawn_local(accept::run(router.clone(), nginx));
    tokio::task::spawn_local(admin::run(router.clone(), tools));
    tokio::task::spawn_local(sweep(router.clone()));
    tokio::task::spawn_local(memory::watch(router.clone()));
    tokio::task::spawn_local(restart::watch(router.clone()));
    let supervisor = router.supervisor.clone();
    tokio::task::spawn_local(async move { supervisor.flush().await });
    tokio::select! {
        () = router.obey(buffer) => {}
        () = router.finished.notified() => {}
    }
    Ok(())
}

impl Router {
    fn new(config: RouterConfig, supervisor: Rc<Supervisor>) -> Rc<Self> {
        let globals = Globals::new(config.options.clone());
        if let Ok(said) = Said::decode(&config.globals) {
            globals.hear(said);
        }
        globals.overrule(config.overruled.clone());
        log::set_app_prefix(globals.log_prefix());
        let dispatcher = Dispatcher::new(globals.limits());
        let routes = Rc::new(Routes::new(&config.app_defaults));
        let drain_limit = Duration::from_secs(config.drain_limit);
        let hooks = Hooks::new(config.hooks.clone(), supervisor.clone());
        let (to_supervisor, pool) = (supervisor.clone(), dispatcher.clone());
        let stop_limit = STOP_LIMIT.min(Duration::from_secs(config.shutdown_limit));
        let places = Places::new(config.app_output, AppLogs::new(supervisor.clone()));
        let app_logs = places.files.clone();
        let spawner =
            Spawner::new(to_supervisor, hooks, pool, routes.clone(), places, stop_limit, drain_limit);
        let restarts = Restarts::new(supervisor.clone(), globals.stat_throttle());
        let scales = Scales::new(supervisor.clone());
        let standings = Standings::new(supervisor.clone());
        let troubles = Rc::new(Troubles::new(&config.troubles));
        let backlog = RefCell::new(Rc::new(globals.backlog(troubles.clone())));
        Rc::new(Self {
            troubles,
            config,
            globals,
            routes,
            dispatcher,
            restarts,
            scales,
            standings,
            desks: Desks::default(),
            usages: Usages::default(),
            app_logs,
            board: Board::new(),
            log_file: LogFile::new(supervisor.clone()),
            backlog,
            supervisor,
            spawner,
            doors: Doors::default(),
            finished: Notify::new(),
        })
    }

    /// Puts to work what an nginx says to the daemon as a whole.
    pub(crate) fn hear(&self, said: Said) {
        let before = self.globals.decided();
        if !self.globals.hear(said) {
            return;
        }
        self.globals.tell(&before, "nginx's");
        self.put_to_work();
    }

    /// Puts to work what the daemon's own configuration says from here on.
    fn reconfigure(&self, options: Vec<DaemonOption>) {
        let before = self.globals.decided();
        self.globals.reconfigure(options);
        self.globals.tell(&before, "the daemon's own");
        self.put_to_work();
    }

    fn put_to_work(&self) {
        log::set_level(self.globals.log_level());
        log::set_app_prefix(self.globals.log_prefix());
        self.dispatcher.set_limits(self.globals.limits());
        self.restarts.set_throttle(self.globals.stat_throttle());
        *self.backlog.borrow_mut() = Rc::new(self.globals.backlog(self.troubles.clone()));
        if self.supervisor.order(&Order::Adjust(Box::new(self.globals.adjustment()))).is_err() {
            warn!("the supervisor cannot be told of the changed options");
        }
    }

    /// Accepts at the socket that was made anew.
    fn move_to(self: &Rc<Self>, socket: Option<OwnedFd>) {
        match socket.ok_or_else(|| io::Error::other("it did not come")).and_then(listener) {
            Ok(socket) => accept::move_to(self, socket),
            Err(why) => error!("the socket for nginx that was made anew cannot be used: {why}"),
        }
    }

    fn answer_ping(&self) {
        self.troubles.tidy();
        if self.supervisor.order(&Order::Pong).is_err() {
            warn!("the supervisor cannot be told that the router works");
        }
    }

    /// How much of an answer is kept for a slow client, and where.
    pub(crate) fn backlog_options(&self) -> Rc<BacklogOptions> {
        self.backlog.borrow().clone()
    }

    /// Does what the supervisor says, until it is gone or everything is finished.
    async fn obey(self: &Rc<Self>, mut buffer: Buffer) {
        while let Some((notice, mut descriptors)) = self.supervisor.notice(&mut buffer).await {
            match notice {
                Notice::Config(_) => warn!("the supervisor said twice how to work"),
                Notice::Adopt(record) => self.spawner.adopt(record, descriptors.pop()),
                Notice::Stand { app, standing } => self.standings.recall(app, standing),
                Notice::Started { ticket, record } => self.spawner.started(ticket, record, descriptors),
                Notice::NotStarted { ticket, reason } => self.spawner.not_started(ticket, &reason),
                Notice::Exited { process, how } => self.spawner.exited(process, &how),
                Notice::RestartFiles { ticket, found } => self.restarts.found(ticket, found),
                Notice::Measured { ticket, held } => self.scales.measured(ticket, held),
                Notice::OpenFiles(most) => limit_open_files(most),
                Notice::Options(options) => self.reconfigure(options),
                Notice::Hooks(named) => self.spawner.set_hooks(named),
                Notice::Overruled(overruled) => self.globals.overrule(overruled),
                Notice::Socket => self.move_to(descriptors.pop()),
                Notice::Log => switch_log(descriptors.pop()),
                Notice::AppLog { ticket } => self.app_logs.answered(ticket, descriptors.pop()),
                Notice::ReopenAppLogs => self.app_logs.reopen(),
                Notice::LogReopened { ticket, failure } => self.log_file.reopened(ticket, failure),
                Notice::Trouble { trouble, what } => self.troubles.relay(trouble, what),
                Notice::Ping => self.answer_ping(),
                Notice::ShutDown { limit } => drop(tokio::task::spawn_local(self.clone().shut_down(limit))),
            }
        }
    }

    /// Requests finish, then processes; what takes longer than the limit is left to the supervisor.
    async fn shut_down(self: Rc<Self>, limit: u64) {
        if !self.doors.close() {
            return;
        }
        let end = Instant::now() + Duration::from_secs(limit);
        info!("shutting down: {} requests under way", self.dispatcher.requests());
        self.dispatcher.abort_tunnels();
        let requests = self.until(|dispatcher| dispatcher.requests() == 0);
        if tokio::time::timeout_at(end, requests).await.is_err() {
            warn!("{} requests did not finish within {limit} s", self.dispatcher.requests());
        }
        self.dispatcher.close();
        self.spawner.end_preloaders();
        if tokio::time::timeout_at(end, self.until(Dispatcher::is_empty)).await.is_err() {
            warn!("some processes did not end within {limit} s");
        }
        if self.supervisor.order(&Order::Finished).is_err() {
            warn!("the supervisor cannot be told that everything is finished");
        }
        self.finished.notify_one();
    }

    async fn until(&self, done: impl Fn(&Dispatcher) -> bool) {
        loop {
            let fewer = self.dispatcher.fewer.notified();
            tokio::pin!(fewer);
            fewer.as_mut().enable();
            if done(&self.dispatcher) {
                return;
            }
            fewer.await;
        }
    }
}

/// What is logged from here on goes to the file that the supervisor opened.
fn switch_log(file: Option<OwnedFd>) {
    let switched = file.ok_or_else(|| io::Error::other("it did not come")).and_then(descriptors::log_to);
    if let Err(why) = switched {
        warn!("the router goes on with the old log, as the new file cannot be used: {why}");
    }
}

fn limit_open_files(most: u64) {
    let limited = resource::getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| resource::setrlimit(Resource::RLIMIT_NOFILE, most.min(hard), hard));
    if let Err(why) = limited {
        warn!("the router's limit of open files stays: {why}");
    }
}

/// The sockets that the supervisor opened: for nginx, and for the tools.
fn listeners(descriptors: Vec<OwnedFd>) -> io::Result<(UnixListener, UnixListener)> {
    let mut listeners = descriptors.into_iter().map(listener);
    let missing = || io::Error::other("the supervisor did not pass both listening sockets");
    let nginx = listeners.next().ok_or_else(missing)??;
    let tools = listeners.next().ok_or_else(missing)??;
    Ok((nginx, tools))
}

fn listener(fd: OwnedFd) -> io::Result<UnixListener> {
    let listener = std::os::unix::net::UnixListener::from(fd);
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

/// Ends idle processes when they are due.
async fn sweep(router: Rc<Router>) {
    loop {
        let due = router.dispatcher.sweep();
        router.routes.forget_deserted(&router.dispatcher);
        let pause = due.map_or(LONG, |due| due.saturating_duration_since(std::time::Instant::now()));
        tokio::select! {
            () = tokio::time::sleep(pause.max(Duration::from_millis(10))) => {}
            () = router.dispatcher.sweep_sooner.notified() => {}
        }
    }
}
