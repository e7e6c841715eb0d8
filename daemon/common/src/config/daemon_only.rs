//! The options that nginx cannot set, each with its key in the file, its flag, and its field of the command line.

use std::path::PathBuf;

use super::arguments::Arguments;
use super::error::ConfigErrors;
use super::file_values::{File, FileValue};
use super::value_type::TomlType as Type;

/// The definition of one option.
#[derive(Debug)]
pub(super) struct DaemonOnly {
    /// The key in the file.
    pub(super) key: &'static str,
    /// The flag, with `--`.
    pub(super) flag: &'static str,
    pub(super) of_type: Type,
    /// Returns the field with its flag's value.
    pub(super) place: fn(&mut Arguments) -> Field<'_>,
}

/// The unchecked value of a flag.
#[derive(Debug)]
pub(super) enum Field<'a> {
    Text(&'a mut Option<String>),
    Path(&'a mut Option<PathBuf>),
    Flag(&'a mut bool),
}

/// All options.
pub(super) const DAEMON_ONLY: [DaemonOnly; 18] = [
    own("socket_file", "--socket-file", Type::Path, |a| Field::Path(&mut a.socket_file)),
    own("socket_mode", "--socket-mode", Type::Text, |a| Field::Text(&mut a.socket_mode)),
    own("socket_owner", "--socket-owner", Type::Text, |a| Field::Text(&mut a.socket_owner)),
    own("status_group", "--status-group", Type::Text, |a| Field::Text(&mut a.status_group)),
    own("log_format", "--log-format", Type::Text, |a| Field::Text(&mut a.log_format)),
    own("app_output", "--app-output", Type::Text, |a| Field::Text(&mut a.app_output)),
    own("app_output_limit", "--app-output-limit", Type::Number, |a| Field::Text(&mut a.app_output_limit)),
    own("min_upload_rate", "--min-upload-rate", Type::Number, |a| Field::Text(&mut a.min_upload_rate)),
    own("cgroups", "--cgroups", Type::Flag, |a| Field::Flag(&mut a.cgroups)),
    own("pid_file", "--pid-file", Type::Path, |a| Field::Path(&mut a.pid_file)),
    own("instance_registry_dir", "--instance-registry-dir", Type::Path, |a| {
        Field::Path(&mut a.instance_registry_dir)
    }),
    own("router_user", "--router-user", Type::Text, |a| Field::Text(&mut a.router_user)),
    own("allow_app_users", "--allow-app-users", Type::Text, |a| Field::Text(&mut a.allow_app_users)),
    own("allow_app_groups", "--allow-app-groups", Type::Text, |a| Field::Text(&mut a.allow_app_groups)),
    own("pass_env", "--pass-env", Type::Text, |a| Field::Text(&mut a.pass_env)),
    own("shutdown_timeout", "--shutdown-timeout", Type::Number, |a| Field::Text(&mut a.shutdown_timeout)),
    own("drain_timeout", "--drain-timeout", Type::Number, |a| Field::Text(&mut a.drain_timeout)),
    own("loaders_dir", "--loaders-dir", Type::Path, |a| Field::Path(&mut a.loaders_dir)),
];

const fn own(
    key: &'static str,
    flag: &'static str,
    of_type: Type,
    place: fn(&mut Arguments) -> Field<'_>,
) -> DaemonOnly {
    DaemonOnly { key, flag, of_type, place }
}

/// Returns the command line, with the file's values for flags that it does not contain.
pub(super) fn fill(arguments: &Arguments, file: &File, errors: &mut ConfigErrors) -> Arguments {
    let mut filled = arguments.clone();
    for own in &DAEMON_ONLY {
        let place = (own.place)(&mut filled);
        if let Some(FileValue { text, line }) = file.value(own.flag.trim_start_matches('-'))
            && place.is_empty()
        {
            errors.comes_from(own.flag, own.key, line);
            place.put(text.clone());
        }
    }
    filled
}

impl Field<'_> {
    /// Whether the flag is not given.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Text(text) => text.is_none(),
            Self::Path(path) => path.is_none(),
            Self::Flag(flag) => !**flag,
        }
    }

    /// Sets the value of the flag.
    pub(super) fn put(self, value: String) {
        match self {
            Self::Text(text) => *text = Some(value),
            Self::Path(path) => *path = Some(value.into()),
            Self::Flag(flag) => *flag = value == "on",
        }
    }
}
