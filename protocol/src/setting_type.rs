//! Types of settings: the values that each accepts, in nginx.conf, as a flag of the daemon and in its file.

use crate::settings::Value;

/// The log levels, as numbers and as names.
pub const LOG_LEVELS: &[&str] = &[
    "0", "1", "2", "3", "4", "5", "6", "7", "crit", "error", "warn", "notice", "info", "debug", "debug2",
    "debug3",
];

/// Maximum of [`SettingType::Threads`].
pub const MAX_THREADS: i64 = 64;

/// The type of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingType {
    /// `on` or `off`.
    Flag,
    /// A number of at least `min`, or `also`.
    Number {
        /// The minimum.
        min: i64,
        /// A further number that is allowed.
        also: Option<i64>,
    },
    /// A number of threads, at most [`MAX_THREADS`], or `auto`.
    Threads,
    /// A time: a number of seconds, or with nginx's units, such as `90`, `90s` or `1m 30s`.
    Seconds,
    /// Any text.
    Text,
    /// A text that is not empty.
    Name,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// One of [`LOG_LEVELS`], in any case.
    LogLevel,
    /// An absolute path; empty for none.
    Path,
    /// A directory, as an absolute path.
    Directory,
    /// The path of a URI.
    UriPath,
    /// A token of HTTP, such as the name of a cookie.
    Token,
    /// A part of a header of HTTP.
    HeaderText,
    /// A name and its value; may be repeated.
    Map,
    /// A text; may be repeated.
    List,
}

impl SettingType {
    /// Parses the text of a value. [`Map`](Self::Map) and [`List`](Self::List) have no text of their own and are
    /// refused.
    ///
    /// # Errors
    ///
    /// What the value must be, to follow the value and the name of the setting: `must be a number >= 1`.
    pub fn parse(self, text: &str) -> Result<Value, String> {
        let value = match self {
            Self::Flag if text.eq_ignore_ascii_case("on") => Value::Flag(true),
            Self::Flag if text.eq_ignore_ascii_case("off") => Value::Flag(false),
            Self::Number { .. } => Value::Number(number(text).ok_or_else(|| self.requirement())?),
            Self::Seconds => Value::Number(seconds(text).ok_or_else(|| self.requirement())?),
            Self::Flag | Self::Map | Self::List => return Err(self.requirement()),
            _ => Value::Text(text.to_owned()),
        };
        self.check(&value).map(|()| value)
    }

    /// Checks a value that another process has parsed.
    ///
    /// # Errors
    ///
    /// What the value must be, as [`parse`](Self::parse).
    pub fn check(self, value: &Value) -> Result<(), String> {
        let is_valid = match (self, value) {
            (Self::Flag, Value::Flag(_)) | (Self::Text, Value::Text(_)) => true,
            (Self::Map, Value::Map(_)) | (Self::List, Value::List(_)) => true,
            (Self::Number { min, also }, Value::Number(number)) => *number >= min || Some(*number) == also,
            (Self::Seconds, Value::Number(seconds)) => *seconds >= 0,
            (Self::Name, Value::Text(text)) => !text.is_empty(),
            (Self::OneOf(words), Value::Text(text)) => words.contains(&text.as_str()),
            (Self::Threads, Value::Text(text)) => {
                text == "auto" || number(text).is_some_and(|number| (1..=MAX_THREADS).contains(&number))
            }
            (Self::LogLevel, Value::Text(text)) => {
                LOG_LEVELS.iter().any(|level| level.eq_ignore_ascii_case(text))
            }
            (Self::Path, Value::Text(text)) => text.is_empty() || is_path(text),
            (Self::Directory, Value::Text(text)) => is_path(text),
            (Self::UriPath, Value::Text(text)) => text.is_empty() || is_uri_path(text),
            (Self::Token, Value::Text(text)) => !text.is_empty() && text.bytes().all(is_token),
            (Self::HeaderText, Value::Text(text)) => !text.contains(char::is_control),
            _ => false,
        };
        if is_valid { Ok(()) } else { Err(self.requirement()) }
    }

    /// Returns how many arguments the directive takes.
    pub const fn arity(self) -> u8 {
        match self {
            Self::Map => 2,
            _ => 1,
        }
    }

    /// Returns what a value must be.
    fn requirement(self) -> String {
        match self {
            Self::Flag => "must be \"on\" or \"off\"".to_owned(),
            Self::Number { min, also: Some(also) } => format!("must be a number >= {min}, or {also}"),
            Self::Number { min, also: None } => format!("must be a number >= {min}"),
            Self::Threads => format!("must be a number from 1 to {MAX_THREADS}, or \"auto\""),
            Self::Seconds => {
                "must be a number of seconds, such as \"90\", or have units, as in \"1m 30s\"".to_owned()
            }
            Self::Text | Self::Map | Self::List => "must be text".to_owned(),
            Self::Name => "must not be empty".to_owned(),
            Self::OneOf(words) => format!("must be one of \"{}\"", words.join("\", \"")),
            Self::LogLevel => format!("must be one of \"{}\"", LOG_LEVELS.join("\", \"")),
            Self::Path | Self::Directory => "must be an absolute path".to_owned(),
            Self::UriPath => "must be the path of a URI, such as \"/up\"".to_owned(),
            Self::Token => "must consist of letters, digits and any of !#$%&'*+-.^_`|~".to_owned(),
            Self::HeaderText => "must not contain control characters".to_owned(),
        }
    }
}

fn is_path(text: &str) -> bool {
    text.starts_with('/') && !text.contains('\0')
}

fn is_uri_path(text: &str) -> bool {
    text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Whether the byte may be part of a token: RFC 9110, section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn number(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}

/// Parses a time. Passenger accepts seconds without a unit; nginx's units are accepted as well.
fn seconds(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut total = 0_i64;
    loop {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (count, unit) = rest.split_at(digits);
        let scale = match unit.chars().next() {
            None | Some('s') => 1,
            Some('m') => 60,
            Some('h') => 60 * 60,
            Some('d') => 24 * 60 * 60,
            Some(_) => return None,
        };
        total = number(count)?.checked_mul(scale)?.checked_add(total)?;
        rest = unit.get(1..).unwrap_or_default().trim_start();
        if rest.is_empty() {
            return Some(total);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(of: SettingType, text: &str) -> String {
        of.parse(text).unwrap_err()
    }

    #[test]
    fn flags_are_parsed_in_any_case() {
        assert_eq!(SettingType::Flag.parse("ON"), Ok(Value::Flag(true)));
        assert_eq!(SettingType::Flag.parse("off"), Ok(Value::Flag(false)));
        assert_eq!(error(SettingType::Flag, "yes"), "must be \"on\" or \"off\"");
    }

    #[test]
    fn rejects_text_that_is_not_a_number() {
        let any = SettingType::Number { min: 0, also: None };
        for text in ["", "-", "-1", "+1", "1k", "99999999999999999999"] {
            assert_eq!(error(any, text), "must be a number >= 0", "{text}");
        }
        assert_eq!(any.parse("0"), Ok(Value::Number(0)));
    }

    #[test]
    fn numbers_have_a_minimum_and_may_have_one_exception() {
        assert_eq!(error(SettingType::Number { min: 1, also: None }, "0"), "must be a number >= 1");
        let limit = SettingType::Number { min: 64, also: Some(0) };
        assert_eq!(limit.parse("64"), Ok(Value::Number(64)));
        assert_eq!(limit.parse("0"), Ok(Value::Number(0)));
        assert_eq!(error(limit, "63"), "must be a number >= 64, or 0");
        assert_eq!(SettingType::Number { min: 0, also: Some(-1) }.parse("-1"), Ok(Value::Number(-1)));
    }

    #[test]
    fn times_are_seconds_or_have_units() {
        for (text, expected) in
            [("90", 90), ("90s", 90), ("2m", 120), ("1h30m", 5400), ("1m 30s", 90), ("1d", 86400)]
        {
            assert_eq!(SettingType::Seconds.parse(text), Ok(Value::Number(expected)), "{text}");
        }
        for text in ["", "s", "-1", "1ms", "1x", "m1", "9223372036854775807m"] {
            assert!(error(SettingType::Seconds, text).starts_with("must be a number of seconds"), "{text}");
        }
    }

    #[test]
    fn texts_are_checked_by_their_type() {
        let words = SettingType::OneOf(&["process", "thread"]);
        assert_eq!(words.parse("thread"), Ok(Value::Text("thread".into())));
        assert_eq!(error(words, "fibre"), "must be one of \"process\", \"thread\"");
        assert_eq!(error(SettingType::Name, ""), "must not be empty");
        assert_eq!(error(SettingType::Path, "log/x"), "must be an absolute path");
        assert_eq!(error(SettingType::Directory, ""), "must be an absolute path");
        assert!(SettingType::Path.parse("").is_ok());
        assert!(SettingType::LogLevel.parse("DEBUG").is_ok() && SettingType::LogLevel.parse("loud").is_err());
    }

    #[test]
    fn rejects_values_of_another_type() {
        assert!(SettingType::Flag.check(&Value::Number(1)).is_err());
        assert!(SettingType::Text.check(&Value::Flag(true)).is_err());
    }
}
