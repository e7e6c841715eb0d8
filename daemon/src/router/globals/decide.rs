//! Whose word counts for an option: the daemon's own and nginx's come in, the value in effect goes out.
//!
//! A flag of the daemon's own counts more than nginx's word; where neither says anything, the default does.

use protocol::settings::{Settings, Value};
use serde::Serialize;

use super::Globals;
use crate::config::DaemonOption;
use crate::log::LogLevel;

/// Who decided an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Source {
    /// Nobody.
    Default,
    /// The daemon's flag.
    Flag,
    /// nginx's configuration.
    Nginx,
}

/// An option as it is in effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decided {
    pub(crate) name: String,
    pub(crate) value: Value,
    pub(crate) source: Source,
}

impl Globals {
    /// Every option as it is in effect.
    pub(crate) fn decided(&self) -> Vec<Decided> {
        self.options.iter().map(|option| self.decide(option)).collect()
    }

    pub(super) fn decide(&self, option: &DaemonOption) -> Decided {
        let said = self.said.borrow();
        let theirs = said.as_ref().and_then(|said| said.settings.get(&option.name));
        let theirs = theirs.filter(|value| !option.given && refusal(option, value).is_none());
        let (value, source) = match theirs {
            Some(value) => (value, Source::Nginx),
            None => (&option.value, if option.given { Source::Flag } else { Source::Default }),
        };
        Decided { name: option.name.clone(), value: value.clone(), source }
    }

    /// What nginx has said that no option of the daemon stands for.
    pub(crate) fn without_effect(&self) -> Settings {
        let mut rest = Settings::new();
        for (name, value) in self.said.borrow().iter().flat_map(|said| said.settings.iter()) {
            if self.options.iter().all(|option| option.name != name) {
                rest.set(name, value.clone());
            }
        }
        rest
    }
}

/// Why nginx's value cannot be used.
pub(super) fn refusal(option: &DaemonOption, value: &Value) -> Option<&'static str> {
    let same_type = std::mem::discriminant(&option.value) == std::mem::discriminant(value);
    match (option.name.as_str(), value) {
        _ if !same_type => Some("it is of another type than this release expects"),
        ("max_pool_size", Value::Number(0)) => Some("it must be at least 1"),
        ("log_level", Value::Text(level)) if level.parse::<LogLevel>().is_err() => Some("it is no log level"),
        ("default_user", Value::Text(name)) if name.is_empty() => Some("it is empty"),
        _ => None,
    }
}
