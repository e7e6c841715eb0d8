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
    use std::time::Instant;

    use super::*;
    use crate::app_settings::RouterSettings;
    use crate::setting::FlagValue;
    use crate::setting_type::SettingType;
    use crate::settings::Value;

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

    #[test]
    fn every_time_can_be_added_to_an_instant() {
        let mut router = RouterSettings::default();
        for setting in ROUTER_SETTINGS.iter().filter(|setting| setting.of_type == SettingType::Seconds) {
            assert!(router.set(setting.name, &Value::Number(i64::MAX)).is_some(), "{}", setting.name);
        }
        let times = [router.max_request_time, router.max_request_queue_time, router.max_preloader_idle_time];
        for time in times.into_iter().flatten().chain([router.start_timeout]) {
            assert!(Instant::now().checked_add(time).is_some(), "{time:?}");
        }
    }

    #[test]
    fn a_number_too_large_for_its_type_is_the_maximum() {
        let mut router = RouterSettings::default();
        assert!(router.set("thread_count", &Value::Number(i64::MAX)).is_some());
        assert_eq!(router.thread_count, u32::MAX);
    }
}
