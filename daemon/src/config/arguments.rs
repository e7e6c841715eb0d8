//! The command line as it was written. Which values make sense is decided in `config`, for all of them together.

use std::path::PathBuf;

use clap::Parser;

/// Application server behind nginx: owns the app processes, outlives nginx's restarts.
///
/// nginx finds it with `passenger_fly_with PATH`. Started as root it runs each app as the user who owns it.
#[derive(Debug, Clone, Default, Parser)]
#[command(name = "flying-passenger", version, max_term_width = 110, args_override_self = true)]
pub struct Arguments {
    /// Where nginx connects: the PATH of its `passenger_fly_with`
    #[arg(long, value_name = "PATH")]
    pub socket_file: PathBuf,

    /// Access mode of the socket, octal [default: 0660 when a group is given or found, else 0600]
    #[arg(long, value_name = "MODE")]
    pub socket_mode: Option<String>,

    /// Owner of the socket, when started as root [default: root, with group www-data or nginx if there is one]
    #[arg(long, value_name = "USER[:GROUP]")]
    pub socket_owner: Option<String>,

    /// How much is logged: 0 to 7, or crit, error, warn, notice, info, debug, debug2, debug3
    #[arg(long, value_name = "LEVEL", default_value = "3")]
    pub log_level: String,

    /// Most app processes at a time
    #[arg(long, value_name = "N", default_value = "6")]
    pub max_pool_size: String,

    /// Seconds after which an idle app process is stopped; 0 for never
    #[arg(long, value_name = "SECONDS", default_value = "300")]
    pub pool_idle_time: String,

    /// Least seconds between two looks at an app's restart.txt
    #[arg(long, value_name = "SECONDS", default_value = "10")]
    pub stat_throttle_rate: String,

    /// Where the instance directory is made [default: $PASSENGER_INSTANCE_REGISTRY_DIR; else for root
    /// /run/flying-passenger; else $XDG_RUNTIME_DIR/flying-passenger or /tmp/flying-passenger-UID]
    #[arg(long, value_name = "DIR")]
    pub instance_registry_dir: Option<PathBuf>,

    /// Runs the apps that no other user can be found for
    #[arg(long, value_name = "USER", default_value = "nobody")]
    pub default_user: String,

    /// Group for the default user [default: its primary group]
    #[arg(long, value_name = "GROUP")]
    pub default_group: Option<String>,

    /// Run every app as the default user
    #[arg(long)]
    pub no_user_switching: bool,

    /// Runs the router, when started as root [default: flying-passenger if there is such a user, else daemon]
    #[arg(long, value_name = "USER")]
    pub router_user: Option<String>,

    /// Most seconds for requests and app processes to end at shutdown
    #[arg(long, value_name = "SECONDS", default_value = "60")]
    pub shutdown_timeout: String,

    /// Where the loaders for Ruby, Python and Node.js are [default: found from where this program is]
    #[arg(long, value_name = "DIR")]
    pub loaders_dir: Option<PathBuf>,
}
