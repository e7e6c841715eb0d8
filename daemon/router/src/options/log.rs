//! Log messages about nginx's options: each change, and each value that has no effect.

use protocol::setting_table;
use protocol::settings::Value;
use tracing::{info, warn};

use super::precedence::{CTL, EffectiveOption, ctl, invalid_reason, same};
use super::{Globals, Sources};
use common::config::{DaemonOption, Given};

/// Options that are set when the daemon starts, each with its flag.
const FIXED: [(&str, &str); 1] = [("instance_registry_dir", "--instance-registry-dir")];

impl Globals {
    /// Logs each option whose value has changed since `before`, and each value of nginx that has no effect. `source`
    /// names the configuration that has changed.
    pub(crate) fn log_changes(&self, before: &[EffectiveOption], source: &str) {
        let sources = self.sources.lock().clone();
        for (now, before) in sources.effective().iter().zip(before) {
            if !same(&now.name, &now.value, &before.value) {
                let (name, old, new) = (&now.name, show(&before.value), show(&now.value));
                info!("{name} changed from {old} to {new} by {source}");
            }
        }
        let Some(received) = &sources.received else { return };
        for (name, value) in received.settings.iter().filter(|(name, _)| *name != CTL) {
            sources.log_without_effect(name, value);
        }
        for (name, value) in ctl(received) {
            match value {
                Ok(value) => sources.log_without_effect(name, &value),
                Err(why) => warn!("ignoring passenger_ctl in nginx.conf: {why}"),
            }
        }
    }
}

impl Sources {
    fn log_without_effect(&self, name: &str, value: &Value) {
        let fixed = FIXED.iter().find(|(fixed, _)| *fixed == name);
        if let Some(option) = self.options.iter().find(|option| option.name == name) {
            log_precedence(option, value);
        } else if let Some((_, flag)) = fixed {
            warn!("ignoring passenger_{name} in nginx.conf: it is fixed when the daemon starts; use {flag}");
        } else if let Some(why) = setting_table::find(name).and_then(|setting| setting.ignored) {
            info!("passenger_{name} in nginx.conf has no effect: {why}");
        } else {
            info!("passenger_{name} in nginx.conf has no effect in this release");
        }
    }
}

/// Logs that the daemon's own configuration overrides nginx's value, or that the value is invalid.
fn log_precedence(option: &DaemonOption, value: &Value) {
    let name = &option.name;
    if let Some(given) = option.given.filter(|_| !same(name, &option.value, value)) {
        let own = show(&option.value);
        let by = match (given, &option.value) {
            (Given::File, _) => format!("{name} = {own} in the daemon's configuration file"),
            (Given::Flag, Value::Flag(_)) => format!("a flag of the daemon, which sets it to {own}"),
            (Given::Flag, _) => format!("--{}={own}", name.replace('_', "-")),
        };
        warn!("passenger_{name} {} in nginx.conf is overridden by {by}", show(value));
    } else if let Some(why) = invalid_reason(option, value) {
        warn!("ignoring invalid value {} in \"passenger_{name}\" of nginx.conf: {why}", show(value));
    }
}

/// Formats a value as in nginx.conf.
fn show(value: &Value) -> String {
    match value {
        Value::Flag(true) => "on".to_owned(),
        Value::Flag(false) => "off".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Text(text) => format!("\"{text}\""),
        Value::List(all) => all.join(" "),
        Value::Map(all) => {
            all.iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join("; ")
        }
    }
}
