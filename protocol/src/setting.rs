//! The definition of a setting, from which nginx's directive, the daemon's flag, the key of its file, the default and the
//! help are made.

use core::ffi::CStr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::setting_type::SettingType;
use crate::settings::Value;

/// The definition of a setting.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// The directive of nginx.conf.
    pub directive: &'static CStr,
    /// Other names of the directive.
    pub aliases: &'static [&'static CStr],
    /// The directive without `passenger_`: the name in the protocol, in the daemon's file and in JSON.
    pub name: &'static str,
    /// The type of its value.
    pub of_type: SettingType,
    /// The value where it is not set.
    pub default: DefaultValue,
    /// The daemon's flag.
    pub flag: Option<Flag>,
    /// The meaning, as the help of the daemon shows it.
    pub help: &'static str,
    /// Why it has no effect.
    pub ignored: Option<&'static str>,
}

/// A default, which can be part of a constant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefaultValue {
    /// An empty list or map, or a default that depends on the application: `help` names it.
    None,
    /// A flag.
    Flag(bool),
    /// A number, in the unit of the setting.
    Number(i64),
    /// A text.
    Text(&'static str),
}

/// A flag of the daemon for a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flag {
    /// Its name without `--`.
    pub name: &'static str,
    /// An older name.
    pub alias: Option<&'static str>,
    /// The form of its value.
    pub value: FlagValue,
}

/// The form of a flag's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlagValue {
    /// A value, with its name in the help.
    Named(&'static str),
    /// `on` or `off` after `=`; `on` without.
    State,
    /// No value: the flag sets this one.
    Sets(&'static str),
}

impl DefaultValue {
    /// Returns the default as a value; `None` if there is none.
    pub fn value(self) -> Option<Value> {
        match self {
            Self::None => None,
            Self::Flag(flag) => Some(Value::Flag(flag)),
            Self::Number(number) => Some(Value::Number(number)),
            Self::Text(text) => Some(Value::Text(text.to_owned())),
        }
    }
}

const fn setting(of_type: SettingType, default: DefaultValue) -> Setting {
    let (aliases, flag, ignored) = (&[], None, None);
    Setting { directive: c"", aliases, name: "", of_type, default, flag, help: "", ignored }
}

/// A setting that is `on` or `off`.
pub const fn flag(default: bool) -> Setting {
    setting(SettingType::Flag, DefaultValue::Flag(default))
}

/// A number >= 0.
pub const fn number(default: i64) -> Setting {
    setting(SettingType::Number { min: 0, also: None }, DefaultValue::Number(default))
}

/// A number >= 1.
pub const fn count(default: i64) -> Setting {
    setting(SettingType::Number { min: 1, also: None }, DefaultValue::Number(default))
}

/// A number >= `min`, or the default.
pub const fn number_or(default: i64, min: i64) -> Setting {
    setting(SettingType::Number { min, also: Some(default) }, DefaultValue::Number(default))
}

/// A time, in seconds.
pub const fn seconds(default: i64) -> Setting {
    setting(SettingType::Seconds, DefaultValue::Number(default))
}

/// A text.
pub const fn text(default: &'static str) -> Setting {
    setting(SettingType::Text, DefaultValue::Text(default))
}

/// A number of threads, `auto` by default.
pub const fn threads() -> Setting {
    setting(SettingType::Threads, DefaultValue::Text("auto"))
}

/// A word.
pub const fn one_of(words: &'static [&'static str], default: &'static str) -> Setting {
    setting(SettingType::OneOf(words), DefaultValue::Text(default))
}

/// A value without a default.
pub const fn optional(of_type: SettingType) -> Setting {
    setting(of_type, DefaultValue::None)
}

/// A text of a type with further conditions.
pub const fn text_of(of_type: SettingType, default: &'static str) -> Setting {
    setting(of_type, DefaultValue::Text(default))
}

impl Setting {
    /// Names the setting, with its help.
    pub const fn named(self, directive: &'static CStr, name: &'static str, help: &'static str) -> Self {
        Self { directive, name, help, ..self }
    }

    /// Adds the daemon's flag, whose value has this name in the help.
    pub const fn flag(self, name: &'static str, value: &'static str) -> Self {
        Self { flag: Some(Flag { name, alias: None, value: FlagValue::Named(value) }), ..self }
    }

    /// Adds a flag with the value `on` or `off`.
    pub const fn state_flag(self, name: &'static str, alias: Option<&'static str>) -> Self {
        Self { flag: Some(Flag { name, alias, value: FlagValue::State }), ..self }
    }

    /// Adds a flag that sets this value.
    pub const fn flag_that_sets(self, value: &'static str, name: &'static str) -> Self {
        Self { flag: Some(Flag { name, alias: None, value: FlagValue::Sets(value) }), ..self }
    }

    /// Adds other names of the directive.
    pub(crate) const fn also(self, aliases: &'static [&'static CStr]) -> Self {
        Self { aliases, ..self }
    }

    /// Accepts the setting without effect, for this reason.
    pub(crate) const fn ignored(self, why: &'static str) -> Self {
        Self { ignored: Some(why), ..self }
    }

    /// Returns the default value; `None` if there is none.
    pub fn default(&self) -> Option<Value> {
        self.default.value()
    }
}

/// Conversion of a setting's value to the type of its field.
pub(crate) trait FromValue: Sized + Default {
    /// Returns the converted value; `None` if it is not valid.
    fn from_value(value: &Value) -> Option<Self>;
}

impl FromValue for bool {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Flag(flag) => Some(*flag),
            _ => None,
        }
    }
}

impl FromValue for String {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        }
    }
}

impl FromValue for PathBuf {
    fn from_value(value: &Value) -> Option<Self> {
        String::from_value(value).map(Into::into)
    }
}

impl FromValue for Vec<(String, String)> {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Map(pairs) => Some(pairs.clone()),
            _ => None,
        }
    }
}

impl FromValue for Vec<String> {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::List(texts) => Some(texts.clone()),
            _ => None,
        }
    }
}

impl FromValue for i64 {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Number(number) => Some(*number),
            _ => None,
        }
    }
}

macro_rules! from_number {
    ($($type:ty)+) => {$(
        /// A number that is too large for the type is its maximum.
        impl FromValue for $type {
            fn from_value(value: &Value) -> Option<Self> {
                let number = i64::from_value(value).filter(|number| *number >= 0)?;
                Some(number.try_into().unwrap_or(<$type>::MAX))
            }
        }
    )+};
}

from_number!(u32 u64 usize);

impl FromValue for Duration {
    fn from_value(value: &Value) -> Option<Self> {
        u64::from_value(value).map(duration)
    }
}

/// 100 years. The addition of a time to an instant panics when the sum is out of range.
const MAX_SECONDS: u64 = 100 * 365 * 24 * 60 * 60;

/// Returns a configured time; at most 100 years.
pub fn duration(seconds: u64) -> Duration {
    Duration::from_secs(seconds.min(MAX_SECONDS))
}

/// A size, configured in MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Mebibytes(u64);

impl Mebibytes {
    /// Returns the size in bytes.
    pub fn bytes(self) -> u64 {
        self.0.saturating_mul(1 << 20)
    }
}

impl FromValue for Mebibytes {
    fn from_value(value: &Value) -> Option<Self> {
        u64::from_value(value).map(Self)
    }
}

/// A status of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StatusCode(pub u16);

/// Any other number is treated as not set.
impl FromValue for StatusCode {
    fn from_value(value: &Value) -> Option<Self> {
        let code = i64::from_value(value).filter(|code| (200..=599).contains(code))?;
        u16::try_from(code).ok().map(Self)
    }
}

macro_rules! from_empty {
    ($($type:ty)+) => {$(
        /// `None` is 0, or an empty text, in the configuration: no limit, or not set.
        impl FromValue for Option<$type> {
            fn from_value(value: &Value) -> Option<Self> {
                <$type>::from_value(value).map(|inner| Some(inner).filter(|inner| *inner != <$type>::default()))
            }
        }
    )+};
}

from_empty!(u64 String PathBuf Duration Mebibytes);

/// A text that may be empty: that differs from one that is not set.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AnyText(pub String);

impl FromValue for Option<AnyText> {
    fn from_value(value: &Value) -> Option<Self> {
        String::from_value(value).map(|text| Some(AnyText(text)))
    }
}

impl FromValue for Option<bool> {
    fn from_value(value: &Value) -> Option<Self> {
        bool::from_value(value).map(Some)
    }
}

/// Defines an enum of the words of a setting. Several words may have one meaning.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $( $(#[$variant_doc:meta])* $variant:ident = $($word:literal)|+ ),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
        pub enum $name { $( $(#[$variant_doc])* $variant, )+ }

        impl $name {
            /// Every word.
            pub const WORDS: &[&str] = &[$($($word),+),+];
        }

        impl $crate::setting::FromValue for $name {
            fn from_value(value: &$crate::settings::Value) -> Option<Self> {
                match String::from_value(value)?.as_str() {
                    $($($word)|+ => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }
    };
}

/// Defines a struct of settings, and the table of their definitions. The name of a field is that of the setting, its
/// documentation the help.
macro_rules! settings {
    (
        $(#[$doc:meta])*
        $struct:ident, $table:ident {
            $( $(#[doc = $help:literal])+ $field:ident: $type:ty = $row:expr; )+
        }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        pub struct $struct {
            $( $(#[doc = $help])+ pub $field: $type, )+
        }

        #[doc = concat!("The definitions of [`", stringify!($struct), "`].")]
        pub const $table: &[$crate::setting::Setting] = &[$(
            $row.named(
                $crate::setting::c_str(concat!("passenger_", stringify!($field), "\0")),
                stringify!($field),
                concat!($($help),+),
            ),
        )+];

        impl Default for $struct {
            fn default() -> Self {
                Self { $( $field: $crate::setting::default_of(&$row), )+ }
            }
        }

        impl $struct {
            /// Sets a value; `None` if the name is not one of these settings, or the value is not valid.
            pub fn set(&mut self, name: &str, value: &$crate::settings::Value) -> Option<()> {
                match name {
                    $(
                        stringify!($field) => {
                            $row.of_type.check(value).ok()?;
                            self.$field = $crate::setting::FromValue::from_value(value)?;
                        }
                    )+
                    _ => return None,
                }
                Some(())
            }
        }
    };
}

pub(crate) use {settings, words};

/// Returns a text with a zero byte at its end as a C string.
pub(crate) const fn c_str(text: &'static str) -> &'static CStr {
    match CStr::from_bytes_with_nul(text.as_bytes()) {
        Ok(text) => text,
        Err(_) => c"",
    }
}

/// Returns the default of a setting as the type of its field.
pub(crate) fn default_of<T: FromValue>(setting: &Setting) -> T {
    setting.default().and_then(|value| T::from_value(&value)).unwrap_or_default()
}
