//! Arguments of `passenger start`: those of Passenger Standalone where they apply, and few others.

use std::path::PathBuf;

use clap::Args;
use clap::builder::PossibleValuesParser;
use protocol::request::AppKind;

use crate::chosen_apps::absolute;

/// Runs an app until Ctrl-C, and restarts it when its files change.
#[derive(Debug, Args)]
pub(crate) struct Start {
    /// Directory of the app [default: the current directory]
    dir: Option<PathBuf>,
    /// Port; 0 for any that is free [default: 3000]
    #[arg(short, long, value_name = "PORT")]
    pub(super) port: Option<u16>,
    /// IP address to listen on; 0.0.0.0 lets other machines connect [default: 127.0.0.1]
    #[arg(short, long, value_name = "ADDRESS")]
    pub(super) address: Option<String>,
    /// Environment of the app [default: development]
    #[arg(short, long, value_name = "NAME")]
    pub(super) environment: Option<String>,
    /// Return when the app's address accepts connections, and run in the background
    #[arg(short, long)]
    pub(super) daemonize: bool,
    /// Run a Ruby app with this startup file instead of config.ru
    #[arg(short = 'R', long, value_name = "FILE", conflicts_with_all = ["app_type", "startup_file"])]
    pub(super) rackup: Option<String>,
    /// Type of the app [default: detected]
    #[arg(long, value_name = "TYPE", value_parser = PossibleValuesParser::new(AppKind::types()))]
    pub(super) app_type: Option<String>,
    /// Startup file, relative to the app's directory [default: detected]
    #[arg(long, value_name = "FILE")]
    pub(super) startup_file: Option<String>,
    /// Start the app with this command; it listens on $PORT
    #[arg(long, value_name = "COMMAND", conflicts_with_all = ["app_type", "startup_file", "rackup"])]
    pub(super) app_start_command: Option<String>,
    /// Maximum number of processes [default: 6]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) max_pool_size: Option<u32>,
    /// Number of processes that always run [default: 1]
    #[arg(long, value_name = "N")]
    pub(super) min_instances: Option<u32>,
    /// Ruby interpreter
    #[arg(long, value_name = "PATH")]
    pub(super) ruby: Option<String>,
    /// Python interpreter
    #[arg(long, value_name = "PATH")]
    pub(super) python: Option<String>,
    /// Node.js program
    #[arg(long, value_name = "PATH")]
    pub(super) nodejs: Option<String>,
    /// Environment variable for the app; repeatable
    #[arg(long, value_name = "NAME=VALUE")]
    pub(super) envvar: Vec<String>,
    /// Run the app with the variables that the login shell exports, in addition to those of this command
    #[arg(long)]
    pub(super) load_shell_envvars: bool,
    /// Do not restart the app when its files change
    #[arg(long)]
    pub(super) no_watch: bool,
    /// Do not restart the app when files of this name change; may contain *; repeatable
    #[arg(long, value_name = "PATTERN")]
    pub(super) ignore: Vec<String>,
    /// Also write the output to this file
    #[arg(long, value_name = "PATH")]
    pub(super) log_file: Option<PathBuf>,
    /// Write the PID of this command to this file
    #[arg(long, value_name = "PATH")]
    pub(super) pid_file: Option<PathBuf>,
    /// Run everything as this user; requires root [default: the owner of the directory]
    #[arg(long, value_name = "USER")]
    pub(super) user: Option<String>,
    /// Directory of the loaders [default: located relative to this program]
    #[arg(long, value_name = "DIR", hide = true)]
    pub(super) loaders_dir: Option<PathBuf>,
    /// Accepted for scripts of Passenger: there is no cache
    #[arg(long, hide = true)]
    disable_turbocaching: bool,
}

impl Start {
    /// Returns the app's directory.
    pub(super) fn root(&self) -> Result<PathBuf, String> {
        app_directory(self.dir.as_deref())
    }
}

/// Returns the absolute path of the given directory, without symbolic links, or of the current one.
pub(super) fn app_directory(given: Option<&std::path::Path>) -> Result<PathBuf, String> {
    let path = absolute(given.unwrap_or(std::path::Path::new(".")))?;
    let found = path.canonicalize().map_err(|err| format!("cannot use {}: {err}", path.display()))?;
    if found.is_dir() {
        return Ok(found);
    }
    Err(format!("{} is not a directory; specify the directory of the app", path.display()))
}
