//! Start-up: opens everything, in order, before the first request. A failure ends the daemon with one error message.

use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::time::Instant;

use nix::sys::signal::Signal;
use nix::unistd;

use super::Lifecycle;
use super::pid_file::{PidFile, PidFileError};
use super::rlimits::{Originals, log_open_files};
use super::sd_notify::ServiceManager;
use super::upgrade::State;
use crate::cgroups::{CgroupError, Cgroups};
use crate::event_loop::Supervisor;
use crate::hooks::Hooks;
use crate::log_file::app_logs::AppLogs;
use crate::log_file::{LogFile, NoLog};
use crate::nginx_socket;
use crate::nginx_socket::guard::SocketGuard;
use crate::nginx_socket::{NginxSocket, SocketError};
use crate::processes::Processes;
use crate::router::heartbeat;
use crate::router::process::{RouterError, RouterPlan};
use crate::router::{Kept, RouterSupervision};
use crate::spawn::{self, Starts};
use crate::stat_workers::StatWorkers;
use common::config::Options;
use common::config::shared::Values;
use common::instance::{Instance, InstanceError};
use common::log;
use common::sys::fd_handover::HandoverReader;
use common::sys::{activation, process, signals};

/// The signals that are handled as events.
const SIGNALS: [Signal; 7] = [
    Signal::SIGTERM,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGHUP,
    Signal::SIGCHLD,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
];

/// Why the daemon does not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error(transparent)]
    Log(#[from] NoLog),
    #[error("its signals cannot be set up: {0}")]
    Signals(io::Error),
    #[error("its limits cannot be raised: {0}")]
    Limits(io::Error),
    #[error(transparent)]
    Instance(#[from] InstanceError),
    #[error("{0} in the instance directory cannot be made: {1}")]
    Inside(&'static str, io::Error),
    #[error(transparent)]
    Socket(#[from] SocketError),
    #[error("the router cannot be started: {0}")]
    Router(#[from] RouterError),
    #[error(transparent)]
    PidFile(#[from] PidFileError),
    #[error("the sockets of the service manager cannot be taken: {0}")]
    Activation(io::Error),
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    #[error("the state of the previous program cannot be used: {0}")]
    TakeOver(io::Error),
}

/// Opens what a daemon with these options needs.
pub(crate) fn open(options: Options) -> Result<Supervisor, StartError> {
    let handed_over = activation::take_sockets().map_err(StartError::Activation)?;
    let log = LogFile::begin(&options.shared)?;
    tracing::info!("flying-passenger {} starts", env!("CARGO_PKG_VERSION"));
    tracing::info!("loaders are in {}", options.loaders.display());
    warn_of_secrets(&options);
    let signals = signals::as_events(&SIGNALS).map_err(StartError::Signals)?;
    let originals = Originals::note().map_err(StartError::Limits)?;
    let open_files = limit_open_files(&originals, &options)?;
    detach()?;
    let cgroups = options.cgroups.then(Cgroups::take).transpose()?;
    // Not before the daemon is in its own control group.
    start_log_writer();
    let (manager, plan) = plan_routers(&options)?;
    let pid_file = options.pid_file.as_deref().map(PidFile::take).transpose()?;
    let router = options.router_user.as_ref().map(|user| user.gid);
    let instance = Instance::create(&options.registry, &options.socket.path, router)?;
    let (tools, nginx) = match open_sockets(&instance, &options, handed_over) {
        Ok(sockets) => sockets,
        Err(why) => {
            // The error of the sockets is the one to report.
            let _ = instance.remove();
            pid_file.into_iter().for_each(PidFile::remove);
            return Err(why);
        }
    };
    let app_prefix = !Values(&options.shared).flag("disable_log_prefix");
    let kept = Kept { app_prefix, ..Kept::default() };
    Ok(Supervisor {
        life: Lifecycle::new(&options, signals, manager, pid_file, open_files),
        log,
        app_logs: AppLogs::default(),
        instance,
        nginx: SocketGuard::new(nginx),
        hooks: Hooks::new(&options, originals.clone()),
        router: RouterSupervision::new(plan, tools, 0, kept),
        stat_workers: StatWorkers::default(),
        starts: Starts::new(&options, originals, cgroups),
        processes: Processes::default(),
        orphans: true,
        options,
    })
}

/// Takes over what the previous program in this process packed under this descriptor number. Also returns its release.
pub(crate) fn take_over(options: Options, packed: RawFd) -> Result<(Supervisor, String), StartError> {
    let failed = StartError::TakeOver;
    let mut reader =
        HandoverReader::once().ok_or_else(|| failed(io::Error::other("it was taken already")))?;
    let state = reader.take_bytes(packed).map_err(failed)?;
    let state: State = serde_json::from_slice(&state).map_err(|why| failed(why.into()))?;
    let log = LogFile::unpack(state.log, &mut reader).map_err(failed)?;
    start_log_writer();
    tracing::info!("flying-passenger {} takes over from {}", env!("CARGO_PKG_VERSION"), state.version);
    let signals = signals::as_events(&SIGNALS).map_err(StartError::Signals)?;
    let originals = state.originals;
    let open_files = limit_open_files(&originals, &options)?;
    detach()?;
    let (manager, plan) = plan_routers(&options)?;
    let router_gid = options.router_user.as_ref().map(|user| user.gid);
    let take = &mut reader;
    let by_flag = || !Values(&options.shared).flag("disable_log_prefix");
    let kept = Kept {
        globals: state.globals,
        overridden: state.overridden,
        app_modes: state.app_modes,
        app_prefix: state.app_prefix.unwrap_or_else(by_flag),
    };
    let cgroups = state.cgroups.map(Cgroups::take_over).transpose()?;
    let pid_file = state.pid_file.map(|file| PidFile::unpack(file, take)).transpose().map_err(failed)?;
    let tools = take.take(state.tools).map_err(failed)?;
    let mut life = Lifecycle::new(&options, signals, manager, pid_file, open_files);
    // A release that does not count is upgraded, too.
    life.upgrade.set_attempts(state.upgrades.max(1));
    let supervisor = Supervisor {
        life,
        log,
        app_logs: AppLogs::default(),
        instance: Instance::unpack(state.instance, take, router_gid).map_err(failed)?,
        nginx: SocketGuard::new(NginxSocket::unpack(state.nginx, take).map_err(failed)?),
        hooks: Hooks::new(&options, originals.clone()),
        router: RouterSupervision::new(plan, tools, state.routers, kept),
        stat_workers: StatWorkers::default(),
        starts: Starts::new(&options, originals, cgroups),
        processes: Processes::unpack(state.last_process, state.processes, take).map_err(failed)?,
        orphans: true,
        options,
    };
    Ok((supervisor, state.version))
}

fn start_log_writer() {
    if let Err(why) = log::start_writer() {
        tracing::warn!("cannot start the log writer, and a log that hangs may block the daemon: {why}");
    }
}

/// Warns of variables that apps should not inherit: root's shell may have them, a service manager only configured ones.
fn warn_of_secrets(options: &Options) {
    let by_service_manager = std::env::var_os("INVOCATION_ID").is_some();
    if options.pass_env.is_some() || by_service_manager || !unistd::geteuid().is_root() {
        return;
    }
    let secrets = spawn::secrets(&spawn::inherited(std::env::vars_os(), None));
    if !secrets.is_empty() {
        tracing::warn!(
            "all apps inherit variables of the daemon's environment that look like secrets: {}; start the daemon \
             without \
             them, or list with --pass-env what apps are to have",
            secrets.join(", ")
        );
    }
}

/// Reads the service manager's settings and plans the routers, before anything is created.
fn plan_routers(options: &Options) -> Result<(ServiceManager, RouterPlan), StartError> {
    let manager = ServiceManager::from_environment(Instant::now());
    let plan = RouterPlan::new(options, heartbeat::limit(manager.watchdog()))?;
    Ok((manager, plan))
}

fn detach() -> Result<(), StartError> {
    // The daemon keeps no directory from being unmounted.
    unistd::chdir("/").map_err(|why| StartError::Limits(why.into()))?;
    // Processes forked by a preloader become children of the supervisor when orphaned.
    process::adopt_orphans().map_err(StartError::Limits)
}

/// Sets the limit of open files to the flag's value, or to the maximum. Returns the value.
fn limit_open_files(originals: &Originals, options: &Options) -> Result<u64, StartError> {
    let wanted = Values(&options.shared).number("core_file_descriptor_ulimit");
    let reached = originals.limit_open_files(wanted).map_err(StartError::Limits)?;
    if wanted > 0 {
        log_open_files(wanted, Ok(reached.soft));
    }
    Ok(wanted)
}

type Sockets = (OwnedFd, NginxSocket);

fn open_sockets(
    instance: &Instance,
    options: &Options,
    handed_over: Vec<OwnedFd>,
) -> Result<Sockets, StartError> {
    instance
        .make_apps(options.router_user.as_ref().map(|account| account.gid))
        .map_err(|why| StartError::Inside("the apps' directory", why))?;
    let tools = instance.listen_for_tools().map_err(|why| StartError::Inside("the tools' socket", why))?;
    let backlog = Values(&options.shared).number("socket_backlog");
    let nginx = if handed_over.is_empty() {
        NginxSocket::open(&options.socket, backlog)
    } else {
        NginxSocket::handed_over(handed_over, &options.socket.path, backlog)
    };
    let nginx = nginx?;
    log_access(options, &nginx);
    Ok((tools, nginx))
}

/// Logs who can connect to the socket.
fn log_access(options: &Options, nginx: &NginxSocket) {
    let path = options.socket.path.display();
    if nginx.is_handed_over() {
        tracing::info!("{path} was opened by the service manager, which decides who may connect");
    } else if options.socket.closed_to_nginx {
        let user = unistd::geteuid();
        tracing::warn!(
            "only root and user {user} can connect to {path}: unless nginx's workers run as one of them, \
             give --socket-owner (as root) or --socket-mode"
        );
    }
    if !nginx.is_handed_over() {
        nginx_socket::warnings(&options.socket).into_iter().for_each(|warning| tracing::warn!("{warning}"));
    }
}

#[cfg(test)]
mod tests {
    use super::SIGNALS;

    #[test]
    fn the_page_documents_every_signal() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/SIGNALS.md");
        let page = std::fs::read_to_string(page).unwrap();
        let table =
            page.split("| signal | effect |").nth(1).and_then(|rest| rest.split("\n\n").next()).unwrap();
        let cells = table.lines().skip(2).filter_map(|line| line.split('|').nth(1));
        let mut reported: Vec<_> =
            cells.flat_map(|cell| cell.split(',')).map(|name| format!("SIG{}", name.trim())).collect();
        let mut taken = SIGNALS.map(|signal| signal.as_str().to_owned());
        reported.sort();
        taken.sort();
        assert_eq!(reported, taken);
    }
}
