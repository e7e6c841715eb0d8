//! The daemon's configuration: checks command line and configuration file and reports all errors at once.
//!
//! It checks users, groups and directories, and changes nothing.

mod app_defaults;
mod arguments;
#[cfg(test)]
pub(crate) mod docs_test;
pub(crate) mod error;
mod file;
pub(crate) mod file_values;
pub mod gate;
mod hooks;
mod identities;
mod own_settings;
#[cfg(test)]
pub(crate) mod passenger_flags_test;
pub mod places;
mod setting_flags;
pub mod shared;
mod similar;
mod socket;
mod trusted;
pub(crate) mod value_type;

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::{Gid, Uid};
use protocol::app_settings::{ProcessSettings, SchedulingPolicy};
use protocol::setting::duration;
use serde::{Deserialize, Serialize};

pub use app_defaults::AppDefault;
pub use arguments::{Action, Arguments};
pub use error::ConfigError;
use error::ConfigErrors;
use file_values::File;
pub use file_values::Given;
pub use hooks::{Hook, Hooks};
pub use identities::{AllowedIdentities, MAKE_ROUTER_USER, ROUTER_USER};
use own_settings::OwnValues;
pub use places::{REGISTRY_VARIABLE, usual_registry};
pub use places::{loaders, native_support};
pub use shared::DaemonOption;
use shared::Values;
pub use socket::{MAX_SOCKET_PATH, SocketOptions};
pub use trusted::trusted;

use crate::log::{LogFormat, LogLevel};
use crate::sys::accounts::{self, Account};

/// Returns every key of the configuration file outside of its tables.
pub fn file_keys() -> impl Iterator<Item = &'static str> {
    file::keys().map(|(key, ..)| key)
}

/// The usual directory of environment files that only root may read.
const ENV_DIR: &str = "/etc/flying-passenger/env";

/// The checked options of a daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The socket for nginx.
    pub socket: SocketOptions,
    /// The PID file.
    pub pid_file: Option<PathBuf>,
    /// Whether the daemon runs in the background.
    pub daemonize: bool,
    /// The log level.
    pub log_level: LogLevel,
    /// The log format.
    pub log_format: LogFormat,
    /// The destination of apps' output.
    pub app_output: AppOutput,
    /// Maximum number of lines of an app's output that are logged in 30 seconds; 0 for no limit.
    pub app_output_limit: u64,
    /// Minimum bytes per second of an upload that occupies a process other requests wait for; 0 for none.
    pub min_upload_rate: u64,
    /// Number of threads of the router that serve requests.
    pub router_threads: usize,
    /// The options that nginx may also set.
    pub shared: Vec<DaemonOption>,
    /// The defaults for apps where nginx.conf has no value.
    pub app_defaults: Vec<AppDefault>,
    /// The registry, in which the instance directory is created.
    pub registry: PathBuf,
    /// Whether each process has a separate control group.
    pub cgroups: bool,
    /// The options for the users of apps.
    pub users: UserOptions,
    /// The router's user; `None` if the daemon is not root and cannot switch users.
    pub router_user: Option<Account>,
    /// Users and groups that apps may have although they would otherwise be refused.
    pub allowed: AllowedIdentities,
    /// The variables that apps inherit; `None` for all.
    pub pass_env: Option<Vec<String>>,
    /// The group whose members may see everything through the tools' socket.
    pub status_group: Option<Gid>,
    /// Time limit of the shutdown.
    pub shutdown_limit: Duration,
    /// Time limit for a process that is replaced to finish its requests.
    pub drain_limit: Duration,
    /// The programs to run at events.
    pub hooks: Hooks,
    /// The loaders' directory.
    pub loaders: PathBuf,
    /// The directory of native support for the loaders.
    pub native_support: PathBuf,
    /// The directory below which root reads environment files of apps.
    pub env_dir: PathBuf,
    /// The source of the options, for a reload.
    source: Source,
}

/// The command line, and the directory to which its paths are relative.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Source {
    arguments: Arguments,
    directory: PathBuf,
    euid: Uid,
}

/// The destination of apps' output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum AppOutput {
    /// The daemon's log.
    #[default]
    Log,
    /// Systemd's journal, with the app's name.
    Journald,
}

/// The options for the users of apps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserOptions {
    /// Whether each app runs as its owner.
    pub switching: bool,
    /// The user of apps for which no other user is found.
    pub default_user: String,
    /// Its group; `None` for its primary group.
    pub default_group: Option<String>,
}

impl Options {
    /// Checks the command line and the configuration file that it names, for a daemon that runs as `euid`.
    pub fn new(given: &Arguments, euid: Uid) -> Result<Self, Vec<ConfigError>> {
        let mut errors = ConfigErrors::default();
        let file = given.config.as_deref().map(|path| file::read(path, euid, &mut errors));
        let file = file.unwrap_or_default();
        let source =
            Source { arguments: given.clone(), directory: env::current_dir().unwrap_or_default(), euid };
        let options = Self::gather(given, &file, source, &mut errors);
        errors.unless_any(options)
    }

    /// Reads the configuration again. Changes the working directory to that of the daemon's start, as paths may be
    /// relative to it.
    pub fn read_again(&self) -> Result<Self, Vec<ConfigError>> {
        let Source { arguments, directory, euid } = &self.source;
        if let Err(why) = env::set_current_dir(directory) {
            return Err(vec![ConfigError::new("--config", format!("{}: {why}", directory.display()))]);
        }
        Self::new(arguments, *euid)
    }

    /// Returns the scheduling policy of the router: the default of apps.
    pub fn scheduling_policy(&self) -> SchedulingPolicy {
        let mut settings = ProcessSettings::default();
        for default in &self.app_defaults {
            // `None` for a setting of the router.
            let _ = settings.set(&default.name, &default.value);
        }
        settings.scheduling_policy
    }

    /// Returns the working directory of the daemon's start: paths on its command line may be relative to it.
    pub fn directory(&self) -> &Path {
        &self.source.directory
    }

    /// Returns the keys of the options that differ and apply only at a start.
    pub fn fixed_that_differ(&self, other: &Self) -> Vec<&'static str> {
        let pairs = [
            ("socket_file", self.socket.path == other.socket.path),
            ("socket_mode", self.socket.mode == other.socket.mode),
            (
                "socket_owner",
                (self.socket.owner, self.socket.group) == (other.socket.owner, other.socket.group),
            ),
            ("pid_file", self.pid_file == other.pid_file),
            ("instance_registry_dir", self.registry == other.registry),
            ("router_user", self.router_user == other.router_user),
            ("pass_env", self.pass_env == other.pass_env),
            ("allow_app_users", self.allowed.users == other.allowed.users),
            ("allow_app_groups", self.allowed.groups == other.allowed.groups),
            ("log_format", self.log_format == other.log_format),
            ("the defaults for apps", self.app_defaults == other.app_defaults),
            ("cgroups", self.cgroups == other.cgroups),
            ("app_output", self.app_output == other.app_output),
            ("app_output_limit", self.app_output_limit == other.app_output_limit),
            ("min_upload_rate", self.min_upload_rate == other.min_upload_rate),
            ("router_threads", self.router_threads == other.router_threads),
            ("status_group", self.status_group == other.status_group),
            ("drain_timeout", self.drain_limit == other.drain_limit),
            ("loaders_dir", self.loaders == other.loaders),
            ("native_support_dir", self.native_support == other.native_support),
            ("env_dir", self.env_dir == other.env_dir),
        ];
        pairs.into_iter().filter(|(_, same)| !same).map(|(key, _)| key).collect()
    }

    fn gather(arguments: &Arguments, file: &File, source: Source, errors: &mut ConfigErrors) -> Self {
        let euid = source.euid;
        let own = OwnValues::new(arguments, file, errors);
        let seconds = |name| duration(own.number(name));
        let shared = shared::options(arguments, file, errors);
        let values = Values(&shared);
        let socket = socket::options(&own, euid, errors);
        let router_user = errors.keep(identities::router_user(own.text("router_user"), euid));
        errors.note(identities::apart(router_user.as_ref(), &socket));
        if arguments.daemonize && !values.given("log_file") {
            let why = "requires --log-file, because a daemon in the background has no terminal";
            errors.push(ConfigError::new("--daemonize", why));
        }
        let status_group = own.text("status_group");
        Self {
            socket,
            pid_file: own.path("pid_file").map(|path| errors.keep(places::file("--pid-file", path))),
            daemonize: arguments.daemonize,
            log_level: values.text("log_level").parse().unwrap_or_default(),
            app_output: match own.text("app_output") {
                Some("journald") => AppOutput::Journald,
                _ => AppOutput::Log,
            },
            app_output_limit: own.number("app_output_limit"),
            min_upload_rate: own.number("min_upload_rate"),
            router_threads: own
                .text("router_threads")
                .and_then(|text| text.parse().ok())
                .unwrap_or_else(|| router_threads(processors())),
            log_format: own.text("log_format").and_then(LogFormat::of_name).unwrap_or_default(),
            app_defaults: app_defaults::given(&arguments.settings, file, errors),
            registry: errors.keep(places::registry(own.path("instance_registry_dir"), euid)),
            cgroups: own.flag("cgroups"),
            users: user_options(values, euid, errors),
            status_group: status_group.and_then(|name| errors.note(group_must_exist("--status-group", name))),
            router_user,
            pass_env: own.text("pass_env").map(|text| identities::list(Some(text))),
            allowed: identities::allowed(&own, euid, errors),
            shutdown_limit: seconds("shutdown_timeout"),
            drain_limit: seconds("drain_timeout"),
            hooks: hooks::hooks(arguments, file, errors),
            env_dir: own.path("env_dir").unwrap_or(Path::new(ENV_DIR)).to_path_buf(),
            loaders: errors.keep(places::loaders(own.path("loaders_dir"))),
            native_support: errors.keep(places::native_support(own.path("native_support_dir"))),
            shared,
            source,
        }
    }
}

/// Returns the number of threads of a router with this many processors. One thread saturates a processor when the apps
/// and nginx use about seven others, so a machine of fewer than eight gains nothing by a second one.
fn router_threads(processors: usize) -> usize {
    if processors < 8 { 1 } else { (processors / 4).min(4) }
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Checks the default user and group for typing errors only: they are looked up again at each start of an app.
fn user_options(values: Values<'_>, euid: Uid, errors: &mut ConfigErrors) -> UserOptions {
    let default_user = values.text("default_user").to_owned();
    let default_group = Some(values.text("default_group").to_owned()).filter(|name| !name.is_empty());
    if euid.is_root() {
        if errors
            .note(user_must_exist("--default-user", &default_user))
            .is_some_and(|user| user.uid.is_root())
        {
            errors.push(ConfigError::new("--default-user", "must not be root"));
        }
        let group =
            default_group.as_ref().and_then(|name| errors.note(group_must_exist("--default-group", name)));
        if group.is_some_and(|gid| gid.as_raw() == 0) {
            errors.push(ConfigError::new("--default-group", "must not be group 0"));
        }
    }
    UserOptions { switching: values.flag("user_switching"), default_user, default_group }
}

fn user_must_exist(option: &'static str, name: &str) -> Result<Account, ConfigError> {
    match accounts::user_named(name) {
        Ok(Some(account)) => Ok(account),
        Ok(None) => Err(ConfigError::new(option, format!("unknown user \"{name}\""))),
        Err(why) => Err(ConfigError::new(option, why)),
    }
}

fn group_must_exist(option: &'static str, name: &str) -> Result<Gid, ConfigError> {
    match accounts::group_named(name) {
        Ok(Some(gid)) => Ok(gid),
        Ok(None) => Err(ConfigError::new(option, format!("unknown group \"{name}\""))),
        Err(why) => Err(ConfigError::new(option, why)),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    const ORDINARY: Uid = Uid::from_raw(1000);

    fn options(line: &str) -> Result<Options, Vec<String>> {
        let loaders = concat!("--loaders-dir=", env!("CARGO_MANIFEST_DIR"));
        let words = ["flying-passenger", loaders].into_iter().chain(line.split_whitespace());
        let arguments = Arguments::try_parse_from(words).expect("clap takes it");
        let messages = |errors: Vec<ConfigError>| errors.iter().map(ConfigError::to_string).collect();
        Options::new(&arguments, ORDINARY).map_err(messages)
    }

    #[test]
    fn defaults_are_passengers() {
        let options = options("--socket-file=/run/x/socket").unwrap();
        let values = Values(&options.shared);
        let names = ["max_pool_size", "max_instances_per_app", "pool_idle_time", "stat_throttle_rate"];
        assert_eq!(names.map(|name| values.number(name)), [6, 0, 300, 10]);
        assert_eq!(options.log_level, LogLevel::default());
        assert!(options.shared.iter().all(|option| option.given.is_none()));
        assert_eq!(options.users.default_user, "nobody");
        assert!(options.users.switching);
        assert_eq!(options.shutdown_limit, Duration::from_secs(60));
        assert_eq!((options.socket.mode, options.socket.closed_to_nginx), (0o600, true));
        assert_eq!(options.router_user, None);
    }

    #[test]
    fn every_time_limit_can_be_added_to_an_instant() {
        let options = options(
            "--socket-file=/run/x --shutdown-timeout=9223372036854775807 --drain-timeout=9223372036854775807",
        );
        let Options { shutdown_limit, drain_limit, .. } = options.unwrap();
        for limit in [shutdown_limit, drain_limit] {
            assert!(std::time::Instant::now().checked_add(limit).is_some(), "{limit:?}");
        }
    }

    #[test]
    fn values_follow_an_equals_sign_or_a_space() {
        let spaced = options("--socket-file /run/x --max-pool-size 9 --log-level 5").unwrap();
        let joined = options("--socket-file=/run/x --max-pool-size=9 --log-level=5").unwrap();
        assert_eq!(spaced, joined);
        assert_eq!(Values(&spaced.shared).number("max_pool_size"), 9);
        let given: Vec<_> =
            spaced.shared.iter().filter(|o| o.given.is_some()).map(|o| o.name.as_str()).collect();
        assert_eq!(given, ["max_pool_size", "log_level"]);
    }

    #[test]
    fn all_errors_are_reported_at_once() {
        let line = "--socket-file=/run/x --socket-mode=0999 --log-level=loud --max-pool-size=0 \
                    --pool-idle-time=-1 --core-file-descriptor-ulimit=63 \
                    --shutdown-timeout=0 --instance-registry-dir=/nonexistent/registry";
        let messages = options(line).unwrap_err().join("\n");
        for option in [
            "--socket-mode",
            "--log-level",
            "--max-pool-size",
            "--pool-idle-time",
            "--core-file-descriptor-ulimit",
            "--shutdown-timeout",
            "--instance-registry-dir",
        ] {
            assert!(messages.contains(option), "{option} is missing in:\n{messages}");
        }
    }

    #[test]
    fn ctl_sets_an_option_unless_its_flag_is_given() {
        let line = "--socket-file=/run/x --ctl max_pool_size=9 --ctl=user_switching=on --ctl log_level=4 \
                    --log-level=warn --ctl=log_file=here";
        let options = options(line).unwrap();
        let values = Values(&options.shared);
        assert_eq!((values.number("max_pool_size"), values.text("log_level")), (9, "warn"));
        assert!(values.flag("user_switching") && values.given("user_switching"));
        assert!(values.text("log_file").starts_with('/') && values.text("log_file").ends_with("/here"));
        assert_eq!(options.shared.iter().filter(|option| option.given.is_some()).count(), 4);
    }

    #[test]
    fn rejects_an_unknown_ctl_and_names_what_may_be_meant() {
        for (word, messages) in [
            ("workers=9", "--ctl: unknown option \"workers\"; the options are max_pool_size, "),
            ("pool_size=9", "--ctl: unknown option \"pool_size\"; did you mean \"max_pool_size\"?"),
            ("max_pool_size=0", "--ctl: invalid value \"0\" in \"max_pool_size\": must be a number >= 1"),
            ("max_pool_size", "invalid value \"max_pool_size\" in \"--ctl\": must be NAME=VALUE"),
        ] {
            let refused = options(&format!("--socket-file=/run/x --ctl {word}")).unwrap_err();
            assert!(refused[0].starts_with(messages), "{refused:?}");
        }
    }

    #[test]
    fn hooks_are_programs_by_name_in_the_order_given() {
        let line =
            "--socket-file=/run/x --hook spawn_failed=/bin/true;/bin/false --ctl hook_spawn_failed=/bin/sh";
        let hooks = options(line).unwrap().hooks;
        let programs = ["/bin/true", "/bin/false", "/bin/sh"].map(PathBuf::from).to_vec();
        assert_eq!(hooks, Hooks::from([(Hook::SpawnFailed, programs)]));
    }

    #[test]
    fn rejects_a_hook_that_cannot_be_run() {
        for (word, messages) in [
            (
                "--hook spawned=/bin/true",
                "--hook: unknown hook \"spawned\"; the hooks are attached_process, ",
            ),
            ("--hook spawn_failed", "--hook: \"spawn_failed\" must be NAME=PROGRAM"),
            ("--hook spawn_failed=;", "--hook: spawn_failed: no program is specified"),
            ("--hook spawn_failed=/nonexistent", "--hook: /nonexistent cannot be run: No such file"),
            ("--hook spawn_failed=/etc/passwd", "--hook: /etc/passwd cannot be run: Permission denied"),
            ("--hook spawn_failed=/", "--hook: / is a directory, not a program"),
            ("--ctl hook_spawned=/bin/true", "--ctl: unknown hook \"spawned\""),
        ] {
            let refused = options(&format!("--socket-file=/run/x {word}")).unwrap_err();
            assert!(refused[0].starts_with(messages), "{refused:?}");
        }
    }

    #[test]
    fn rejects_a_socket_path_that_the_kernel_would_cut() {
        let longest = format!("/{}", "x".repeat(MAX_SOCKET_PATH - 1));
        assert!(options(&format!("--socket-file={longest}")).is_ok());
        let messages = options(&format!("--socket-file={longest}y")).unwrap_err();
        assert!(messages[0].contains("108 bytes long; the maximum for a unix socket is 107"), "{messages:?}");
    }

    #[test]
    fn rejects_root_as_the_routers_user() {
        let refused = identities::router_user(Some("root"), Uid::from_raw(0)).unwrap_err();
        assert_eq!(refused.to_string(), "--router-user: the router must not run as root or with group 0");
    }
}
