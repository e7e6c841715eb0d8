//! The messages between supervisor and router.

use std::collections::BTreeMap;
use std::path::PathBuf;

pub use protocol::app_settings::Listen;
use protocol::app_settings::ProcessSettings;
use protocol::request::AppKind;
use protocol::setting::Mebibytes;
use serde::{Deserialize, Serialize};

use super::{AppMode, Incident, Problem, ProcessId, Ticket};
use crate::config::{AppDefault, AppOutput, DaemonOption, Hook};

/// The parameters of the start of an app process. All of them come from nginx's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpawnSpec {
    /// The name of the app group, for logs and process titles.
    pub group: String,
    /// How the app is started.
    pub kind: AppKind,
    /// The app's directory, absolute; symbolic links are resolved at each start.
    pub root: PathBuf,
    /// The startup file, relative to `root` or absolute. Empty for generic apps.
    pub startup_file: PathBuf,
    /// The shell command of a generic app; otherwise empty.
    pub start_command: String,
    /// Why startup file or command were chosen, if they were found in the app's directory; empty if they are configured
    /// or usual.
    pub found: String,
    /// The interpreter: a path, or a name looked up in `PATH`. Empty if it is to be found, and for generic apps.
    pub interpreter: String,
    /// The base URI, empty at the root.
    pub base_uri: String,
    /// nginx's release, for `SERVER_SOFTWARE`.
    pub server_software: String,
    /// Concurrent requests of a Ruby or WSGI process: `passenger_thread_count`, 1 without threads.
    pub threads: u32,
    /// Whether the process is a preloader: it loads the app, serves no requests, and is forked to start others.
    pub preloader: bool,
    /// The settings with which the process is started.
    pub settings: ProcessSettings,
    /// Data that the router gets back when this process is handed to the next router: opaque to the supervisor.
    pub handover_data: Vec<u8>,
}

/// Limits of a process and its descendants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CgroupLimits {
    /// `passenger_cgroup_memory_max`, in bytes.
    pub memory: Option<u64>,
    /// `passenger_cgroup_tasks_max`: processes and threads.
    pub tasks: Option<u64>,
}

impl From<&ProcessSettings> for CgroupLimits {
    fn from(settings: &ProcessSettings) -> Self {
        Self { memory: settings.cgroup_memory_max.map(Mebibytes::bytes), tasks: settings.cgroup_tasks_max }
    }
}

/// The address at which a process accepts connections.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Address {
    /// A unix socket that only the router can connect to.
    Unix(PathBuf),
    /// A unix socket that the process opens itself, in a directory created for it.
    Own(PathBuf),
    /// A port on 127.0.0.1.
    Tcp(u16),
    /// None: it is a preloader.
    Nowhere,
}

/// The user that a process runs as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppUser {
    /// User ID.
    pub uid: u32,
    /// Group ID.
    pub gid: u32,
    /// The user's name; its number if it has none.
    pub name: String,
}

/// A live process in the supervisor's table. The renamed fields have the names of the state that an upgrade hands over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessRecord {
    /// Its ID for the life of the daemon.
    pub process: ProcessId,
    /// Its process ID.
    pub pid: i32,
    /// The address at which it accepts connections.
    pub address: Address,
    /// The user that it runs as.
    pub user: AppUser,
    /// Its start time by [`clock::steady_ms`](crate::sys::clock::steady_ms).
    pub started_ms: u64,
    /// The number of concurrent requests that it reported, 0 for any number; `None` if it reported none.
    #[serde(rename = "at_once")]
    pub max_concurrent: Option<u32>,
    /// The revision of its code, if the app's directory contains one.
    pub revision: Option<String>,
    /// Whether its loader uses native support: `yes`, or `no: ` and the reason; `None` for other apps.
    #[serde(default)]
    pub native: Option<String>,
    /// The parts of its environment at the start that may be shown, for the report of a failed start. Empty for a
    /// forked process, and after the notice to the router.
    pub environment: BTreeMap<String, String>,
    /// [`SpawnSpec::handover_data`] as it was given.
    #[serde(rename = "memo")]
    pub handover_data: Vec<u8>,
}

/// How a process is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StopHow {
    /// Close its owner pipe; generic apps also get SIGTERM.
    Gracefully,
    /// SIGKILL to its process group.
    Kill,
}

/// The state of an app's restart files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartFiles {
    /// Modification time of `restart.txt` in nanoseconds since 1970; `None` if the file does not exist.
    pub restart_mtime: Option<i128>,
    /// Whether `always_restart.txt` exists.
    pub always: bool,
}

/// The effective values of the options that concern the supervisor, including nginx's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SupervisorOptions {
    /// The log level.
    pub log_level: String,
    /// Maximum number of app processes at a time.
    pub max_pool_size: usize,
    /// Whether each app runs as its owner.
    pub user_switching: bool,
    /// The user of apps for which no other user is found.
    pub default_user: String,
    /// Its group; empty for its primary group.
    pub default_group: String,
    /// The log file; empty for standard error as it was at the start.
    pub log_file: String,
    /// The maximum number of connections from nginx that wait to be accepted.
    pub socket_backlog: u64,
    /// Maximum number of open files of supervisor and router; 0 for the limit of the daemon at its start.
    pub open_files: u64,
    /// Whether output of apps gets a prefix in the log.
    pub app_prefix: bool,
    /// Data for the next router: see [`RouterConfig::globals`].
    pub globals: Vec<u8>,
}

/// An option for which nginx's value is not applied, with the effective value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverriddenOption {
    /// The directive without `passenger_`.
    pub name: String,
    /// The effective value.
    pub value: String,
}

/// The configuration of a router: the first message on the link. Its descriptors are the listening socket for nginx and
/// the listening socket for administration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouterConfig {
    /// The socket nginx connects to, for messages.
    pub socket_file: PathBuf,
    /// The instance's name, shown by the tools.
    pub instance_name: String,
    /// The options that nginx may also set, with this daemon's own values.
    pub options: Vec<DaemonOption>,
    /// The defaults for apps where nginx.conf has no value.
    pub app_defaults: Vec<AppDefault>,
    /// The payload of the last `Globals` frame that an earlier router accepted; empty if there was none.
    pub globals: Vec<u8>,
    /// The options of it that the supervisor could not apply.
    pub overridden: Vec<OverriddenOption>,
    /// Maximum seconds for a shutdown, and so for the end of one process.
    pub shutdown_limit: u64,
    /// Maximum seconds for a process that is replaced to finish its requests.
    pub drain_limit: u64,
    /// The user who started the daemon, an administrator besides root.
    pub admin_uid: u32,
    /// The group whose members may see everything.
    pub status_gid: Option<u32>,
    /// The destination of apps' output.
    pub app_output: AppOutput,
    /// Maximum number of lines of an app's output that are logged in 30 seconds; 0 for no limit.
    pub app_output_limit: u64,
    /// Minimum bytes per second of an upload that occupies a process other requests wait for; 0 for none.
    pub min_upload_rate: u64,
    /// Number of threads that serve requests.
    pub threads: usize,
    /// The app hooks for which the operator has configured programs.
    pub hooks: Vec<Hook>,
    /// The problems that the supervisor knows.
    pub problems: Vec<(Problem, String)>,
    /// The number of routers started before this one.
    pub generation: u32,
    /// The variables that apps inherit from the daemon, for commands that run as an app; `None` if they are too long.
    pub environment: Option<Vec<(String, String)>>,
}

/// The result of opening an app's log file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AppLogOpened {
    /// It was opened and is sent along as a descriptor.
    File,
    /// Why it cannot be opened.
    Refused(String),
}

/// Router to supervisor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// Start a process. Answered by [`Notice::Started`] or [`Notice::NotStarted`].
    Spawn {
        /// The ticket of the answer.
        ticket: Ticket,
        /// What to start.
        spec: Box<SpawnSpec>,
    },
    /// Fork a process from a preloader that was marked ready. It has the user and environment of the preloader.
    /// Answered by [`Notice::Started`] or [`Notice::NotStarted`].
    Fork {
        /// The ticket of the answer.
        ticket: Ticket,
        /// The preloader.
        preloader: ProcessId,
        /// A preloader that has not forked after this many milliseconds is killed.
        within_ms: u64,
        /// As [`SpawnSpec::handover_data`], for the new process.
        handover_data: Vec<u8>,
    },
    /// The process serves requests: hand it to the next router if this one ends. Or the preloader can be forked.
    MarkReady {
        /// The process.
        process: ProcessId,
        /// [`ProcessRecord::max_concurrent`], for the next router.
        max_concurrent: Option<u32>,
        /// [`ProcessRecord::revision`], likewise.
        revision: Option<String>,
        /// [`ProcessRecord::native`], likewise.
        native: Option<String>,
    },
    /// Let the router connect to the socket that the process has opened itself, if there is one.
    Admit(ProcessId),
    /// End a process. [`Notice::Exited`] follows when it has ended.
    Stop(ProcessId, StopHow),
    /// Check an app's restart files. Answered by [`Notice::RestartFiles`].
    CheckRestartFiles {
        /// The ticket of the answer.
        ticket: Ticket,
        /// The directory that contains them, absolute.
        dir: PathBuf,
    },
    /// Measure the memory of these processes. Answered by [`Notice::Measured`].
    Measure {
        /// The ticket of the answer.
        ticket: Ticket,
        /// The processes.
        processes: Vec<ProcessId>,
    },
    /// Apply nginx's configuration to the supervisor.
    ApplyOptions(Box<SupervisorOptions>),
    /// Run the programs that the operator has configured for this event.
    Happened(Incident),
    /// Keep an app mode set by an administrator, for the next router.
    SetAppMode {
        /// The group's name.
        app: String,
        /// The mode.
        mode: AppMode,
    },
    /// Open an app's log file with the rights of one of its processes. Answered by [`Notice::AppLog`].
    OpenAppLog {
        /// The ticket of the answer.
        ticket: Ticket,
        /// The process whose rights are used.
        process: ProcessId,
        /// The file.
        path: PathBuf,
    },
    /// Reopen the log file, as requested by an administrator. Answered by [`Notice::LogReopened`].
    ReopenLog {
        /// The ticket of the answer.
        ticket: Ticket,
    },
    /// Answer to [`Notice::Ping`].
    Pong,
    /// Every request has been answered and every process asked to stop: the router is about to exit.
    Finished,
}

/// Supervisor to router.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Notice {
    /// The first message, with the two listening sockets as descriptors.
    Config(RouterConfig),
    /// A process that an earlier router marked ready, with its output pipe as descriptor.
    Adopt(ProcessRecord),
    /// An app mode that an administrator set while an earlier router ran. Comes before the processes.
    SetAppMode {
        /// The group's name.
        app: String,
        /// The mode.
        mode: AppMode,
    },
    /// A process was started; it is not ready yet. Descriptors: its output pipe, then its report pipe.
    Started {
        /// The ticket of the order.
        ticket: Ticket,
        /// The process.
        record: ProcessRecord,
    },
    /// No process was started.
    NotStarted {
        /// The ticket of the order.
        ticket: Ticket,
        /// The error message.
        reason: String,
    },
    /// A process has ended.
    Exited {
        /// The process.
        process: ProcessId,
        /// How, as a sentence part: `exited with status 1`, `was killed by signal 9 (SIGKILL)`.
        how: String,
    },
    /// The restart files in a directory that was checked may have changed.
    RestartFilesChanged {
        /// The directory, as the order named it.
        dir: PathBuf,
    },
    /// Answer to [`Order::CheckRestartFiles`].
    RestartFiles {
        /// The ticket of the order.
        ticket: Ticket,
        /// The state of the files.
        found: RestartFiles,
    },
    /// Answer to [`Order::Measure`].
    Measured {
        /// The ticket of the order.
        ticket: Ticket,
        /// Memory in bytes of the processes that have not ended.
        held: Vec<(ProcessId, u64)>,
    },
    /// The daemon's own configuration was read again.
    Options(Vec<DaemonOption>),
    /// The hooks of the configuration that was read again: see [`RouterConfig::hooks`].
    Hooks(Vec<Hook>),
    /// Answer to [`Order::ApplyOptions`] if some of it cannot be applied.
    Overridden(Vec<OverriddenOption>),
    /// The socket for nginx was created again: it is sent along, and connections are accepted on both until the old one
    /// is empty.
    Socket,
    /// Answer to [`Order::OpenAppLog`]. Its descriptor is a connection on which one [`AppLogOpened`] is sent.
    AppLog {
        /// The ticket of the order.
        ticket: Ticket,
    },
    /// The logs are reopened after a rotation: reopen those of apps, too.
    ReopenAppLogs,
    /// Answer to [`Order::ReopenLog`].
    LogReopened {
        /// The ticket of the order.
        ticket: Ticket,
        /// Why the log continues in the old file; `None` if it was reopened.
        failure: Option<String>,
    },
    /// A problem that the supervisor knows, for the status page; `None` when it is resolved.
    Problem {
        /// The kind.
        problem: Problem,
        /// The description.
        what: Option<String>,
    },
    /// The router may have this many files open; it sets the limit itself, as the supervisor is not permitted to.
    OpenFiles(u64),
    /// Liveness check: answered by [`Order::Pong`] in the next iteration of the router's loop.
    Ping,
    /// Everything has been handed over: start to accept requests.
    Serve,
    /// Another router takes over: finish current requests, leave the processes running, send [`Order::Finished`].
    Retire {
        /// Maximum seconds for it.
        limit: u64,
    },
    /// The daemon ends: finish current requests, stop every process, send [`Order::Finished`].
    ShutDown {
        /// Maximum seconds for all of it.
        limit: u64,
    },
}
