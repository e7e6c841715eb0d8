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

    /// Continue in the background when the socket is open; requires a log file
    #[arg(long)]
    pub daemonize: bool,

    /// Set an option by the name of its directive without passenger_; the flag of the option takes precedence; repeatable
    #[arg(long, value_name = "NAME=VALUE")]
    pub ctl: Vec<String>,

    /// Run a program at an event, which its environment describes; repeatable
    #[arg(long, value_name = "NAME=PROGRAM")]
    pub hook: Vec<String>,

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
