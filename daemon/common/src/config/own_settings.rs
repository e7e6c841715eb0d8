//! The settings of the daemon that nginx cannot change.

use std::collections::BTreeMap;
use std::path::Path as FilePath;

use protocol::setting::{Setting, count, flag, number, one_of, optional, threads};
use protocol::setting_type::SettingType::{Directory, Path, Text};
use protocol::settings::Value;

use super::arguments::Arguments;
use super::error::ConfigErrors;
use super::file_values::File;
use super::setting_flags::with_flag;
use super::shared;
use crate::log::LogFormat;

/// The definitions. The name is the key in the file.
pub(super) const OWN_SETTINGS: &[Setting] = &[
    own(optional(Path), "socket_file", "Socket for nginx: the PATH of its `passenger_fly_with`. Required, here or in the file")
        .flag("socket-file", "PATH"),
    own(
        optional(Text),
        "socket_mode",
        "Access mode of the socket, octal [default: 0660 when a group is configured or found, otherwise 0600]",
    )
    .flag("socket-mode", "MODE"),
    own(
        optional(Text),
        "socket_owner",
        "Owner of the socket of a daemon that is started as root [default: root, with group www-data or nginx if there is \
         one]",
    )
    .flag("socket-owner", "USER[:GROUP]"),
    own(
        optional(Text),
        "status_group",
        "Group whose members may list all apps with passenger-status [default: none]",
    )
    .flag("status-group", "GROUP"),
    own(
        one_of(LogFormat::NAMES, "plain"),
        "log_format",
        "Format of the log: plain, json, or journald, which omits what systemd's journal adds [default: plain]",
    )
    .flag("log-format", "FORMAT"),
    own(
        one_of(&["log", "journald"], "log"),
        "app_output",
        "Destination of the output of apps: log, or journald for systemd's journal, with the name of the app [default: log]",
    )
    .flag("app-output", "DESTINATION"),
    own(
        number(10000),
        "app_output_limit",
        "Maximum number of lines of output of one app that are logged in 30 seconds, where a long line counts once for each \
         KiB; 0 for no limit [default: 10000]",
    )
    .flag("app-output-limit", "LINES"),
    own(
        number(500),
        "min_upload_rate",
        "Minimum average rate of an unbuffered upload, in bytes per second, after 20 seconds and while other requests wait \
         for its process; 0 for no limit [default: 500]",
    )
    .flag("min-upload-rate", "BYTES"),
    own(
        threads(),
        "router_threads",
        "Number of threads that serve requests, or auto: 1, or with 8 processors and more, one for each 4, but at most 4 \
         [default: auto]",
    )
    .flag("router-threads", "N"),
    own(
        flag(false),
        "cgroups",
        "Run each app process in a control group, with the limits of its app in nginx.conf; the control group of the daemon \
         must be delegated to it",
    )
    .flag_that_sets("on", "cgroups"),
    own(optional(Path), "pid_file", "PID file, which the daemon locks").flag("pid-file", "PATH"),
    own(
        optional(Directory),
        "instance_registry_dir",
        "Directory in which the instance directory is created [default: $PASSENGER_INSTANCE_REGISTRY_DIR; otherwise \
         /run/flying-passenger for root, else $XDG_RUNTIME_DIR/flying-passenger or /tmp/flying-passenger-UID]",
    )
    .flag("instance-registry-dir", "DIR"),
    own(
        optional(Text),
        "router_user",
        "User of the router of a daemon that is started as root; the user must run nothing else [default: flying-passenger]",
    )
    .flag("router-user", "USER"),
    own(
        optional(Text),
        "allow_app_users",
        "Users that apps may run as although these can connect to nginx's socket, and so control the apps of all users: names \
         separated by commas, or * for all [default: none]",
    )
    .flag("allow-app-users", "LIST"),
    own(
        optional(Text),
        "allow_app_groups",
        "Groups that apps may have although their users are not members, or although these groups can connect to nginx's \
         socket: names separated by commas, or * for all [default: none]",
    )
    .flag("allow-app-groups", "LIST"),
    own(
        optional(Text),
        "pass_env",
        "Variables of the daemon's environment that apps inherit: names separated by commas, where a * at the end matches \
         any characters. PATH, TZ, LANG and LC_* are always inherited [default: all]",
    )
    .flag("pass-env", "LIST"),
    own(
        optional(Path),
        "env_dir",
        "Directory below which the daemon, as root, reads environment files of apps that only root may read [default: \
         /etc/flying-passenger/env]",
    )
    .flag("env-dir", "DIR"),
    own(
        count(60),
        "shutdown_timeout",
        "Time limit for requests and app processes at shutdown, in seconds [default: 60]",
    )
    .flag("shutdown-timeout", "SECONDS"),
    own(
        count(600),
        "drain_timeout",
        "Time limit for the requests of a process that is replaced, in seconds [default: 600]",
    )
    .flag("drain-timeout", "SECONDS"),
    own(
        optional(Directory),
        "loaders_dir",
        "Directory of the loaders for Ruby, Python and Node.js [default: found relative to this program]",
    )
    .flag("loaders-dir", "DIR"),
    own(
        optional(Directory),
        "native_support_dir",
        "Directory of the native support that passenger-config build-native-support has built [default: found relative \
         to this program]",
    )
    .flag("native-support-dir", "DIR"),
];

const fn own(setting: Setting, name: &'static str, help: &'static str) -> Setting {
    setting.named(c"", name, help)
}

/// The values of these settings, by name.
#[derive(Debug)]
pub(super) struct OwnValues(BTreeMap<&'static str, Value>);

impl OwnValues {
    /// Returns the values of this command line and this file, and the defaults.
    pub(super) fn new(arguments: &Arguments, file: &File, errors: &mut ConfigErrors) -> Self {
        let values = with_flag(OWN_SETTINGS).filter_map(|(setting, flag)| {
            let given = shared::given(setting, flag, arguments.settings.value(setting), file, errors)
                .map(|(value, _)| value);
            Some((setting.name, given.or_else(|| setting.default())?))
        });
        Self(values.collect())
    }

    /// Returns the text of this name; `None` if it is not set.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        match self.0.get(name) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// Returns the path of this name; `None` if it is not set.
    pub(super) fn path(&self, name: &str) -> Option<&FilePath> {
        self.text(name).map(FilePath::new)
    }

    /// Returns the number of this name.
    pub(super) fn number(&self, name: &str) -> u64 {
        match self.0.get(name) {
            Some(Value::Number(number)) => u64::try_from(*number).unwrap_or(0),
            _ => 0,
        }
    }

    /// Whether the flag of this name is on.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.0.get(name) == Some(&Value::Flag(true))
    }
}
