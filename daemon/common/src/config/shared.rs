//! The options that nginx may also set: this daemon's values, by the directives' names.
//!
//! A flag takes precedence over the configuration file, that over nginx's directive, and that over the default. `--ctl`
//! is equivalent to the flag of the option that it names.

use protocol::setting::{Flag, Setting};
use protocol::setting_type::SettingType;
use protocol::settings::Value;
use serde::{Deserialize, Serialize};

use super::arguments::Arguments;
use super::error::{ConfigError, ConfigErrors};
use super::file_values::{File, FileValue, Given};
use super::hooks;
use super::setting_flags::of_daemon;
use super::similar::suggestion;
use super::value_type::parse;
pub use super::value_type::{check, same};

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

/// Returns the definition of the option of this name.
pub fn find(name: &str) -> Option<&'static Setting> {
    of_daemon().map(|(setting, _)| setting).find(|setting| setting.name == name)
}

/// Parses a value for the option of this name, as given by `passenger_ctl` and `--ctl`.
///
/// # Errors
///
/// A message with the value and the options.
pub fn read(name: &str, text: &str) -> Result<Value, String> {
    if name.starts_with(hooks::PREFIX) {
        return Err(format!("{name}: programs are configured with the daemon's flag --hook only"));
    }
    let names = || of_daemon().map(|(setting, _)| setting.name);
    let unknown = || format!("unknown option \"{name}\"{}", suggestion(name, names(), "the options are"));
    let setting = find(name).ok_or_else(unknown)?;
    parse(setting, text).map_err(|must| format!("invalid value \"{text}\" in \"{name}\": {must}"))
}

/// Returns the value that a flag or the file sets, and which of them does.
pub(super) fn given(
    setting: &Setting,
    flag: Flag,
    by_flag: Option<&str>,
    file: &File,
    errors: &mut ConfigErrors,
) -> Option<(Value, Given)> {
    if let Some(text) = by_flag {
        let value = parse(setting, &absolute(setting.of_type, text));
        let error = |must| ConfigError::value(format!("--{}", flag.name), text, must);
        return errors.note(value.map_err(error)).map(|value| (value, Given::Flag));
    }
    let FileValue { text, line } = file.value(flag.name)?;
    errors.comes_from(flag.name, setting.name, line);
    let error = |must| ConfigError::value(setting.name, text, must).at(line);
    errors.note(parse(setting, text).map_err(error)).map(|value| (value, Given::File))
}

/// Returns every option, with its value from this command line and this file.
pub(super) fn options(arguments: &Arguments, file: &File, errors: &mut ConfigErrors) -> Vec<DaemonOption> {
    let ctl: Vec<_> = arguments
        .ctl
        .iter()
        .filter(|word| !word.starts_with(hooks::PREFIX))
        .filter_map(|word| errors.note(ctl(word)))
        .collect();
    let option = |(setting, flag): (&Setting, Flag)| {
        let by_flag = arguments.settings.value(setting);
        let by_ctl = || ctl.iter().rev().find(|(name, _)| *name == setting.name);
        let given = match by_ctl().filter(|_| by_flag.is_none()) {
            Some((_, value)) => Some((value.clone(), Given::Flag)),
            None => given(setting, flag, by_flag, file, errors),
        };
        let default = || setting.default().unwrap_or(Value::Text(String::new()));
        let (value, given) = given.map_or_else(|| (default(), None), |(value, given)| (value, Some(given)));
        DaemonOption { name: setting.name.to_owned(), value, given }
    };
    of_daemon().map(option).collect()
}

fn ctl(word: &str) -> Result<(&str, Value), ConfigError> {
    const OPTION: &str = "--ctl";
    let (name, text) =
        word.split_once('=').ok_or_else(|| ConfigError::value(OPTION, word, "must be NAME=VALUE"))?;
    let text = find(name).map_or_else(|| text.to_owned(), |setting| absolute(setting.of_type, text));
    let value = read(name, &text).map_err(|why| ConfigError::new(OPTION, why))?;
    Ok((name, value))
}

/// Makes a path of the command line absolute.
fn absolute(of_type: SettingType, text: &str) -> String {
    let path = matches!(of_type, SettingType::Path | SettingType::Directory)
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
