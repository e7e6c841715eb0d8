//! Arguments of `passenger-config doctor`.

use std::path::PathBuf;

use clap::Args;
use clap::builder::PossibleValuesParser;
use protocol::request::AppKind;

/// Tells why an app does not start or answer.
#[derive(Debug, Args)]
pub struct Doctor {
    /// The app's directory: the one that holds public
    pub(super) app: PathBuf,
    /// Its type, as with passenger_app_type [default: found out as nginx does]
    #[arg(long = "type", value_name = "TYPE", value_parser = PossibleValuesParser::new(AppKind::types()))]
    pub(super) app_type: Option<String>,
    /// Runs it as this user, as with passenger_user; for root
    #[arg(long, value_name = "USER")]
    pub(super) user: Option<String>,
    /// Runs it with this group, as with passenger_group; for root
    #[arg(long, value_name = "GROUP")]
    pub(super) group: Option<String>,
    /// As with passenger_app_env, such as development
    #[arg(long, value_name = "NAME")]
    pub(super) environment: Option<String>,
    /// As with passenger_ruby
    #[arg(long, value_name = "PATH")]
    pub(super) ruby: Option<String>,
    /// As with passenger_python
    #[arg(long, value_name = "PATH")]
    pub(super) python: Option<String>,
    /// As with passenger_nodejs
    #[arg(long, value_name = "PATH")]
    pub(super) nodejs: Option<String>,
    /// As with passenger_startup_file
    #[arg(long, value_name = "FILE")]
    pub(super) startup_file: Option<String>,
    /// Runs it by this command, as with passenger_app_start_command
    #[arg(long, value_name = "COMMAND", conflicts_with_all = ["app_type", "startup_file"])]
    pub(super) start_command: Option<String>,
    /// A variable for it, as with passenger_env_var; repeatable
    #[arg(long, value_name = "NAME=VALUE")]
    pub(super) env: Vec<String>,
    /// Asks for this path, with its query
    #[arg(long, value_name = "PATH", default_value = "/")]
    pub(super) path: String,
    /// Most seconds to start, and as many to answer [default: passenger_start_timeout or 90, and 60]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86400))]
    pub(super) timeout: Option<u64>,
    /// Where the loaders are [default: found from where this program is]
    #[arg(long, value_name = "DIR")]
    pub(super) loaders_dir: Option<PathBuf>,
    /// As JSON, when it is over
    #[arg(long)]
    pub(super) json: bool,
}
