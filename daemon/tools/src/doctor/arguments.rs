//! Arguments of `passenger-config doctor`.

use std::path::PathBuf;

use clap::Args;
use clap::builder::PossibleValuesParser;
use protocol::request::AppKind;

/// Diagnoses why an app does not start or respond.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Directory of the app, which contains "public"
    pub(super) app: PathBuf,
    /// Type of the app, as in passenger_app_type [default: detected as nginx does]
    #[arg(long = "type", value_name = "TYPE", value_parser = PossibleValuesParser::new(AppKind::types()))]
    pub(super) app_type: Option<String>,
    /// Run the app as this user, as with passenger_user; requires root
    #[arg(long, value_name = "USER")]
    pub(super) user: Option<String>,
    /// Run the app with this group, as with passenger_group; requires root
    #[arg(long, value_name = "GROUP")]
    pub(super) group: Option<String>,
    /// Environment of the app, as in passenger_app_env, such as "development"
    #[arg(long, value_name = "NAME")]
    pub(super) environment: Option<String>,
    /// Ruby interpreter, as in passenger_ruby
    #[arg(long, value_name = "PATH")]
    pub(super) ruby: Option<String>,
    /// Python interpreter, as in passenger_python
    #[arg(long, value_name = "PATH")]
    pub(super) python: Option<String>,
    /// Node.js program, as in passenger_nodejs
    #[arg(long, value_name = "PATH")]
    pub(super) nodejs: Option<String>,
    /// Startup file, as in passenger_startup_file
    #[arg(long, value_name = "FILE")]
    pub(super) startup_file: Option<String>,
    /// Start the app with this command, as with passenger_app_start_command
    #[arg(long, value_name = "COMMAND", conflicts_with_all = ["app_type", "startup_file"])]
    pub(super) start_command: Option<String>,
    /// Environment variable for the app, as in passenger_env_var; repeatable
    #[arg(long, value_name = "NAME=VALUE")]
    pub(super) env: Vec<String>,
    /// Path and query of the request
    #[arg(long, value_name = "PATH", default_value = "/")]
    pub(super) path: String,
    /// Maximum seconds for the start, and for the response [default: passenger_start_timeout or 90, and 60]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86400))]
    pub(super) timeout: Option<u64>,
    /// Directory of the loaders [default: located relative to this program]
    #[arg(long, value_name = "DIR")]
    pub(super) loaders_dir: Option<PathBuf>,
    /// Print the report as JSON at the end
    #[arg(long)]
    pub(super) json: bool,
}
