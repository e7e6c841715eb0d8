//! Checks of settings' values on this machine, besides those of their types.

use std::path::Path;

use protocol::setting::Setting;
use protocol::setting_type::SettingType;
use protocol::settings::Value;

use crate::log::LogLevel;

/// Parses the text of a flag. Also accepts Passenger's names for on and off.
pub(crate) fn parse(setting: &Setting, text: &str) -> Result<Value, String> {
    let text = match (setting.of_type, text.to_ascii_lowercase().as_str()) {
        (SettingType::Flag, "true" | "yes") => "on",
        (SettingType::Flag, "false" | "no") => "off",
        _ => text,
    };
    let value = setting.of_type.parse(text)?;
    check(setting, &value).map(|()| value)
}

/// Checks that a value is valid, and that a directory exists.
pub fn check(setting: &Setting, value: &Value) -> Result<(), String> {
    setting.of_type.check(value)?;
    match (setting.of_type, value) {
        (SettingType::Directory, Value::Text(dir)) if !Path::new(dir).is_dir() => {
            Err("must be a directory that exists".to_owned())
        }
        _ => Ok(()),
    }
}

/// Whether two values are equivalent, however they are written.
pub fn same(of_type: SettingType, one: &Value, other: &Value) -> bool {
    match (of_type, one, other) {
        (SettingType::LogLevel, Value::Text(one), Value::Text(other)) => {
            one == other || one.parse::<LogLevel>().is_ok_and(|one| other.parse() == Ok(one))
        }
        _ => one == other,
    }
}

/// The TOML type of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TomlType {
    Number,
    Flag,
    Text,
    Path,
    /// A number, or text.
    Threads,
}

impl TomlType {
    pub(super) fn of(of_type: SettingType) -> Self {
        match of_type {
            SettingType::Flag => Self::Flag,
            SettingType::Number { .. } | SettingType::Seconds => Self::Number,
            SettingType::Path | SettingType::Directory => Self::Path,
            SettingType::Threads => Self::Threads,
            _ => Self::Text,
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::setting_table::find;

    use super::*;

    #[test]
    fn flags_accept_passengers_words() {
        let setting = find("user_switching").unwrap();
        assert_eq!(parse(setting, "False"), Ok(Value::Flag(false)));
        assert!(parse(setting, "perhaps").is_err());
    }

    #[test]
    fn directories_must_exist() {
        let setting = find("data_buffer_dir").unwrap();
        assert_eq!(parse(setting, "/tmp"), Ok(Value::Text("/tmp".into())));
        assert_eq!(parse(setting, "/no/such/directory"), Err("must be a directory that exists".to_owned()));
    }

    #[test]
    fn a_log_level_is_the_same_as_name_and_as_number() {
        let text = |text: &str| Value::Text(text.to_owned());
        assert!(same(SettingType::LogLevel, &text("5"), &text("DEBUG")));
        assert!(!same(SettingType::LogLevel, &text("5"), &text("warn")));
        assert!(!same(SettingType::Text, &text("5"), &text("debug")));
    }
}
