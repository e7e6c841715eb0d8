//! Arguments as written become options as usable, with every mistake named at once.
//!
//! It looks at users, groups and directories, and changes nothing.

mod arguments;
mod buffers;
mod mistake;
pub mod places;
mod shared;
mod socket;

use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use nix::unistd::{Gid, Uid};

pub use arguments::Arguments;
pub use mistake::Mistake;
use mistake::Mistakes;
pub use places::{REGISTRY_VARIABLE, usual_registry};
pub use shared::DaemonOption;
pub use socket::{MAX_SOCKET_PATH, SocketOptions};

use crate::log::LogLevel;
use crate::sys::accounts::{self, Account};

/// The options of a daemon, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The socket for nginx.
    pub socket: SocketOptions,
    /// How much is logged.
    pub log_level: LogLevel,
    /// What the router needs to know of the pool.
    pub pool: PoolOptions,
    /// Everything that nginx may set too.
    pub shared: Vec<DaemonOption>,
    /// Where the instance directory is made.
    pub registry: PathBuf,
    /// Whom apps run as.
    pub users: UserOptions,
    /// Whom the router runs as; `None` when the daemon is not root and cannot choose.
    pub router_user: Option<Account>,
    /// Most time for the shutdown.
    pub shutdown_limit: Duration,
    /// Most time for a process that is replaced to finish its requests.
    pub drain_limit: Duration,
    /// The loaders' directory.
    pub loaders: PathBuf,
}

/// What the router needs to know of the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolOptions {
    /// Most app processes at a time.
    pub max_size: usize,
    /// Most processes of one app; 0 for no limit.
    pub max_instances_per_app: u64,
    /// Seconds after which an idle process is stopped.
    pub idle_time: u64,
    /// Least seconds between two looks at an app's restart files.
    pub stat_throttle_rate: u64,
}

/// Whom apps run as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserOptions {
    /// Each app runs as its owner.
    pub switching: bool,
    /// Runs the apps that no other user can be found for.
    pub default_user: String,
    /// Its group; `None` for its primary one.
    pub default_group: Option<String>,
}

impl Options {
    /// Checks `arguments`, for a daemon that runs as `euid`.
    pub fn new(arguments: &Arguments, euid: Uid) -> Result<Self, Vec<Mistake>> {
        let mut mistakes = Mistakes::default();
        let options = Self::gather(arguments, euid, &mut mistakes);
        if mistakes.0.is_empty() { Ok(options) } else { Err(mistakes.0) }
    }

    fn gather(arguments: &Arguments, euid: Uid, mistakes: &mut Mistakes) -> Self {
        let limit = number("--shutdown-timeout", &arguments.shutdown_timeout, 1);
        let drain = number("--drain-timeout", &arguments.drain_timeout, 1);
        let pool = shared::pool_options(arguments, mistakes);
        let log_level = mistakes.keep(shared::log_level_option(arguments));
        let buffers = buffers::options(arguments, mistakes);
        Self {
            socket: socket::options(arguments, euid, mistakes),
            log_level,
            pool,
            shared: shared::options(arguments, &pool, &buffers, log_level),
            registry: mistakes.keep(places::registry(arguments.instance_registry_dir.as_deref(), euid)),
            users: user_options(arguments, euid, mistakes),
            router_user: mistakes.keep(router_user(arguments.router_user.as_deref(), euid)),
            shutdown_limit: Duration::from_secs(mistakes.keep(limit)),
            drain_limit: Duration::from_secs(mistakes.keep(drain)),
            loaders: mistakes.keep(places::loaders(arguments.loaders_dir.as_deref())),
        }
    }
}

fn log_level(text: &str) -> Result<LogLevel, Mistake> {
    text.parse().map_err(|why| Mistake::new("--log-level", format!("\"{text}\" {why}")))
}

fn number<T>(option: &'static str, text: &str, least: T) -> Result<T, Mistake>
where
    T: FromStr + PartialOrd + Display,
{
    let number = text.parse().ok().filter(|number| *number >= least);
    number.ok_or_else(|| Mistake::new(option, format!("\"{text}\" is no number of {least} or more")))
}

/// The names are looked up again at each start of an app, as accounts come and go; here only to tell a typing error.
fn user_options(arguments: &Arguments, euid: Uid, mistakes: &mut Mistakes) -> UserOptions {
    let default_user = arguments.default_user.as_deref().unwrap_or(shared::DEFAULT_USER);
    if euid.is_root() {
        mistakes.keep(user_must_exist("--default-user", default_user).map(drop));
        if let Some(group) = &arguments.default_group {
            mistakes.keep(group_must_exist("--default-group", group).map(drop));
        }
    }
    UserOptions {
        switching: !arguments.no_user_switching,
        default_user: default_user.to_owned(),
        default_group: arguments.default_group.clone(),
    }
}

fn user_must_exist(option: &'static str, name: &str) -> Result<Account, Mistake> {
    match accounts::user_named(name) {
        Ok(Some(account)) => Ok(account),
        Ok(None) => Err(Mistake::new(option, format!("there is no user \"{name}\""))),
        Err(why) => Err(Mistake::new(option, why)),
    }
}

fn group_must_exist(option: &'static str, name: &str) -> Result<Gid, Mistake> {
    match accounts::group_named(name) {
        Ok(Some(gid)) => Ok(gid),
        Ok(None) => Err(Mistake::new(option, format!("there is no group \"{name}\""))),
        Err(why) => Err(Mistake::new(option, why)),
    }
}

/// The router never runs as root; without root there is no choice.
fn router_user(name: Option<&str>, euid: Uid) -> Result<Option<Account>, Mistake> {
    const OPTION: &str = "--router-user";
    if !euid.is_root() {
        return Ok(None);
    }
    if let Some(name) = name {
        let account = user_must_exist(OPTION, name)?;
        if account.uid.is_root() {
            return Err(Mistake::new(OPTION, "the router must not run as root"));
        }
        return Ok(Some(account));
    }
    for name in ROUTER_USERS {
        let found = accounts::user_named(name).map_err(|why| Mistake::new(OPTION, why))?;
        if let Some(account) = found.filter(|account| !account.uid.is_root()) {
            return Ok(Some(account));
        }
    }
    Err(Mistake::new(OPTION, format!("give one, as there is neither {}", ROUTER_USERS.join(" nor "))))
}

/// Tried in this order. The first is made by our packages and runs nothing else.
pub const ROUTER_USERS: [&str; 2] = ["flying-passenger", "daemon"];

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    const ORDINARY: Uid = Uid::from_raw(1000);

    fn options(line: &str) -> Result<Options, Vec<String>> {
        let loaders = concat!("--loaders-dir=", env!("CARGO_MANIFEST_DIR"));
        let words = ["flying-passenger", loaders].into_iter().chain(line.split_whitespace());
        let arguments = Arguments::try_parse_from(words).expect("clap takes it");
        let told = |mistakes: Vec<Mistake>| mistakes.iter().map(Mistake::to_string).collect();
        Options::new(&arguments, ORDINARY).map_err(told)
    }

    #[test]
    fn defaults_are_passengers() {
        let options = options("--socket-file=/run/x/socket").unwrap();
        let pool =
            PoolOptions { max_size: 6, max_instances_per_app: 0, idle_time: 300, stat_throttle_rate: 10 };
        assert_eq!(options.pool, pool);
        assert!(options.shared.iter().all(|option| !option.given));
        assert_eq!(options.users.default_user, "nobody");
        assert!(options.users.switching);
        assert_eq!(options.shutdown_limit, Duration::from_secs(60));
        assert_eq!((options.socket.mode, options.socket.closed_to_nginx), (0o600, true));
        assert_eq!(options.router_user, None);
    }

    #[test]
    fn values_follow_an_equals_sign_or_a_space() {
        let spaced = options("--socket-file /run/x --max-pool-size 9 --log-level debug").unwrap();
        let joined = options("--socket-file=/run/x --max-pool-size=9 --log-level=5").unwrap();
        assert_eq!(spaced, joined);
        assert_eq!(spaced.pool.max_size, 9);
        let given: Vec<_> = spaced.shared.iter().filter(|o| o.given).map(|o| o.name.as_str()).collect();
        assert_eq!(given, ["max_pool_size", "log_level"]);
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        let line = "--socket-file=/run/x --socket-mode=0999 --log-level=loud --max-pool-size=0 \
                    --pool-idle-time=-1 --shutdown-timeout=0 --instance-registry-dir=/nonexistent/registry";
        let told = options(line).unwrap_err().join("\n");
        for option in [
            "--socket-mode",
            "--log-level",
            "--max-pool-size",
            "--pool-idle-time",
            "--shutdown-timeout",
            "--instance-registry-dir",
        ] {
            assert!(told.contains(&format!("{option}: ")), "{option} is missing in:\n{told}");
        }
    }

    #[test]
    fn rejects_a_socket_path_that_the_kernel_would_cut() {
        let longest = format!("/{}", "x".repeat(MAX_SOCKET_PATH - 1));
        assert!(options(&format!("--socket-file={longest}")).is_ok());
        let told = options(&format!("--socket-file={longest}y")).unwrap_err();
        assert!(told[0].contains("108 bytes long; at most 107"), "{told:?}");
    }

    #[test]
    fn rejects_root_as_the_routers_user() {
        let refused = router_user(Some("root"), Uid::from_raw(0)).unwrap_err();
        assert_eq!(refused.to_string(), "--router-user: the router must not run as root");
    }
}
