//! Parsing of a directive's arguments into typed values.

use std::fmt;

use protocol::setting_type::SettingType;
use protocol::settings::Value;

/// Why a directive was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It is configured twice on one level.
    Duplicate,
    /// A message that names the directive and the accepted values.
    Sentence(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duplicate => f.write_str("is duplicate"),
            Self::Sentence(text) => f.write_str(text),
        }
    }
}

impl Refusal {
    /// Returns the refusal of a value, which `must` be something else.
    pub fn invalid(value: &str, directive: &str, must: impl fmt::Display) -> Self {
        Self::Sentence(format!("invalid value \"{value}\" in \"{directive}\": {must}"))
    }
}

/// Parses the arguments of a directive of this type.
///
/// # Errors
///
/// [`Refusal::Sentence`].
pub fn parse(of_type: SettingType, directive: &str, args: &[&str]) -> Result<Value, Refusal> {
    let text = |at: usize| args.get(at).copied().unwrap_or_default();
    match of_type {
        SettingType::Map => Ok(Value::Map(vec![(text(0).to_owned(), text(1).to_owned())])),
        SettingType::List => Ok(Value::List(vec![text(0).to_owned()])),
        _ => of_type.parse(text(0)).map_err(|must| Refusal::invalid(text(0), directive, must)),
    }
}

/// Parses the arguments of a directive for the daemon as a whole, as [`parse`]. Texts are not checked here: where the
/// daemon cannot use one, as where Passenger takes a relative path, it logs the reason.
///
/// # Errors
///
/// [`Refusal::Sentence`].
pub fn parse_global(of_type: SettingType, directive: &str, args: &[&str]) -> Result<Value, Refusal> {
    let is_free = matches!(of_type, SettingType::Path | SettingType::Directory | SettingType::Name);
    parse(if is_free { SettingType::Text } else { of_type }, directive, args)
}

/// Parses `on` or `off`, in any case.
///
/// # Errors
///
/// [`Refusal::Sentence`] for anything else.
pub fn flag(directive: &str, text: &str) -> Result<bool, Refusal> {
    parse(SettingType::Flag, directive, &[text]).map(|value| value == Value::Flag(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_value_and_directive() {
        let refused = flag("passenger_enabled", "yes").unwrap_err();
        assert_eq!(
            refused.to_string(),
            "invalid value \"yes\" in \"passenger_enabled\": must be \"on\" or \"off\""
        );
    }

    #[test]
    fn a_map_takes_a_name_and_a_value() {
        let parsed = parse(SettingType::Map, "x", &["LANG", "C"]);
        assert_eq!(parsed, Ok(Value::Map(vec![("LANG".into(), "C".into())])));
    }

    #[test]
    fn texts_for_the_daemon_are_left_to_it() {
        assert!(parse(SettingType::Path, "x", &["log/x"]).is_err());
        assert_eq!(parse_global(SettingType::Path, "x", &["log/x"]), Ok(Value::Text("log/x".into())));
        assert!(parse_global(SettingType::Flag, "x", &["maybe"]).is_err());
    }
}
