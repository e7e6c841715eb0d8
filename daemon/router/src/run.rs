//! The main loop of the router: starts its tasks and handles the supervisor's notices one at a time.

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;

use nix::sys::resource::{self, Resource};
use tokio::net::UnixListener;
use tokio::task::spawn_local;
use tracing::{error, warn};

use super::control_plane::ControlPlane;
use super::nginx::accept;
use super::shutdown::Processes;
use super::state::RouterState;
use super::supervisor_link::Supervisor;
use super::watch::{idle, memory, pool_full, restart_files};
use super::{admin, shutdown};
use common::link::channel::Buffer;
use common::link::{Notice, Order};

/// Runs the router until the supervisor ends it.
pub(super) async fn run(link: OwnedFd) -> io::Result<()> {
    let supervisor = Arc::new(Supervisor::new(link)?);
    let mut buffer = Buffer::default();
    let Some((Notice::Config(config), sockets)) = supervisor.notice(&mut buffer).await else {
        return Err(io::Error::other("the supervisor's first message is not the configuration"));
    };
    let (nginx, tools) = listeners(sockets)?;
    let router = ControlPlane::new(RouterState::new(config, supervisor.clone()));
    spawn_local(admin::run(router.shared.clone(), tools));
    spawn_local(async move { supervisor.flush().await });
    tokio::select! {
        () = handle_notices(&router, nginx, buffer) => {}
        () = router.finished.notified() => {}
        why = router.threads.fails() => return Err(io::Error::other(why)),
    }
    Ok(())
}

/// Handles the supervisor's notices until the supervisor closes the link.
async fn handle_notices(router: &Rc<ControlPlane>, nginx: UnixListener, mut buffer: Buffer) {
    let mut nginx = Some(nginx);
    while let Some((notice, mut descriptors)) = router.supervisor.notice(&mut buffer).await {
        match notice {
            Notice::Config(_) => warn!("ignoring a duplicate configuration message from the supervisor"),
            Notice::Adopt(record) => router.spawner.adopt(record, descriptors.pop()),
            Notice::Serve => nginx.take().into_iter().for_each(|nginx| serve(router, nginx)),
            Notice::SetAppMode { app, mode } => router.app_modes.restore(app, mode),
            Notice::Started { ticket, record } => router.spawner.started(ticket, record, descriptors),
            Notice::NotStarted { ticket, reason } => router.spawner.not_started(ticket, &reason),
            Notice::Exited { process, how } => router.spawner.exited(process, &how),
            Notice::RestartFiles { ticket, found } => router.restarts.pending.complete(ticket, found),
            Notice::RestartFilesChanged { dir } => router.restarts.changed(dir),
            Notice::Measured { ticket, held } => router.memory_monitor.complete(ticket, held),
            Notice::OpenFiles(limit) => limit_open_files(limit),
            Notice::Options(options) => router.reconfigure(options),
            Notice::Hooks(named) => router.hooks.set_named(named),
            Notice::Overridden(overridden) => router.globals.set_overridden(overridden),
            Notice::Socket => replace_socket(router, descriptors.pop()),
            Notice::AppLog { ticket } => router.app_logs.handle_reply(ticket, descriptors.pop()),
            Notice::ReopenAppLogs => router.app_logs.reopen(),
            Notice::LogReopened { ticket, failure } => router.log_file.complete(ticket, failure),
            Notice::Problem { problem, what } => router.problems.set(problem, what),
            Notice::Ping => answer_ping(router),
            Notice::Retire { limit } => shut_down(router, limit, Processes::HandOver),
            Notice::ShutDown { limit } => shut_down(router, limit, Processes::End),
        }
    }
}

/// Starts accepting requests and the periodic checks, once all existing processes have been adopted: an earlier request
/// or check would start more processes.
fn serve(router: &Rc<ControlPlane>, nginx: UnixListener) {
    let dispatcher = &router.dispatcher;
    spawn_local(accept::run(router.shared.clone(), router.threads.clone(), nginx));
    spawn_local(idle::run(dispatcher.clone(), router.routes.clone(), router.restarts.clone()));
    spawn_local(memory::watch(dispatcher.clone(), router.memory_monitor.clone()));
    spawn_local(pool_full::run(dispatcher.clone(), router.problems.clone()));
    spawn_local(restart_files::watch(dispatcher.clone(), router.restarts.clone()));
    spawn_local(restart_files::follow_changes(dispatcher.clone(), router.restarts.clone()));
}

/// Accepts connections on the new listening socket, which replaces the old one.
fn replace_socket(router: &Rc<ControlPlane>, socket: Option<OwnedFd>) {
    match socket.ok_or_else(|| io::Error::other("it was not passed")).and_then(listener) {
        Ok(socket) => accept::replace_socket(&router.shared, &router.threads, socket),
        Err(why) => error!("cannot accept connections on the new socket for nginx: {why}"),
    }
}

/// Answers the supervisor when every thread has shown that it runs.
fn answer_ping(router: &Rc<ControlPlane>) {
    router.problems.expire();
    let router = router.clone();
    spawn_local(async move {
        router.threads.all_respond().await;
        if router.supervisor.order(&Order::Pong).is_err() {
            warn!("cannot notify the supervisor that the router is running");
        }
    });
}

fn shut_down(router: &Rc<ControlPlane>, limit: u64, processes: Processes) {
    spawn_local(shutdown::run(router.clone(), limit, processes));
}

fn limit_open_files(limit: u64) {
    let limited = resource::getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| resource::setrlimit(Resource::RLIMIT_NOFILE, limit.min(hard), hard));
    if let Err(why) = limited {
        warn!("cannot change the router's limit of open files: {why}");
    }
}

/// Returns the listening sockets that the supervisor opened: for nginx, and for the tools.
fn listeners(descriptors: Vec<OwnedFd>) -> io::Result<(UnixListener, UnixListener)> {
    let [nginx, tools] = descriptors
        .try_into()
        .map_err(|_| io::Error::other("the supervisor did not pass the two listening sockets"))?;
    Ok((listener(nginx)?, listener(tools)?))
}

fn listener(fd: OwnedFd) -> io::Result<UnixListener> {
    let listener = std::os::unix::net::UnixListener::from(fd);
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}
