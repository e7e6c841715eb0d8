//! Start-up: opens everything, in order, before the first request. A failure ends the daemon with one error message.

use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::time::Instant;

use nix::sys::signal::Signal;
use nix::sys::signalfd::SignalFd;
use nix::unistd;

use super::Lifecycle;
use super::pid_file::{PidFile, PidFileError};
use super::rlimits::{Originals, log_open_files};
use super::sd_notify::ServiceManager;
use super::shutdown::Shutdown;
use super::upgrade::{State, Upgrade};
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
use crate::spawn::{self, Launcher, Policy, Ports, Starts};
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
    #[error("what the program before has packed cannot be used: {0}")]
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
    stand_alone()?;
    let cgroups = options.cgroups.then(Cgroups::take).transpose()?;
    // Not before the daemon is in its own control group.
    start_log_writer();
    let (manager, plan) = plan_routers(&options)?;
    let pid_file = options.pid_file.as_deref().map(PidFile::take).transpose()?;
    let router = options.router_user.as_ref().map(|user| user.gid);
    let instance = Instance::create(&options.registry, &options.socket.path, router)?;
    match open_sockets(&instance, &options, handed_over) {
        Ok((tools, nginx)) => {
            let app_prefix = !Values(&options.shared).flag("disable_log_prefix");
            let kept = Kept { app_prefix, ..Kept::default() };
            let opened = Opened {
                log,
                signals,
                originals,
                open_files,
                cgroups,
                manager,
                pid_file,
                instance,
                nginx,
                processes: Processes::default(),
                router: RouterSupervision::new(plan, tools, 0, kept),
            };
            Ok(supervisor(options, opened))
        }
        Err(why) => {
            // The error of the sockets is the one to report.
            let _ = instance.remove();
            pid_file.into_iter().for_each(PidFile::remove);
            Err(why)
        }
    }
}

/// Takes over what the previous program in this process packed under this descriptor number.
pub(crate) fn take_over(options: Options, packed: RawFd) -> Result<Supervisor, StartError> {
    let failed = StartError::TakeOver;
    let mut reader =
        HandoverReader::once().ok_or_else(|| failed(io::Error::other("that was done already")))?;
    let state = reader.take_bytes(packed).map_err(failed)?;
    let state: State = serde_json::from_slice(&state).map_err(|why| failed(why.into()))?;
    let log = LogFile::unpack(state.log, &mut reader).map_err(failed)?;
    start_log_writer();
    tracing::info!("flying-passenger {} takes over from {}", env!("CARGO_PKG_VERSION"), state.version);
    let signals = signals::as_events(&SIGNALS).map_err(StartError::Signals)?;
    let originals = state.originals;
    let open_files = limit_open_files(&originals, &options)?;
    stand_alone()?;
    let (manager, plan) = plan_routers(&options)?;
    let router_gid = options.router_user.as_ref().map(|user| user.gid);
    let take = &mut reader;
    let by_flag = || !Values(&options.shared).flag("disable_log_prefix");
    let kept = Kept {
        globals: state.globals,
        overruled: state.overruled,
        app_modes: state.app_modes,
        app_prefix: state.app_prefix.unwrap_or_else(by_flag),
    };
    let tools = take.take(state.tools).map_err(failed)?;
    let opened = Opened {
        log,
        signals,
        originals,
        open_files,
        cgroups: state.cgroups.map(Cgroups::take_over).transpose()?,
        manager,
        pid_file: state.pid_file.map(|file| PidFile::unpack(file, take)).transpose().map_err(failed)?,
        instance: Instance::unpack(state.instance, take, router_gid).map_err(failed)?,
        nginx: NginxSocket::unpack(state.nginx, take).map_err(failed)?,
        processes: Processes::unpack(state.last_process, state.processes, take).map_err(failed)?,
        router: RouterSupervision::new(plan, tools, state.routers, kept),
    };
    Ok(supervisor(options, opened))
}

fn supervisor(options: Options, opened: Opened) -> Supervisor {
    let Opened { originals, cgroups, .. } = opened;
    let max_pool_size = Values(&options.shared).number("max_pool_size");
    Supervisor {
        hooks: Hooks::new(&options, originals.clone()),
        starts: Starts::new(
            Launcher {
                users: options.users.clone(),
                wanted_users: None,
                policy: policy(&options),
                loaders: options.loaders.clone(),
                environment: spawn::inherited(std::env::vars_os(), options.pass_env.as_deref()),
                originals,
                ports: Ports::new(),
                cgroups,
            },
            usize::try_from(max_pool_size).unwrap_or(usize::MAX),
        ),
        app_logs: AppLogs::default(),
        processes: opened.processes,
        stat_workers: StatWorkers::default(),
        router: opened.router,
        life: Lifecycle {
            signals: opened.signals,
            shutdown: Shutdown::new(options.shutdown_limit),
            upgrade: Upgrade::new(options.directory()),
            manager: opened.manager,
            caller: None,
            pid_file: opened.pid_file,
            open_files: opened.open_files,
        },
        orphans: true,
        log: opened.log,
        options,
        instance: opened.instance,
        nginx: SocketGuard::new(opened.nginx),
    }
}

fn start_log_writer() {
    if let Err(why) = log::start_writer() {
        tracing::warn!(
            "the log has no writer of its own, and whatever it is written to may block the daemon: {why}"
        );
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
            "all apps inherit variables of the daemon's environment that look like secrets: {}; start the daemon without \
             them, or list with --pass-env what apps are to have",
            secrets.join(", ")
        );
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

/// What was opened or taken over.
struct Opened {
    log: LogFile,
    signals: SignalFd,
    originals: Originals,
    open_files: u64,
    cgroups: Option<Cgroups>,
    manager: ServiceManager,
    pid_file: Option<PidFile>,
    instance: Instance,
    nginx: NginxSocket,
    processes: Processes,
    router: RouterSupervision,
}

/// Reads the service manager's settings and plans the routers, before anything is created.
fn plan_routers(options: &Options) -> Result<(ServiceManager, RouterPlan), StartError> {
    let manager = ServiceManager::from_environment(Instant::now());
    let plan = RouterPlan::new(options.router_user.as_ref(), options.log_level, options.log_format);
    let plan = plan?.with_silence(heartbeat::limit(manager.watchdog()));
    Ok((manager, plan))
}

fn stand_alone() -> Result<(), StartError> {
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
    fn the_page_tells_of_every_signal() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/SIGNALS.md");
        let page = std::fs::read_to_string(page).unwrap();
        let table =
            page.split("| signal | effect |").nth(1).and_then(|rest| rest.split("\n\n").next()).unwrap();
        let cells = table.lines().skip(2).filter_map(|line| line.split('|').nth(1));
        let mut told: Vec<_> =
            cells.flat_map(|cell| cell.split(',')).map(|name| format!("SIG{}", name.trim())).collect();
        let mut taken = SIGNALS.map(|signal| signal.as_str().to_owned());
        told.sort();
        taken.sort();
        assert_eq!(told, taken);
    }
}
