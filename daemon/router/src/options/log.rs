//! Log messages about nginx's options: each change, and each value that has no effect.

use protocol::settings::Value;
use tracing::{info, warn};

use super::Globals;
use super::precedence::{CTL, EffectiveOption, ctl, invalid_reason, same};
use crate::app::settings::ignored;
use common::config::{DaemonOption, Given};

/// Options that are set when the daemon starts, each with its flag.
const FIXED: [(&str, &str); 1] = [("instance_registry_dir", "--instance-registry-dir")];

impl Globals {
    /// Logs what has changed and what has no effect; `before` is what was in effect, and `whose` names the
    /// configuration that has changed.
    pub(crate) fn log_changes(&self, before: &[EffectiveOption], whose: &str) {
        for (now, before) in self.effective().iter().zip(before) {
            if !same(&now.name, &now.value, &before.value) {
                let (name, value, old) = (&now.name, show(&now.value), show(&before.value));
                info!("{name} is {value} now, as {whose} configuration says (it was {old})");
            }
        }
        let received = self.received.borrow();
        for (name, value) in received.iter().flat_map(|received| received.settings.iter()) {
            self.log_ignored(name, value);
        }
        for (name, read) in received.iter().flat_map(ctl) {
            self.log_ctl(name, read);
        }
    }

    fn log_ignored(&self, name: &str, value: &Value) {
        let fixed = FIXED.iter().find(|(each, _)| *each == name);
        if let Some(option) = self.options.borrow().iter().find(|option| option.name == name) {
            log_precedence(option, value);
        } else if let Some((_, flag)) = fixed {
            warn!("nginx sets passenger_{name}, which is fixed when the daemon starts: use {flag}");
        } else if let Some(why) = ignored::why(name) {
            info!("nginx sets passenger_{name}, which has no effect: {why}");
        } else if name != CTL {
            info!("nginx sets passenger_{name}, which has no effect in this release");
        }
    }

    fn log_ctl(&self, name: &str, read: Result<Value, String>) {
        match read {
            Ok(value) => {
                let options = self.options.borrow();
                let option = options.iter().find(|option| option.name == name);
                option.into_iter().for_each(|option| log_precedence(option, &value));
            }
            Err(why) => warn!("nginx's passenger_ctl does not count: {why}"),
        }
    }
}

fn log_precedence(option: &DaemonOption, value: &Value) {
    let (name, from_nginx) = (&option.name, show(value));
    if let Some(given) = option.given.filter(|_| !same(name, &option.value, value)) {
        let daemon_value = show(&option.value);
        let own = if given == Given::Flag { "flag" } else { "file" };
        warn!("nginx sets passenger_{name} to {from_nginx}; the daemon's own {own} counts, which says {own}");
    } else if let Some(why) = invalid_reason(option, value) {
        warn!("nginx sets passenger_{name} to {from_nginx}, which does not count: it {why}");
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
