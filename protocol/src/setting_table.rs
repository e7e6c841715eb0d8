//! The table of all settings: those of [applications](crate::app_settings) and of the [daemon](crate::daemon_settings).

use crate::app_settings::{IGNORED_APP_SETTINGS, PROCESS_SETTINGS, ROUTER_SETTINGS};
use crate::daemon_settings::DAEMON_SETTINGS;
use crate::setting::Setting;

/// Returns all settings.
pub fn all() -> impl Iterator<Item = &'static Setting> {
    apps().chain(DAEMON_SETTINGS)
}

/// Returns the settings of applications.
pub fn apps() -> impl Iterator<Item = &'static Setting> {
    PROCESS_SETTINGS.iter().chain(ROUTER_SETTINGS).chain(IGNORED_APP_SETTINGS)
}

/// Returns the setting of this name.
pub fn find(name: &str) -> Option<&'static Setting> {
    all().find(|setting| setting.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setting::FlagValue;

    #[test]
    fn every_setting_has_a_valid_definition() {
        for setting in all() {
            let directive = setting.directive.to_str().unwrap();
            assert_eq!(directive.strip_prefix("passenger_"), Some(setting.name));
            let default = setting.default();
            let is_valid = default.is_none_or(|default| setting.of_type.check(&default).is_ok());
            assert!(is_valid, "{directive}: the default is not valid");
            assert_eq!(all().filter(|other| other.name == setting.name).count(), 1, "{directive}");
        }
    }

    #[test]
    fn flags_are_named_as_their_directives() {
        for setting in all() {
            let Some(flag) = setting.flag else { continue };
            let name = flag.name.replace('-', "_");
            let expected = match flag.value {
                FlagValue::Sets("off") => format!("no_{}", setting.name),
                _ if setting.name == "thread_count" => "app_thread_count".to_owned(),
                _ => setting.name.to_owned(),
            };
            assert_eq!(name, expected);
            assert!(!setting.help.is_empty(), "--{} has no help", flag.name);
        }
    }
}
