//! Opening everything, in order, before the first request: what fails here ends the daemon with one sentence.

use std::fmt;
use std::io;

use nix::sys::signal::Signal;
use nix::unistd;

use super::Supervisor;
use super::adjust::tell_open_files;
use super::forks::Forks;
use super::hooks::Hooks;
use super::limits::Originals;
use super::log_file::{LogFile, NoLog};
use super::nginx_socket::{NginxSocket, SocketError};
use super::processes::Processes;
use super::router_process::{RouterError, RouterPlan};
use super::routers::Routers;
use super::shutdown::Shutdown;
use super::spawn::{self, Launcher, Ports};
use crate::config::shared::Values;
use crate::config::{Options, ROUTER_USERS};
use crate::instance::{Instance, InstanceError};
use crate::link::channel::Buffer;
use crate::sys::{process, signals};

/// Why the daemon does not start.
pub(super) enum StartError {
    Log(NoLog),
    Signals(io::Error),
    Limits(io::Error),
    Instance(InstanceError),
    Inside(&'static str, io::Error),
    Socket(SocketError),
    Router(RouterError),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log(why) => why.fmt(f),
            Self::Signals(why) => write!(f, "its signals cannot be set up: {why}"),
            Self::Limits(why) => write!(f, "its limits cannot be raised: {why}"),
            Self::Instance(why) => why.fmt(f),
            Self::Inside(what, why) => write!(f, "{what} in the instance directory cannot be made: {why}"),
            Self::Socket(why) => why.fmt(f),
            Self::Router(why) => write!(f, "the router cannot be started: {why}"),
        }
    }
}

impl Supervisor {
    /// Opens what a daemon with these options needs.
    pub(super) fn open(options: Options) -> Result<Self, StartError> {
        let log = LogFile::begin(&options.shared).map_err(StartError::Log)?;
        tracing::info!("flying-passenger {} starts", env!("CARGO_PKG_VERSION"));
        tracing::info!("loaders are in {}", options.loaders.display());
        signals::ignore(Signal::SIGHUP).map_err(StartError::Signals)?;
        let signals =
            signals::as_events(&[Signal::SIGTERM, Signal::SIGINT, Signal::SIGCHLD, Signal::SIGUSR1])
                .map_err(StartError::Signals)?;
        let originals = Originals::note().map_err(StartError::Limits)?;
        let open_files_wanted = limit_open_files(&originals, &options)?;
        // No directory is held back from being unmounted.
        unistd::chdir("/").map_err(|why| StartError::Limits(why.into()))?;
        // What a preloader forks is to be a child of ours.
        process::adopt_orphans().map_err(StartError::Limits)?;
        let plan =
            RouterPlan::new(options.router_user.as_ref(), options.log_level).map_err(StartError::Router)?;
        let instance = Instance::create(
            &options.registry,
            &options.socket.path,
            options.router_user.as_ref().map(|user| user.gid),
        )
        .map_err(StartError::Instance)?;
        match open_sockets(&instance, &options) {
            Ok((tools, nginx)) => Ok(Self {
                hooks: Hooks::new(&options, originals.clone()),
                launcher: Launcher {
                    users: options.users.clone(),
                    loaders: options.loaders.clone(),
                    environment: spawn::inherited(std::env::vars_os()),
                    originals,
                    ports: Ports::new(),
                },
                processes: Processes::default(),
                forks: Forks::default(),
                routers: Routers::default(),
                shutdown: Shutdown::new(options.shutdown_limit),
                buffer: Buffer::default(),
                strangers: true,
                max_pool_size: usize::try_from(Values(&options.shared).number("max_pool_size"))
                    .unwrap_or(usize::MAX),
                open_files_wanted,
                log,
                options,
                globals: Vec::new(),
                overruled: Vec::new(),
                instance,
                nginx,
                tools,
                signals,
                plan,
            }),
            Err(why) => {
                // The sentence about the sockets is the one that counts.
                let _ = instance.remove();
                Err(why)
            }
        }
    }
}

/// Takes what the flag says, or all that is allowed.
fn limit_open_files(originals: &Originals, options: &Options) -> Result<u64, StartError> {
    let wanted = Values(&options.shared).number("core_file_descriptor_ulimit");
    let reached = originals.limit_open_files(wanted).map_err(StartError::Limits)?;
    if wanted > 0 {
        tell_open_files(wanted, Ok(reached.soft));
    }
    Ok(wanted)
}

type Sockets = (std::os::fd::OwnedFd, NginxSocket);

fn open_sockets(instance: &Instance, options: &Options) -> Result<Sockets, StartError> {
    let router = options.router_user.as_ref();
    instance
        .make_apps(router.map(|account| (account.uid, account.gid)))
        .map_err(|why| StartError::Inside("the apps' directory", why))?;
    let tools = instance.listen_for_tools().map_err(|why| StartError::Inside("the tools' socket", why))?;
    let nginx = NginxSocket::open(&options.socket, Values(&options.shared).number("socket_backlog"))
        .map_err(StartError::Socket)?;
    tell_what_was_chosen(options);
    Ok((tools, nginx))
}

fn tell_what_was_chosen(options: &Options) {
    let path = options.socket.path.display();
    if options.socket.closed_to_nginx {
        let user = unistd::geteuid();
        tracing::warn!(
            "only root and user {user} can connect to {path}: unless nginx's workers run as one of them, \
             give --socket-owner (as root) or --socket-mode"
        );
    }
    let usual = ROUTER_USERS[0];
    if options.router_user.as_ref().is_some_and(|account| account.name == ROUTER_USERS[1]) {
        tracing::info!("the router runs as \"daemon\"; a user \"{usual}\" of its own would be safer");
    }
}
