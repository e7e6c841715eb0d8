//! The messages between supervisor and router, and their encoding.

use std::collections::BTreeMap;
use std::path::PathBuf;

use protocol::request::AppKind;
use serde::{Deserialize, Serialize};

use super::{AppMode, Incident, ProcessId, Ticket, Trouble};
use crate::config::{AppDefault, AppOutput, DaemonOption, Hook};

/// Everything the supervisor needs to start one app process. All of it comes from nginx's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpawnSpec {
    /// The group's name: for logs and process titles.
    pub group: String,
    /// How the app is started.
    pub kind: AppKind,
    /// The app's directory, absolute; symlinks are followed at each start.
    pub root: PathBuf,
    /// The startup file, relative to `root` or absolute. Empty for generic apps.
    pub startup_file: PathBuf,
    /// The shell command of a generic app; otherwise empty.
    pub start_command: String,
    /// The interpreter: a path, or a name looked up in `PATH`. Empty for generic apps.
    pub interpreter: String,
    /// `passenger_app_env`.
    pub app_env: String,
    /// The base URI, empty at the root.
    pub base_uri: String,
    /// `passenger_user`, when set.
    pub user: Option<String>,
    /// `passenger_group`, when set.
    pub user_group: Option<String>,
    /// nginx's release, for `SERVER_SOFTWARE`.
    pub server_software: String,
    /// `passenger_env_var` pairs; they override everything else.
    pub env: Vec<(String, String)>,
    /// `passenger_preload_bundler`.
    pub preload_bundler: bool,
    /// `passenger_wsgi_encoded_path`: `PATH_INFO` of a WSGI app stays %-encoded.
    pub wsgi_encoded_path: bool,
    /// Requests that a Ruby or WSGI process works on at a time: `passenger_thread_count`, 1 without threads.
    pub threads: u32,
    /// `passenger_meteor_app_settings`: a file, relative to `root` or absolute; empty for none.
    pub meteor_settings: String,
    /// How a generic app listens.
    pub listen: Listen,
    /// `passenger_load_shell_envvars`: it is started by way of its user's login shell.
    pub load_shell_envvars: bool,
    /// The process is to be a preloader: it loads the app, serves no request, and others are forked from it.
    pub preloader: bool,
    /// `passenger_app_file_descriptor_ulimit`: most open files; `None` for what the daemon was started with.
    pub open_files: Option<u64>,
    /// What its control group may have, where there are any.
    pub limits: CgroupLimits,
    /// `passenger_no_new_privs`: nothing that it runs gains rights.
    pub no_new_privs: bool,
    /// What the router wants back about this process when it is started anew: opaque to the supervisor.
    pub memo: Vec<u8>,
}

/// Limits of a process and everything that it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CgroupLimits {
    /// `passenger_cgroup_memory_max`, in bytes.
    pub memory: Option<u64>,
    /// `passenger_cgroup_tasks_max`: processes and threads.
    pub tasks: Option<u64>,
}

/// How a generic app comes to its listening socket: `passenger_app_listen`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Listen {
    /// It opens the port `$PORT`.
    #[default]
    Port,
    /// It opens a unix socket at the path `$SOCKET`.
    Socket,
    /// It is handed one as systemd does.
    Descriptor,
}

/// Where a process takes connections.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Address {
    /// A unix socket that only the router can reach.
    Unix(PathBuf),
    /// A unix socket that the process opens itself, at a place made for it.
    Own(PathBuf),
    /// A port at 127.0.0.1.
    Tcp(u16),
    /// Nowhere: it is a preloader.
    Nowhere,
}

/// Whom a process runs as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppUser {
    /// User ID.
    pub uid: u32,
    /// Group ID.
    pub gid: u32,
    /// The user's name; the number in digits when it has none.
    pub name: String,
}

/// A live process, as the supervisor knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessRecord {
    /// Its name for the life of the daemon.
    pub process: ProcessId,
    /// Its process ID.
    pub pid: i32,
    /// Where it takes connections.
    pub address: Address,
    /// Whom it runs as.
    pub user: AppUser,
    /// When it was started, by [`clock::steady_ms`](crate::sys::clock::steady_ms).
    pub started_ms: u64,
    /// How many requests it said it takes at a time, 0 for any number; `None` when it did not say.
    pub at_once: Option<u32>,
    /// The revision of its code, when the app's directory tells one.
    pub revision: Option<String>,
    /// What it was started with, as far as that may be shown: for the report of a start that fails. Empty for a forked
    /// process, and once it was told to a router.
    pub environment: BTreeMap<String, String>,
    /// [`SpawnSpec::memo`] as it was given.
    pub memo: Vec<u8>,
}

/// How a process is to be ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StopHow {
    /// Close its owner pipe; generic apps also get SIGTERM.
    Gracefully,
    /// SIGKILL to its process group.
    Kill,
}

/// What is known of an app's restart files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartFiles {
    /// Modification time of `restart.txt` in nanoseconds since 1970; `None` when it is not there.
    pub restart_mtime: Option<i128>,
    /// `always_restart.txt` is there.
    pub always: bool,
}

/// What is in effect of the options that concern the supervisor, after nginx has been heard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adjustment {
    /// How much is logged.
    pub log_level: String,
    /// Most app processes at a time.
    pub max_pool_size: usize,
    /// Each app runs as its owner.
    pub user_switching: bool,
    /// Runs the apps that no other user can be found for.
    pub default_user: String,
    /// Its group; empty for its primary one.
    pub default_group: String,
    /// Where the log goes; empty for standard error as it was at the start.
    pub log_file: String,
    /// Connections from nginx that may wait to be accepted.
    pub socket_backlog: u64,
    /// Most open files of supervisor and router; 0 for what the daemon was started with.
    pub open_files: u64,
    /// What apps print has a frame in the log.
    pub app_prefix: bool,
    /// What the next router is to know: see [`RouterConfig::globals`].
    pub globals: Vec<u8>,
}

/// An option for which nginx's word cannot be followed, with the value that is in effect instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overruled {
    /// The directive without `passenger_`.
    pub name: String,
    /// What is in effect.
    pub value: String,
}

/// What a router must know to work. First message on the link, with descriptors: the listening socket for nginx,
/// then the listening socket for administration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouterConfig {
    /// The socket nginx connects to, for messages.
    pub socket_file: PathBuf,
    /// The instance's name, shown by the tools.
    pub instance_name: String,
    /// The options that nginx may set too, with this daemon's own values.
    pub options: Vec<DaemonOption>,
    /// What holds for apps where nginx says nothing.
    pub app_defaults: Vec<AppDefault>,
    /// The payload of the newest `Globals` frame that an earlier router accepted; empty when there was none.
    pub globals: Vec<u8>,
    /// Where the supervisor could not follow them.
    pub overruled: Vec<Overruled>,
    /// Most seconds that a shutdown takes, and so the end of one process.
    pub shutdown_limit: u64,
    /// Most seconds for a process that is replaced to finish its requests.
    pub drain_limit: u64,
    /// The user who started the daemon: besides root, the administrator.
    pub admin_uid: u32,
    /// The group whose members see everything.
    pub status_gid: Option<u32>,
    /// Where what apps print goes.
    pub app_output: AppOutput,
    /// Most lines that an app prints in 30 seconds to be logged; 0 for any number.
    pub app_output_limit: u64,
    /// Least bytes a second of an upload that occupies what others wait for; 0 for none.
    pub min_upload_rate: u64,
    /// What of an app's life the operator wants programs to be run for.
    pub hooks: Vec<Hook>,
    /// What the supervisor knows to be wrong.
    pub troubles: Vec<(Trouble, String)>,
    /// How many times a router was started before this one.
    pub generation: u32,
}

/// What became of an app's log file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AppLogOpened {
    /// It comes with this, as a descriptor.
    File,
    /// Why it cannot be opened.
    Refused(String),
}

/// Router to supervisor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// Start a process. Answered by [`Notice::Started`] or [`Notice::NotStarted`].
    Spawn {
        /// For the answer.
        ticket: Ticket,
        /// What to start.
        spec: Box<SpawnSpec>,
    },
    /// Fork a process from a preloader that was marked ready. It is and has what the preloader was started with.
    /// Answered by [`Notice::Started`] or [`Notice::NotStarted`].
    Fork {
        /// For the answer.
        ticket: Ticket,
        /// The preloader.
        preloader: ProcessId,
        /// A preloader that has not forked after so many milliseconds is killed.
        within_ms: u64,
        /// As [`SpawnSpec::memo`], for the new process.
        memo: Vec<u8>,
    },
    /// The process serves requests: hand it to the next router if this one ends. Or the preloader can be forked.
    MarkReady {
        /// Which one.
        process: ProcessId,
        /// [`ProcessRecord::at_once`], for the next router.
        at_once: Option<u32>,
        /// [`ProcessRecord::revision`], too.
        revision: Option<String>,
    },
    /// Let the router connect to the socket that the process has opened itself, as far as there is one.
    Admit(ProcessId),
    /// End a process. [`Notice::Exited`] follows when it has ended.
    Stop(ProcessId, StopHow),
    /// Look at an app's restart files. Answered by [`Notice::RestartFiles`].
    LookAtRestartFiles {
        /// For the answer.
        ticket: Ticket,
        /// The directory that holds them, absolute.
        dir: PathBuf,
    },
    /// Tell how much memory these processes hold. Answered by [`Notice::Measured`].
    Measure {
        /// For the answer.
        ticket: Ticket,
        /// Which ones.
        processes: Vec<ProcessId>,
    },
    /// nginx's configuration changes what the supervisor does.
    Adjust(Box<Adjustment>),
    /// Run the programs that the operator named for this.
    Happened(Incident),
    /// What an administrator has said of an app, for the next router.
    SetAppMode {
        /// The group's name.
        app: String,
        /// What was said.
        mode: AppMode,
    },
    /// Have an app's log file opened with the rights of a process of its. Answered by [`Notice::AppLog`].
    OpenAppLog {
        /// For the answer.
        ticket: Ticket,
        /// Whose rights are used.
        process: ProcessId,
        /// The file.
        path: PathBuf,
    },
    /// The administrator asks for the log file to be opened anew. Answered by [`Notice::LogReopened`].
    ReopenLog {
        /// For the answer.
        ticket: Ticket,
    },
    /// Answer to [`Notice::Ping`].
    Pong,
    /// Every request has been answered and every process told to stop: the router is about to exit.
    Finished,
}

/// Supervisor to router.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Notice {
    /// The first message, with the two listening sockets as descriptors.
    Config(RouterConfig),
    /// A process that an earlier router marked ready, with its output pipe as descriptor.
    Adopt(ProcessRecord),
    /// What an administrator has said of an app to an earlier router. Comes before the processes.
    SetAppMode {
        /// The group's name.
        app: String,
        /// What was said.
        mode: AppMode,
    },
    /// A process was started; it is not ready yet. Descriptors: its output pipe, then its report pipe.
    Started {
        /// From the order.
        ticket: Ticket,
        /// The process.
        record: ProcessRecord,
    },
    /// No process was started.
    NotStarted {
        /// From the order.
        ticket: Ticket,
        /// A sentence that names what is wrong.
        reason: String,
    },
    /// A process has ended.
    Exited {
        /// Which one.
        process: ProcessId,
        /// How, as a sentence part: `exited with status 1`, `was killed by signal 9 (SIGKILL)`.
        how: String,
    },
    /// Answer to [`Order::LookAtRestartFiles`].
    RestartFiles {
        /// From the order.
        ticket: Ticket,
        /// What is there.
        found: RestartFiles,
    },
    /// Answer to [`Order::Measure`].
    Measured {
        /// From the order.
        ticket: Ticket,
        /// In bytes, for those that have not ended.
        held: Vec<(ProcessId, u64)>,
    },
    /// The daemon's own configuration was read anew.
    Options(Vec<DaemonOption>),
    /// [`RouterConfig::hooks`], after that.
    Hooks(Vec<Hook>),
    /// Answer to [`Order::Adjust`], when some of it cannot be done.
    Overruled(Vec<Overruled>),
    /// The socket for nginx was made anew: it comes with this, and connections are accepted at both until the old one is
    /// empty.
    Socket,
    /// Answer to [`Order::OpenAppLog`]. Its descriptor is a connection on which one [`AppLogOpened`] comes.
    AppLog {
        /// From the order.
        ticket: Ticket,
    },
    /// Logs are opened anew after a rotation: have those of apps opened, too.
    ReopenAppLogs,
    /// Answer to [`Order::ReopenLog`].
    LogReopened {
        /// From the order.
        ticket: Ticket,
        /// Why the log goes on where it was; `None` when it does not.
        failure: Option<String>,
    },
    /// What is wrong as far as the supervisor knows, for whoever looks; `None` when it is over.
    Trouble {
        /// The kind.
        trouble: Trouble,
        /// A sentence.
        what: Option<String>,
    },
    /// The router may have this many files open; it sets that itself, as the supervisor is not allowed to.
    OpenFiles(u64),
    /// Say that you are there: answered by [`Order::Pong`] as soon as the router's loop turns.
    Ping,
    /// Everything has been handed over: requests may come.
    Serve,
    /// Another router takes over: finish the requests under way, leave the processes alone, send [`Order::Finished`].
    Retire {
        /// Most seconds for it.
        limit: u64,
    },
    /// The daemon is to end: finish what is under way, stop every process, send [`Order::Finished`].
    ShutDown {
        /// Most seconds for all of it.
        limit: u64,
    },
}
