//! What nginx says to the daemon as a whole: the directives of its newest configuration come in, what is in effect goes
//! out, and each change has a line in the log.
//!
//! A flag of the daemon's own counts more than nginx's word. Of several configurations, as while nginx reloads, the one
//! that was read last counts.

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use protocol::globals::Globals as Said;
use protocol::settings::{Settings, Value};
use serde::Serialize;
use tracing::{info, warn};

use super::pool::Limits;
use super::reply::BacklogOptions;
use crate::config::DaemonOption;
use crate::link::Adjustment;
use crate::log::LogLevel;

/// Set when the daemon starts, each with its flag.
const FIXED: [(&str, &str); 2] = [
    ("instance_registry_dir", "--instance-registry-dir"),
    ("log_file", "2>>FILE, or systemd's StandardError="),
];

/// Every option that nginx may set too, and what nginx has said.
#[derive(Debug)]
pub(crate) struct Globals {
    options: Vec<DaemonOption>,
    said: RefCell<Option<Said>>,
    show_version: Cell<bool>,
}

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
    pub(crate) fn new(options: Vec<DaemonOption>) -> Self {
        let globals = Self { options, said: RefCell::default(), show_version: Cell::new(true) };
        globals.show_version.set(globals.flag("show_version_in_header"));
        globals
    }

    /// Whether answers tell this program's version.
    pub(crate) fn show_version(&self) -> bool {
        self.show_version.get()
    }

    /// Takes in what an nginx says. True when it is news, and is to be put to work.
    pub(crate) fn hear(&self, news: Said) -> bool {
        let before = self.said.borrow();
        if before.as_ref().is_some_and(|before| !is_newer(&news, before, now_ms())) {
            return false;
        }
        let changed = before.as_ref().is_none_or(|before| before.settings != news.settings);
        let nothing_said = before.is_none() && news.settings.iter().next().is_none();
        drop(before);
        *self.said.borrow_mut() = Some(news);
        changed && !nothing_said
    }

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

    /// Every option as it is in effect.
    pub(crate) fn decided(&self) -> Vec<Decided> {
        self.options.iter().map(|option| self.decide(option)).collect()
    }

    fn decide(&self, option: &DaemonOption) -> Decided {
        let said = self.said.borrow();
        let theirs = said.as_ref().and_then(|said| said.settings.get(&option.name));
        let theirs = theirs.filter(|value| !option.given && refusal(option, value).is_none());
        let (value, source) = match theirs {
            Some(value) => (value, Source::Nginx),
            None => (&option.value, if option.given { Source::Flag } else { Source::Default }),
        };
        Decided { name: option.name.clone(), value: value.clone(), source }
    }

    fn value(&self, name: &str) -> Option<Value> {
        self.options.iter().find(|option| option.name == name).map(|option| self.decide(option).value)
    }

    fn number(&self, name: &str) -> u64 {
        match self.value(name) {
            Some(Value::Number(number)) => u64::try_from(number).unwrap_or(0),
            _ => 0,
        }
    }

    fn text(&self, name: &str) -> String {
        match self.value(name) {
            Some(Value::Text(text)) => text,
            _ => String::new(),
        }
    }

    fn flag(&self, name: &str) -> bool {
        matches!(self.value(name), Some(Value::Flag(true)))
    }

    /// The pool's bounds.
    pub(crate) fn limits(&self) -> Limits {
        let count = |name| usize::try_from(self.number(name)).unwrap_or(usize::MAX);
        let idle = self.number("pool_idle_time");
        Limits {
            max_processes: count("max_pool_size"),
            max_per_group: count("max_instances_per_app"),
            max_starting: cores(),
            idle_after: (idle > 0).then(|| Duration::from_secs(idle)),
        }
    }

    /// How much of an answer is kept for a slow client, and where.
    pub(crate) fn backlog(&self) -> BacklogOptions {
        let most = self.number("response_buffer_high_watermark");
        BacklogOptions { dir: self.text("data_buffer_dir").into(), most: (most > 0).then_some(most) }
    }

    /// Least time between two looks at an app's restart files.
    pub(crate) fn stat_throttle(&self) -> Duration {
        Duration::from_secs(self.number("stat_throttle_rate"))
    }

    /// How much is logged.
    pub(crate) fn log_level(&self) -> LogLevel {
        self.text("log_level").parse().unwrap_or_default()
    }

    /// What concerns the supervisor.
    pub(crate) fn adjustment(&self) -> Adjustment {
        Adjustment {
            log_level: self.text("log_level"),
            max_pool_size: self.limits().max_processes,
            user_switching: self.flag("user_switching"),
            default_user: self.text("default_user"),
            default_group: self.text("default_group"),
            globals: self.said.borrow().as_ref().map(Said::payload).unwrap_or_default(),
        }
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

/// Starting an app is work for one core.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// A clock that was set back must not leave an old configuration in charge for ever.
fn is_newer(news: &Said, before: &Said, now_ms: u64) -> bool {
    news.configured_ms > before.configured_ms || before.configured_ms > now_ms
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Why nginx's value cannot be used.
fn refusal(option: &DaemonOption, value: &Value) -> Option<&'static str> {
    let same_type = std::mem::discriminant(&option.value) == std::mem::discriminant(value);
    match (option.name.as_str(), value) {
        _ if !same_type => Some("it is of another type than this release expects"),
        ("max_pool_size", Value::Number(0)) => Some("it must be at least 1"),
        ("log_level", Value::Text(level)) if level.parse::<LogLevel>().is_err() => Some("it is no log level"),
        ("default_user", Value::Text(name)) if name.is_empty() => Some("it is empty"),
        ("data_buffer_dir", Value::Text(dir)) if !Path::new(dir).is_dir() => {
            Some("there is no such directory")
        }
        _ => None,
    }
}

/// A value as it stands in nginx.conf.
pub(crate) fn show(value: &Value) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn globals() -> Globals {
        let option = |name: &str, value, given| DaemonOption { name: name.into(), value, given };
        Globals::new(vec![
            option("max_pool_size", Value::Number(6), false),
            option("pool_idle_time", Value::Number(20), true),
            option("show_version_in_header", Value::Flag(true), false),
        ])
    }

    fn said(configured_ms: u64, values: &[(&str, Value)]) -> Said {
        let mut settings = Settings::new();
        for (name, value) in values {
            settings.set(name, value.clone());
        }
        Said { configured_ms, settings }
    }

    fn pool_size(globals: &Globals) -> usize {
        globals.limits().max_processes
    }

    #[test]
    fn nginx_decides_what_no_flag_does() {
        let globals = globals();
        assert!(
            globals
                .hear(said(1, &[("max_pool_size", Value::Number(9)), ("pool_idle_time", Value::Number(1))]))
        );
        assert_eq!((pool_size(&globals), globals.number("pool_idle_time")), (9, 20));
        let sources: Vec<_> = globals.decided().iter().map(|decided| decided.source).collect();
        assert_eq!(sources, [Source::Nginx, Source::Flag, Source::Default]);
    }

    #[test]
    fn an_older_configuration_does_not_come_back() {
        let globals = globals();
        assert!(globals.hear(said(5, &[("max_pool_size", Value::Number(9))])));
        assert!(!globals.hear(said(4, &[("max_pool_size", Value::Number(3))])));
        assert!(!globals.hear(said(5, &[("max_pool_size", Value::Number(3))])));
        assert_eq!(pool_size(&globals), 9);
    }

    #[test]
    fn what_a_newer_configuration_no_longer_says_is_the_daemons_again() {
        let globals = globals();
        assert!(globals.hear(said(5, &[("max_pool_size", Value::Number(9))])));
        assert!(globals.hear(said(6, &[])));
        assert_eq!(pool_size(&globals), 6);
    }

    #[test]
    fn nothing_said_is_no_news() {
        assert!(!globals().hear(said(5, &[])));
    }

    #[test]
    fn a_configuration_from_the_future_gives_way() {
        let future = now_ms() + 3_600_000;
        let globals = globals();
        assert!(globals.hear(said(future, &[("max_pool_size", Value::Number(9))])));
        assert!(globals.hear(said(now_ms(), &[("max_pool_size", Value::Number(7))])));
        assert_eq!(pool_size(&globals), 7);
    }

    #[test]
    fn a_value_that_makes_no_sense_does_not_count() {
        for value in [Value::Number(0), Value::Text("many".into())] {
            let globals = globals();
            assert!(globals.hear(said(1, &[("max_pool_size", value)])));
            assert_eq!(pool_size(&globals), 6);
        }
    }
}
