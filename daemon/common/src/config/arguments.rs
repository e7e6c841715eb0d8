//! The command line as parsed. The values are checked in `config`, all of them together.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use super::setting_flags::SettingFlags;

/// Application server behind nginx: owns the app processes, outlives nginx's restarts.
///
/// nginx connects to the socket that `passenger_fly_with PATH` names. A daemon that is started as root runs each app as the
/// user who owns it. An option whose default is `nginx or …` can be set in nginx.conf as well; a value on the command line
/// or in the file takes precedence.
#[derive(Debug, Clone, Default, PartialEq, Eq, Parser)]
#[command(name = "flying-passenger", version, max_term_width = 110, args_override_self = true)]
pub struct Arguments {
    /// Action [default: serve]
    #[arg(value_enum)]
    pub action: Option<Action>,

    /// Configuration file, in TOML: its keys are the names of the flags
    #[arg(long, value_name = "PATH")]
    pub config: Option<PathBuf>,

    /// Socket for nginx: the PATH of its `passenger_fly_with`. Required, here or in the file
    #[arg(long, value_name = "PATH")]
    pub socket_file: Option<PathBuf>,

    /// Access mode of the socket, octal [default: 0660 when a group is given or found, else 0600]
    #[arg(long, value_name = "MODE")]
    pub socket_mode: Option<String>,

    /// Owner of the socket, when started as root [default: root, with group www-data or nginx if there is one]
    #[arg(long, value_name = "USER[:GROUP]")]
    pub socket_owner: Option<String>,

    /// Group whose members may list all apps with passenger-status [default: none]
    #[arg(long, value_name = "GROUP")]
    pub status_group: Option<String>,

    /// Format of the log: plain, json, or journald, which omits what systemd's journal adds [default: plain]
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,

    /// Destination of the output of apps: log, or journald for systemd's journal, with the name of the app [default: log]
    #[arg(long, value_name = "DESTINATION")]
    pub app_output: Option<String>,

    /// Maximum number of lines of output of one app that are logged in 30 seconds, where a long line counts once for each
    /// KiB; 0 for no limit [default: 10000]
    #[arg(long, value_name = "LINES")]
    pub app_output_limit: Option<String>,

    /// Minimum average rate of an unbuffered upload, in bytes per second, after 20 seconds and while other requests wait
    /// for its process; 0 for no limit [default: 500]
    #[arg(long, value_name = "BYTES")]
    pub min_upload_rate: Option<String>,

    /// Run each app process in a control group, with the limits of its app in nginx.conf; the control group of the daemon
    /// must be delegated to it
    #[arg(long)]
    pub cgroups: bool,

    /// Continue in the background when the socket is open; requires a log file
    #[arg(long)]
    pub daemonize: bool,

    /// PID file, which the daemon locks
    #[arg(long, value_name = "PATH")]
    pub pid_file: Option<PathBuf>,

    /// Set an option by the name of its directive without passenger_; the flag of the option takes precedence; repeatable
    #[arg(long, value_name = "NAME=VALUE")]
    pub ctl: Vec<String>,

    /// Run a program at an event, which its environment describes; repeatable
    #[arg(long, value_name = "NAME=PROGRAM")]
    pub hook: Vec<String>,

    /// Directory in which the instance directory is created [default: $PASSENGER_INSTANCE_REGISTRY_DIR; otherwise
    /// /run/flying-passenger for root, else $XDG_RUNTIME_DIR/flying-passenger or /tmp/flying-passenger-UID]
    #[arg(long, value_name = "DIR")]
    pub instance_registry_dir: Option<PathBuf>,

    /// User of the router of a daemon that is started as root; the user must run nothing else [default: flying-passenger]
    #[arg(long, value_name = "USER")]
    pub router_user: Option<String>,

    /// Users that apps may run as although these can connect to nginx's socket, and so control the apps of all users: names
    /// separated by commas, or * for all [default: none]
    #[arg(long, value_name = "LIST")]
    pub allow_app_users: Option<String>,

    /// Groups that apps may have although their users are not members, or although these groups can connect to nginx's
    /// socket: names separated by commas, or * for all [default: none]
    #[arg(long, value_name = "LIST")]
    pub allow_app_groups: Option<String>,

    /// Variables of the daemon's environment that apps inherit: names separated by commas, where a * at the end matches
    /// any characters. PATH, TZ, LANG and LC_* are always inherited [default: all]
    #[arg(long, value_name = "LIST")]
    pub pass_env: Option<String>,

    /// Time limit for requests and app processes at shutdown, in seconds [default: 60]
    #[arg(long, value_name = "SECONDS")]
    pub shutdown_timeout: Option<String>,

    /// Time limit for the requests of a process that is replaced, in seconds [default: 600]
    #[arg(long, value_name = "SECONDS")]
    pub drain_timeout: Option<String>,

    /// Directory of the loaders for Ruby, Python and Node.js [default: found relative to this program]
    #[arg(long, value_name = "DIR")]
    pub loaders_dir: Option<PathBuf>,

    /// The flags for settings.
    #[command(flatten)]
    pub settings: SettingFlags,
}

/// Actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Action {
    /// Run the daemon.
    Serve,
    /// Check flags and file, and start nothing
    CheckConfig,
}
