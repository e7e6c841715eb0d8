//! Flags of the command line for settings, made from their definitions.

use std::collections::BTreeMap;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};
use protocol::app_settings::{PROCESS_SETTINGS, ROUTER_SETTINGS};
use protocol::daemon_settings::DAEMON_SETTINGS;
use protocol::setting::{Flag, FlagValue, Setting};

use super::own_settings::OWN_SETTINGS;

/// The heading of the flags for defaults of apps.
const APPS: &str = "Defaults for apps, where nginx.conf has no value";

/// The values of the given flags, by the names of the settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SettingFlags(BTreeMap<&'static str, String>);

impl SettingFlags {
    /// Returns the flags with another value for one of them.
    #[cfg(test)]
    pub(super) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.0.insert(name, value.to_owned());
        self
    }

    /// Returns the value of the flag of a setting, unless it is not given.
    pub(super) fn value(&self, setting: &Setting) -> Option<&str> {
        self.0.get(setting.name).map(String::as_str)
    }
}

/// Returns the settings of the daemon that nginx may also set, as far as they have a flag.
pub(super) fn of_daemon() -> impl Iterator<Item = (&'static Setting, Flag)> {
    with_flag(DAEMON_SETTINGS)
}

/// Returns the settings of apps for which a flag sets the default.
pub(super) fn of_apps() -> impl Iterator<Item = (&'static Setting, Flag)> {
    with_flag(PROCESS_SETTINGS).chain(with_flag(ROUTER_SETTINGS))
}

/// Returns all settings that have a flag.
pub(super) fn all() -> impl Iterator<Item = (&'static Setting, Flag)> {
    with_flag(OWN_SETTINGS).chain(of_daemon()).chain(of_apps())
}

/// Returns the settings that have a flag.
pub(super) fn with_flag(settings: &'static [Setting]) -> impl Iterator<Item = (&'static Setting, Flag)> {
    settings.iter().filter_map(|setting| Some((setting, setting.flag?)))
}

fn argument(setting: &'static Setting, flag: Flag) -> Arg {
    let argument = Arg::new(setting.name).long(flag.name).help(setting.help.trim());
    let argument = match flag.value {
        FlagValue::Named(name) => argument.value_name(name).allow_negative_numbers(true),
        FlagValue::State => {
            argument.value_name("STATE").num_args(0..=1).require_equals(true).default_missing_value("on")
        }
        FlagValue::Sets(_) => argument.action(ArgAction::SetTrue),
    };
    match flag.alias {
        Some(alias) => argument.alias(alias),
        None => argument,
    }
}

impl Args for SettingFlags {
    fn augment_args(command: Command) -> Command {
        let of_daemon = with_flag(OWN_SETTINGS).chain(of_daemon());
        let command = command.args(of_daemon.map(|(setting, flag)| argument(setting, flag)));
        command.args(of_apps().map(|(setting, flag)| argument(setting, flag).help_heading(APPS)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for SettingFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for (setting, flag) in all() {
            let given = match flag.value {
                FlagValue::Sets(value) => matches.get_flag(setting.name).then(|| value.to_owned()),
                FlagValue::Named(_) | FlagValue::State => matches.get_one::<String>(setting.name).cloned(),
            };
            if let Some(value) = given {
                self.0.insert(setting.name, value);
            }
        }
        Ok(())
    }
}
