//! The command line as parsed. The values are checked in `config`, all of them together.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use super::app_defaults::AppDefaults;

/// Application server behind nginx: owns the app processes, outlives nginx's restarts.
///
/// nginx finds it with `passenger_fly_with PATH`. Started as root it runs each app as the user who owns it. An option
/// whose default is `nginx or …` can be set in nginx.conf as well; given here, it counts and nginx's is not used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Parser)]
#[command(name = "flying-passenger", version, max_term_width = 110, args_override_self = true)]
pub struct Arguments {
    /// What to do [default: serve]
    #[arg(value_enum)]
    pub action: Option<Action>,

    /// A file that says what flags do not: TOML, with the flags' names
    #[arg(long, value_name = "PATH")]
    pub config: Option<PathBuf>,

    /// Where nginx connects: the PATH of its `passenger_fly_with`. Needed, here or in the file
    #[arg(long, value_name = "PATH")]
    pub socket_file: Option<PathBuf>,

    /// Access mode of the socket, octal [default: 0660 when a group is given or found, else 0600]
    #[arg(long, value_name = "MODE")]
    pub socket_mode: Option<String>,

    /// Owner of the socket, when started as root [default: root, with group www-data or nginx if there is one]
    #[arg(long, value_name = "USER[:GROUP]")]
    pub socket_owner: Option<String>,

    /// Its members see all apps with passenger-status, and change none [default: no group]
    #[arg(long, value_name = "GROUP")]
    pub status_group: Option<String>,

    /// How much is logged: 0 to 7, or crit, error, warn, notice, info, debug, debug2, debug3 [nginx or 3]
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,

    /// Where the log goes: a file, opened again at SIGUSR1 [nginx or standard error]
    #[arg(long, value_name = "PATH")]
    pub log_file: Option<String>,

    /// What a line of the log looks like: plain, json, or journald for a journal that adds time and process
    /// [default: plain]
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,

    /// Where what apps print goes: log, or journald for systemd's journal, under the name of each app [default: log]
    #[arg(long, value_name = "DESTINATION")]
    pub app_output: Option<String>,

    /// How many lines that an app prints in 30 seconds are logged, a long one counting once for each KiB; 0 for any
    /// number [default: 10000]
    #[arg(long, value_name = "LINES")]
    pub app_output_limit: Option<String>,

    /// Least bytes a second of an upload that nginx passes on while it comes, averaged and after 20 seconds, when other
    /// requests wait for the process that it occupies; 0 for no limit [default: 500]
    #[arg(long, value_name = "BYTES")]
    pub min_upload_rate: Option<String>,

    /// Gives each app process a control group of its own, with the limits that its app has in nginx.conf; the daemon's
    /// own group has to be delegated to it
    #[arg(long)]
    pub cgroups: bool,

    /// Goes on in the background once it listens; needs a log file, as there is no terminal to log to
    #[arg(long)]
    pub daemonize: bool,

    /// Where the daemon's PID is written; locked as long as it lives
    #[arg(long, value_name = "PATH")]
    pub pid_file: Option<PathBuf>,

    /// Lines that apps print are logged as they are, without time, process and level
    #[arg(long)]
    pub disable_log_prefix: bool,

    /// Most app processes at a time [nginx or 6]
    #[arg(long, value_name = "N")]
    pub max_pool_size: Option<String>,

    /// Most processes of one app, whatever its own settings allow; 0 for no limit [nginx or 0]
    #[arg(long, value_name = "N")]
    pub max_instances_per_app: Option<String>,

    /// Seconds after which an idle app process is stopped; 0 for never [nginx or 300]
    #[arg(long, value_name = "SECONDS")]
    pub pool_idle_time: Option<String>,

    /// Least seconds between two looks at an app's restart.txt [nginx or 10]
    #[arg(long, value_name = "SECONDS")]
    pub stat_throttle_rate: Option<String>,

    /// Answers do not tell this program's version in X-Powered-By
    #[arg(long)]
    pub no_show_version_in_header: bool,

    /// How many connections from nginx may wait to be accepted; net.core.somaxconn caps it [nginx or 4096]
    #[arg(long, value_name = "N")]
    pub socket_backlog: Option<String>,

    /// Most open files of the daemon, not of its apps [nginx or the hard limit that it is started with]
    #[arg(long, value_name = "N")]
    pub core_file_descriptor_ulimit: Option<String>,

    /// Sets an option by the name of its directive without passenger_, as its own flag does, which counts more;
    /// repeatable
    #[arg(long, value_name = "NAME=VALUE")]
    pub ctl: Vec<String>,

    /// Runs a program when something happens, with what happened in its environment; repeatable
    #[arg(long, value_name = "NAME=PROGRAM")]
    pub hook: Vec<String>,

    /// Most bytes of one answer kept on disk while its client is slow; 0 for no limit [nginx or 134217728]
    #[arg(long, value_name = "BYTES")]
    pub response_buffer_high_watermark: Option<String>,

    /// Where these are kept [nginx or /var/tmp]
    #[arg(long, value_name = "DIR")]
    pub data_buffer_dir: Option<String>,

    /// Where the instance directory is made [default: $PASSENGER_INSTANCE_REGISTRY_DIR; else for root
    /// /run/flying-passenger; else $XDG_RUNTIME_DIR/flying-passenger or /tmp/flying-passenger-UID]
    #[arg(long, value_name = "DIR")]
    pub instance_registry_dir: Option<PathBuf>,

    /// Runs the apps that no other user can be found for [nginx or nobody]
    #[arg(long, value_name = "USER")]
    pub default_user: Option<String>,

    /// Group for the default user [nginx or its primary group]
    #[arg(long, value_name = "GROUP")]
    pub default_group: Option<String>,

    /// Run every app as the default user
    #[arg(long)]
    pub no_user_switching: bool,

    /// Runs the router, when started as root, and nothing else [default: flying-passenger]
    #[arg(long, value_name = "USER")]
    pub router_user: Option<String>,

    /// Users that apps may run as although they can connect to nginx's socket, and so control the apps of all users:
    /// names with commas between them, or * [default: none]
    #[arg(long, value_name = "LIST")]
    pub allow_app_users: Option<String>,

    /// Groups that apps may have although their users are not members, or although these groups can connect to nginx's
    /// socket: names with commas between them, or * [default: none]
    #[arg(long, value_name = "LIST")]
    pub allow_app_groups: Option<String>,

    /// Variables of the daemon's environment that apps inherit: names with commas between them; a * at the end of a name
    /// stands for any end. PATH, TZ, LANG and LC_* are inherited in any case [default: all]
    #[arg(long, value_name = "LIST")]
    pub pass_env: Option<String>,

    /// Most seconds for requests and app processes to end at shutdown [default: 60]
    #[arg(long, value_name = "SECONDS")]
    pub shutdown_timeout: Option<String>,

    /// Most seconds for a process that is replaced to finish the requests it has [default: 600]
    #[arg(long, value_name = "SECONDS")]
    pub drain_timeout: Option<String>,

    /// Where the loaders for Ruby, Python and Node.js are [default: found from where this program is]
    #[arg(long, value_name = "DIR")]
    pub loaders_dir: Option<PathBuf>,

    /// What holds for apps where nginx.conf says nothing.
    #[command(flatten)]
    pub app_defaults: AppDefaults,
}

/// What the program is started for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Action {
    /// Be the daemon.
    Serve,
    /// Only tell whether flags and file can be used, and start nothing
    CheckConfig,
}
