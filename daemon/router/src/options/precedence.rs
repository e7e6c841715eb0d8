//! Precedence of an option's sources: the daemon's configuration, nginx's configuration and the default.
//!
//! A flag or the daemon's configuration file takes precedence over nginx; if neither sets an option, its default
//! applies.

use protocol::globals::Globals as ReceivedGlobals;
use protocol::settings::{Settings, Value};
use serde::Serialize;

use super::{Globals, Sources};
use common::config::{DaemonOption, Given, shared};

/// The directive that sets options by name.
pub(super) const CTL: &str = "ctl";

/// The source of an option's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Source {
    /// Not configured.
    Default,
    /// The daemon's flag.
    Flag,
    /// The daemon's configuration file.
    File,
    /// nginx's configuration.
    Nginx,
}

impl From<Given> for Source {
    fn from(given: Given) -> Self {
        match given {
            Given::Flag => Self::Flag,
            Given::File => Self::File,
        }
    }
}

/// An option's value in effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EffectiveOption {
    pub(crate) name: String,
    pub(crate) value: Value,
    pub(crate) source: Source,
}

impl Globals {
    /// Returns all options with their values in effect.
    pub(crate) fn effective(&self) -> Vec<EffectiveOption> {
        self.sources.lock().effective()
    }

    /// Returns the received settings that match no option of the daemon.
    pub(crate) fn ignored_directives(&self) -> Settings {
        self.sources.lock().ignored_directives()
    }
}

impl Sources {
    /// Returns all options with their values in effect.
    pub(super) fn effective(&self) -> Vec<EffectiveOption> {
        self.options.iter().map(|option| self.effective_option(option)).collect()
    }

    pub(super) fn effective_option(&self, option: &DaemonOption) -> EffectiveOption {
        let from_nginx = self.received.as_ref().and_then(|received| value_of(received, &option.name));
        let from_nginx =
            from_nginx.filter(|value| option.given.is_none() && invalid_reason(option, value).is_none());
        let from_nginx = match self.overridden(&option.name) {
            Some(kept) => from_nginx.map(|_| kept).filter(|kept| *kept != option.value),
            None => from_nginx,
        };
        let (value, source) = match from_nginx {
            Some(value) => (value, Source::Nginx),
            None => (option.value.clone(), option.given.map_or(Source::Default, Source::from)),
        };
        EffectiveOption { name: option.name.clone(), value, source }
    }

    /// Returns the value in effect where the supervisor could not apply nginx's.
    fn overridden(&self, name: &str) -> Option<Value> {
        let of_name = self.overridden.iter().find(|overridden| overridden.name == name);
        of_name.map(|overridden| Value::Text(overridden.value.clone()))
    }

    fn ignored_directives(&self) -> Settings {
        let mut rest = Settings::new();
        for (name, value) in self.received.iter().flat_map(|received| received.settings.iter()) {
            if name != CTL && self.options.iter().all(|option| option.name != name) {
                rest.set(name, value.clone());
            }
        }
        rest
    }
}

/// Returns nginx's value of an option: from its own directive or, failing that, from `passenger_ctl`.
pub(super) fn value_of(received: &ReceivedGlobals, name: &str) -> Option<Value> {
    let own = received.settings.get(name).cloned();
    own.or_else(|| ctl(received).filter(|(each, _)| *each == name).filter_map(|(_, read)| read.ok()).last())
}

/// Returns each name that `passenger_ctl` sets, with its value or the error in it.
pub(super) fn ctl(received: &ReceivedGlobals) -> impl Iterator<Item = (&str, Result<Value, String>)> {
    let all = match received.settings.get(CTL) {
        Some(Value::Map(all)) => all.as_slice(),
        _ => &[],
    };
    all.iter().map(|(name, text)| (name.as_str(), shared::read(name, text)))
}

/// Returns why nginx's value cannot be used.
pub(super) fn invalid_reason(option: &DaemonOption, value: &Value) -> Option<String> {
    shared::check(shared::find(&option.name)?, value).err()
}

/// Whether two notations of an option's value are equivalent.
pub(super) fn same(name: &str, one: &Value, other: &Value) -> bool {
    shared::find(name).map_or_else(|| one == other, |setting| shared::same(setting.of_type, one, other))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{globals, received};
    use super::*;
    use common::link::OverriddenOption;

    fn ctl_value(pairs: &[(&str, &str)]) -> Value {
        Value::Map(pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect())
    }

    fn pool_size(received: ReceivedGlobals) -> (Value, Source) {
        let globals = globals();
        assert!(globals.update(received));
        let effective = globals.effective().swap_remove(0);
        (effective.value, effective.source)
    }

    #[test]
    fn an_invalid_value_is_ignored() {
        for value in [Value::Number(0), Value::Text("many".into())] {
            let settings = received(1, &[("max_pool_size", value)]);
            assert_eq!(pool_size(settings), (Value::Number(6), Source::Default));
        }
    }

    #[test]
    fn a_value_that_the_supervisor_rejects_is_not_in_effect() {
        let option = |name: &str, value| DaemonOption { name: name.into(), value, given: None };
        let text = |text: &str| Value::Text(text.to_owned());
        let globals = Globals::new(vec![option("log_file", text(""))]);
        let effective =
            || globals.effective().into_iter().map(|each| (each.value, each.source)).next().unwrap();
        let overridden =
            |value: &str| vec![OverriddenOption { name: "log_file".into(), value: value.into() }];
        globals.update(received(1, &[("log_file", text("/srv/x"))]));
        assert_eq!(effective(), (text("/srv/x"), Source::Nginx));
        globals.set_overridden(overridden(""));
        assert_eq!(effective(), (text(""), Source::Default));
        globals.set_overridden(overridden("/var/log/earlier"));
        assert_eq!(effective(), (text("/var/log/earlier"), Source::Nginx));
        globals.update(received(2, &[("log_file", text("/srv/y"))]));
        assert_eq!(effective(), (text("/srv/y"), Source::Nginx));
    }

    #[test]
    fn ctl_sets_an_option_unless_its_own_directive_or_flag_does() {
        let ctl = ctl_value(&[("max_pool_size", "8"), ("pool_idle_time", "1"), ("max_pool_size", "9")]);
        let settings = received(1, &[(CTL, ctl.clone())]);
        assert_eq!(pool_size(settings), (Value::Number(9), Source::Nginx));
        let settings = received(1, &[(CTL, ctl.clone()), ("max_pool_size", Value::Number(3))]);
        assert_eq!(pool_size(settings), (Value::Number(3), Source::Nginx));
        let globals = globals();
        globals.update(received(1, &[(CTL, ctl)]));
        assert_eq!(globals.effective()[1].source, Source::Flag);
        assert!(globals.ignored_directives().iter().next().is_none());
    }

    #[test]
    fn invalid_ctl_values_set_nothing() {
        let settings =
            received(1, &[(CTL, ctl_value(&[("max_pool_size", "0"), ("hook_spawn_failed", "/bin/x")]))]);
        let wrong: Vec<_> = ctl(&settings).filter_map(|(_, read)| read.err()).collect();
        assert!(
            wrong[0].starts_with("invalid value \"0\" in \"max_pool_size\": must be a number >= 1"),
            "{wrong:?}"
        );
        assert!(
            wrong[1].starts_with("hook_spawn_failed: programs are configured with the daemon"),
            "{wrong:?}"
        );
        assert_eq!(pool_size(settings), (Value::Number(6), Source::Default));
    }
}
