//! The options that nginx may also set: this daemon's values, by the directives' names.
//!
//! A flag takes precedence over the configuration file, that over nginx's directive, and that over the default. `--ctl`
//! is equivalent to the flag of the option that it names.

use protocol::settings::Value;
use serde::{Deserialize, Serialize};

use super::arguments::Arguments;
use super::error::{ConfigError, ConfigErrors};
use super::file_values::{File, FileValue, Given};
use super::hooks;
use super::value_type::ValueType;

/// An option of the daemon that nginx may also set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaemonOption {
    /// The directive without `passenger_`.
    pub name: String,
    /// The value of the daemon's flag, or the default.
    pub value: Value,
    /// Where the daemon's own configuration sets it, which takes precedence over nginx's value.
    pub given: Option<Given>,
}

/// The definition of such an option.
#[derive(Debug)]
pub struct Shared {
    /// The directive without `passenger_`.
    pub(crate) name: &'static str,
    /// The flag.
    pub(crate) flag: &'static str,
    /// The type of its value.
    pub kind: ValueType,
    /// Returns the flag's value, as for the directive.
    written: fn(&Arguments) -> Option<&str>,
}

/// Default maximum of buffered bytes of one response to a slow client, as in Passenger.
const WATERMARK: i64 = 128 * 1024 * 1024;

/// All options. Responses are buffered in a directory for large files: `/tmp` is in memory on many systems.
pub(crate) const SHARED: [Shared; 15] = [
    shared("max_pool_size", "--max-pool-size", number(6, 1), |a| a.max_pool_size.as_deref()),
    shared("max_instances_per_app", "--max-instances-per-app", number(0, 0), |a| {
        a.max_instances_per_app.as_deref()
    }),
    shared("pool_idle_time", "--pool-idle-time", number(300, 0), |a| a.pool_idle_time.as_deref()),
    shared("stat_throttle_rate", "--stat-throttle-rate", number(10, 0), |a| a.stat_throttle_rate.as_deref()),
    shared("user_switching", "--no-user-switching", ValueType::Flag(true), |a| {
        a.no_user_switching.then_some("off")
    }),
    shared("default_user", "--default-user", ValueType::Text("nobody"), |a| a.default_user.as_deref()),
    shared("default_group", "--default-group", ValueType::Text(""), |a| a.default_group.as_deref()),
    shared("log_level", "--log-level", ValueType::LogLevel, |a| a.log_level.as_deref()),
    shared("log_file", "--log-file", ValueType::Path, |a| a.log_file.as_deref()),
    shared("disable_log_prefix", "--disable-log-prefix", ValueType::Flag(false), |a| {
        a.disable_log_prefix.then_some("on")
    }),
    shared("socket_backlog", "--socket-backlog", number(4096, 0), |a| a.socket_backlog.as_deref()),
    shared("core_file_descriptor_ulimit", "--core-file-descriptor-ulimit", number(0, 64), |a| {
        a.core_file_descriptor_ulimit.as_deref()
    }),
    shared("show_version_in_header", "--no-show-version-in-header", ValueType::Flag(true), |a| {
        a.no_show_version_in_header.then_some("off")
    }),
    shared("response_buffer_high_watermark", "--response-buffer-high-watermark", number(WATERMARK, 0), |a| {
        a.response_buffer_high_watermark.as_deref()
    }),
    shared("data_buffer_dir", "--data-buffer-dir", ValueType::Directory("/var/tmp"), |a| {
        a.data_buffer_dir.as_deref()
    }),
];

const fn shared(
    name: &'static str,
    flag: &'static str,
    kind: ValueType,
    written: fn(&Arguments) -> Option<&str>,
) -> Shared {
    Shared { name, flag, kind, written }
}

const fn number(default: i64, least: i64) -> ValueType {
    ValueType::Number { default, least }
}

/// Returns the definition of the option of this name.
pub fn find(name: &str) -> Option<&'static Shared> {
    SHARED.iter().find(|shared| shared.name == name)
}

/// Parses a value for the option of this name, as given by `passenger_ctl` and `--ctl`.
pub fn read(name: &str, text: &str) -> Result<Value, String> {
    let names = || SHARED.map(|shared| shared.name).join(", ");
    if name.starts_with(hooks::PREFIX) {
        return Err(format!("{name}: programs are named to the daemon itself, with its flag --hook"));
    }
    let shared = find(name).ok_or_else(|| format!("there is no option \"{name}\"; there are {}", names()))?;
    shared.kind.read(text).map_err(|why| format!("{name}: \"{text}\" {why}; the options are {}", names()))
}

/// Returns every option, with its value from this command line and this file.
pub(super) fn options(arguments: &Arguments, file: &File, errors: &mut ConfigErrors) -> Vec<DaemonOption> {
    let ctl: Vec<_> = arguments
        .ctl
        .iter()
        .filter(|word| !word.starts_with(hooks::PREFIX))
        .filter_map(|word| errors.note(ctl(word)))
        .collect();
    let decide = |shared: &Shared| {
        let own = (shared.written)(arguments).and_then(|text| {
            let read = shared.kind.read(&absolute(shared.kind, text));
            errors.note(read.map_err(|why| ConfigError::new(shared.flag, format!("\"{text}\" {why}"))))
        });
        let by_ctl =
            || ctl.iter().rev().find(|(name, _)| *name == shared.name).map(|(_, value)| value.clone());
        let by_flag = own.or_else(by_ctl);
        let by_file = file.value(shared.flag).and_then(|FileValue { text, place }| {
            let read = shared.kind.read(text);
            errors.note(read.map_err(|why| ConfigError::at(place, format!("\"{text}\" {why}"))))
        });
        let given = by_flag.map(|value| (Given::Flag, value));
        let given = given.or_else(|| by_file.map(|value| (Given::File, value)));
        DaemonOption {
            name: shared.name.to_owned(),
            given: given.as_ref().map(|(given, _)| *given),
            value: given.map_or_else(|| shared.kind.default(), |(_, value)| value),
        }
    };
    SHARED.iter().map(decide).collect()
}

fn ctl(word: &str) -> Result<(&str, Value), ConfigError> {
    const OPTION: &str = "--ctl";
    let (name, text) = word
        .split_once('=')
        .ok_or_else(|| ConfigError::new(OPTION, format!("\"{word}\" is not of the form NAME=VALUE")))?;
    let text = find(name).map_or_else(|| text.to_owned(), |shared| absolute(shared.kind, text));
    let value = read(name, &text).map_err(|why| ConfigError::new(OPTION, why))?;
    Ok((name, value))
}

/// Makes a path of the command line absolute.
fn absolute(kind: ValueType, text: &str) -> String {
    let path = matches!(kind, ValueType::Path | ValueType::Directory(_))
        .then(|| std::path::absolute(text).ok())
        .flatten();
    path.and_then(|path| path.into_os_string().into_string().ok()).unwrap_or_else(|| text.to_owned())
}

/// The effective values by name, of types known to the caller.
#[derive(Debug, Clone, Copy)]
pub struct Values<'a>(pub &'a [DaemonOption]);

impl<'a> Values<'a> {
    fn get(self, name: &str) -> Option<&'a DaemonOption> {
        self.0.iter().find(|option| option.name == name)
    }

    /// Returns the number of this name; 0 if there is none.
    pub fn number(self, name: &str) -> u64 {
        match self.get(name).map(|option| &option.value) {
            Some(Value::Number(number)) => u64::try_from(*number).unwrap_or(0),
            _ => 0,
        }
    }

    /// Returns the text of this name; empty if there is none.
    pub fn text(self, name: &str) -> &'a str {
        match self.get(name).map(|option| &option.value) {
            Some(Value::Text(text)) => text,
            _ => "",
        }
    }

    /// Whether the flag of this name is on.
    pub fn flag(self, name: &str) -> bool {
        self.get(name).is_some_and(|option| option.value == Value::Flag(true))
    }

    /// Whether the daemon's own flag or file sets the option.
    pub fn given(self, name: &str) -> bool {
        self.get(name).is_some_and(|option| option.given.is_some())
    }
}
