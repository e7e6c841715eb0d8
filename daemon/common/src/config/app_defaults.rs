//! Defaults for apps where nginx.conf has no value: flags and keys of the file, as the settings that nginx would send.
//!
//! There is none for the environment, which nginx makes part of the names of app groups.

use protocol::settings::Value;
use serde::{Deserialize, Serialize};

use super::error::ConfigErrors;
use super::file_values::{File, Given};
use super::setting_flags::{SettingFlags, of_apps};
use super::shared;

/// A configured default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppDefault {
    /// The directive without `passenger_`.
    pub name: String,
    /// The value where nginx.conf has none.
    pub value: Value,
    /// The source of the value.
    pub given: Given,
}

/// Returns the configured defaults.
pub(super) fn given(flags: &SettingFlags, file: &File, errors: &mut ConfigErrors) -> Vec<AppDefault> {
    let settings = of_apps().filter_map(|(setting, flag)| {
        let (value, given) = shared::given(setting, flag, flags.value(setting), file, errors)?;
        Some(AppDefault { name: setting.name.to_owned(), value, given })
    });
    settings.collect()
}
