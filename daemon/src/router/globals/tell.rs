//! What the log says of nginx's word: each change, and everything that does not count.

use protocol::settings::Value;
use tracing::{info, warn};

use super::Globals;
use super::decide::{Decided, refusal};

/// Set when the daemon starts, each with its flag.
const FIXED: [(&str, &str); 2] = [
    ("instance_registry_dir", "--instance-registry-dir"),
    ("log_file", "2>>FILE, or systemd's StandardError="),
];

impl Globals {
    /// Writes what changed, and what has no effect, into the log; `before` is what was in effect.
    pub(crate) fn tell(&self, before: &[Decided]) {
        for (now, before) in self.decided().iter().zip(before) {
            if now.value != before.value {
                let (name, value, old) = (&now.name, show(&now.value), show(&before.value));
                info!("{name} is {value} now, as nginx's configuration says (it was {old})");
            }
        }
        let said = self.said.borrow();
        for (name, value) in said.iter().flat_map(|said| said.settings.iter()) {
            self.tell_what_has_no_effect(name, value);
        }
        self.show_version.set(self.flag("show_version_in_header"));
    }

    fn tell_what_has_no_effect(&self, name: &str, value: &Value) {
        let option = self.options.iter().find(|option| option.name == name);
        let fixed = FIXED.iter().find(|(fixed, _)| *fixed == name);
        match (option, fixed) {
            (Some(option), _) if option.given && option.value != *value => {
                let (ours, theirs) = (show(&option.value), show(value));
                warn!(
                    "nginx sets passenger_{name} to {theirs}; the daemon's own flag counts, which says {ours}"
                );
            }
            (Some(option), _) if refusal(option, value).is_some() => {
                let why = refusal(option, value).unwrap_or_default();
                warn!("nginx sets passenger_{name} to {}, which does not count: {why}", show(value));
            }
            (Some(_), _) => {}
            (None, Some((_, flag))) => {
                warn!("nginx sets passenger_{name}, which is fixed when the daemon starts: use {flag}");
            }
            (None, None) => info!("nginx sets passenger_{name}, which has no effect in this release"),
        }
    }
}

/// A value as it stands in nginx.conf.
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
