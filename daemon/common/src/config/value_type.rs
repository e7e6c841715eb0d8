//! The types of options, with the checks of their values. An error follows the value in a message.

use std::path::Path;

use protocol::settings::Value;

use crate::log::LogLevel;

/// The type of an option, with its default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueType {
    /// `on` or `off`.
    Flag(bool),
    /// A number >= `least`, or the default.
    Number {
        /// The default.
        default: i64,
        /// The minimum.
        least: i64,
    },
    /// A text; empty only if the default is.
    Text(&'static str),
    /// One of these words; the first is the default.
    OneOf(&'static [&'static str]),
    /// An absolute path; empty for none, which is the default.
    Path,
    /// A directory that exists, with its default.
    Directory(&'static str),
    /// A log level.
    LogLevel,
}

impl ValueType {
    /// Returns the default.
    pub(crate) fn default(self) -> Value {
        match self {
            Self::Flag(flag) => Value::Flag(flag),
            Self::Number { default, .. } => Value::Number(default),
            Self::Text(text) | Self::Directory(text) => Value::Text(text.to_owned()),
            Self::OneOf(words) => Value::Text(words.first().copied().unwrap_or_default().to_owned()),
            Self::Path => Value::Text(String::new()),
            Self::LogLevel => Value::Text(LogLevel::default().to_string()),
        }
    }

    /// Parses the text of a flag.
    pub(crate) fn read(self, text: &str) -> Result<Value, String> {
        let value = match self {
            Self::Flag(_) => Value::Flag(on_or_off(text).ok_or("is neither on nor off")?),
            Self::Number { least, .. } => Value::Number(text.parse().map_err(|_| no_number(least))?),
            Self::Text(_) | Self::OneOf(_) | Self::Path | Self::Directory(_) | Self::LogLevel => {
                Value::Text(text.to_owned())
            }
        };
        self.check(&value).map(|()| value)
    }

    /// Checks that a value is valid.
    pub fn check(self, value: &Value) -> Result<(), String> {
        match (self, value) {
            (Self::Flag(_), Value::Flag(_)) => Ok(()),
            (Self::Number { default, least }, Value::Number(number)) => {
                if *number >= least || *number == default { Ok(()) } else { Err(no_number(least)) }
            }
            (Self::Text(default), Value::Text(text)) if text.is_empty() && !default.is_empty() => {
                Err("is empty".to_owned())
            }
            (Self::Text(_), Value::Text(_)) => Ok(()),
            (Self::OneOf(words), Value::Text(word)) if words.contains(&word.as_str()) => Ok(()),
            (Self::OneOf(words), Value::Text(_)) => Err(format!("is none of {}", words.join(", "))),
            (Self::Path, Value::Text(text)) if text.is_empty() || is_path(text) => Ok(()),
            (Self::Path, Value::Text(_)) => Err("is no absolute path".to_owned()),
            (Self::Directory(_), Value::Text(dir)) if is_path(dir) && Path::new(dir).is_dir() => Ok(()),
            (Self::Directory(_), Value::Text(_)) => Err("is no directory that exists".to_owned()),
            (Self::LogLevel, Value::Text(level)) => {
                level.parse::<LogLevel>().map(drop).map_err(|why| why.to_string())
            }
            _ => Err("is of another type than this release expects".to_owned()),
        }
    }

    /// Whether two values are equivalent, however they are written.
    pub fn same(self, one: &Value, other: &Value) -> bool {
        match (self, one, other) {
            (Self::LogLevel, Value::Text(one), Value::Text(other)) => {
                one == other || one.parse::<LogLevel>().is_ok_and(|one| other.parse() == Ok(one))
            }
            _ => one == other,
        }
    }
}

fn no_number(least: i64) -> String {
    format!("is no number of {least} or more")
}

fn is_path(text: &str) -> bool {
    Path::new(text).is_absolute() && !text.contains('\0')
}

/// Parses Passenger's names for on and off, in any case.
fn on_or_off(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "on" | "true" | "yes" => Some(true),
        "off" | "false" | "no" => Some(false),
        _ => None,
    }
}

/// The TOML type of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Number,
    Flag,
    Text,
    Path,
}

impl Type {
    pub(super) fn of(kind: ValueType) -> Self {
        match kind {
            ValueType::Flag(_) => Self::Flag,
            ValueType::Number { .. } => Self::Number,
            ValueType::Text(_) | ValueType::OneOf(_) | ValueType::LogLevel => Self::Text,
            ValueType::Path | ValueType::Directory(_) => Self::Path,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: ValueType = ValueType::Number { default: 0, least: 64 };

    #[test]
    fn a_text_becomes_a_value_of_the_options_type() {
        assert_eq!(ValueType::Flag(true).read("Off"), Ok(Value::Flag(false)));
        assert_eq!(LIMIT.read("64"), Ok(Value::Number(64)));
        assert_eq!(LIMIT.read("0"), Ok(Value::Number(0)));
        assert_eq!(ValueType::Path.read("/var/log/x"), Ok(Value::Text("/var/log/x".into())));
        assert_eq!(ValueType::LogLevel.read("debug"), Ok(Value::Text("debug".into())));
    }

    #[test]
    fn rejects_what_makes_no_sense_with_a_reason() {
        for (kind, text, why) in [
            (ValueType::Flag(true), "perhaps", "is neither on nor off"),
            (LIMIT, "63", "is no number of 64 or more"),
            (LIMIT, "many", "is no number of 64 or more"),
            (ValueType::Text("nobody"), "", "is empty"),
            (ValueType::OneOf(&["process", "thread"]), "fibre", "is none of process, thread"),
            (ValueType::Path, "log/x", "is no absolute path"),
            (ValueType::Directory("/tmp"), "/no/such/directory", "is no directory that exists"),
        ] {
            assert_eq!(kind.read(text), Err(why.to_owned()), "{text}");
        }
        assert!(ValueType::LogLevel.read("loud").is_err());
        assert!(LIMIT.check(&Value::Flag(true)).is_err());
    }

    #[test]
    fn a_level_is_the_same_as_name_and_as_number() {
        let text = |text: &str| Value::Text(text.to_owned());
        assert!(ValueType::LogLevel.same(&text("5"), &text("DEBUG")));
        assert!(!ValueType::LogLevel.same(&text("5"), &text("warn")));
        assert!(!ValueType::Text("").same(&text("5"), &text("debug")));
    }
}
