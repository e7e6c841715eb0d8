//! Options of the daemon: the directives of nginx's newest configuration, the values in effect, and a log line for each
//! change.
//!
//! If there are several configurations, as during a reload of nginx, the one that was read last applies. [`precedence`]
//! decides which value is in effect, and [`log`] reports it.

pub(crate) mod log;
pub(crate) mod precedence;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use protocol::globals::Globals as ReceivedGlobals;
use protocol::setting::duration;
use protocol::settings::{Settings, Value};

pub(crate) use precedence::{EffectiveOption, Source};

use super::lock::Lock;
use super::metrics::problems::Problems;
use super::pool::Limits;
use super::response::BacklogOptions;
use common::config::DaemonOption;
use common::link::{OverriddenOption, SupervisorOptions};
use common::log::LogLevel;

/// All options that nginx may also set, and the values received from nginx.
#[derive(Debug)]
pub(crate) struct Globals {
    sources: Lock<Sources>,
    show_version: AtomicBool,
}

/// What determines the values of options.
#[derive(Debug, Clone)]
struct Sources {
    options: Vec<DaemonOption>,
    received: Option<ReceivedGlobals>,
    /// Options for which the supervisor could not apply nginx's value.
    overridden: Vec<OverriddenOption>,
}

impl Globals {
    pub(crate) fn new(options: Vec<DaemonOption>) -> Self {
        let globals = Self {
            sources: Lock::new(Sources { options, received: None, overridden: Vec::new() }),
            show_version: AtomicBool::new(true),
        };
        globals.refresh();
        globals
    }

    /// Whether responses contain this program's version.
    pub(crate) fn show_version(&self) -> bool {
        self.show_version.load(Ordering::Relaxed)
    }

    /// Stores a configuration received from nginx. True when it has changed and must be applied.
    pub(crate) fn update(&self, new: ReceivedGlobals) -> bool {
        let changed = {
            let mut sources = self.sources.lock();
            let old = sources.received.as_ref();
            if old.is_some_and(|old| !is_newer(&new, old, now_ms())) {
                return false;
            }
            let changed = old.map_or(&Settings::new(), |old| &old.settings) != &new.settings;
            sources.received = Some(new);
            if changed {
                sources.overridden.clear();
            }
            changed
        };
        self.refresh();
        changed
    }

    /// Replaces the options of the daemon's own configuration.
    pub(crate) fn reconfigure(&self, options: Vec<DaemonOption>) {
        {
            let mut sources = self.sources.lock();
            sources.options = options;
            sources.overridden.clear();
        }
        self.refresh();
    }

    /// Updates the copy of the option that each request reads.
    fn refresh(&self) {
        self.show_version.store(self.flag("show_version_in_header"), Ordering::Relaxed);
    }

    /// Records the options for which the supervisor could not apply nginx's newest configuration.
    pub(crate) fn set_overridden(&self, overridden: Vec<OverriddenOption>) {
        self.sources.lock().overridden = overridden;
    }

    fn value(&self, name: &str) -> Option<Value> {
        let sources = self.sources.lock();
        let option = sources.options.iter().find(|option| option.name == name)?;
        Some(sources.effective_option(option).value)
    }

    fn number(&self, name: &str) -> u64 {
        let Some(Value::Number(number)) = self.value(name) else { return 0 };
        u64::try_from(number).unwrap_or(0)
    }

    fn text(&self, name: &str) -> String {
        let Some(Value::Text(text)) = self.value(name) else { return String::new() };
        text
    }

    fn flag(&self, name: &str) -> bool {
        matches!(self.value(name), Some(Value::Flag(true)))
    }

    /// Returns the limits of the pool.
    pub(crate) fn limits(&self) -> Limits {
        let count = |name| usize::try_from(self.number(name)).unwrap_or(usize::MAX);
        let idle = self.number("pool_idle_time");
        Limits {
            max_processes: count("max_pool_size"),
            max_per_group: count("max_instances_per_app"),
            max_starting: cores(),
            idle_after: (idle > 0).then(|| duration(idle)),
        }
    }

    /// Returns how much of a response is kept for a slow client, and where.
    pub(crate) fn backlog(&self, problems: Arc<Problems>) -> BacklogOptions {
        let most = self.number("response_buffer_high_watermark");
        let dir = self.text("data_buffer_dir").into();
        BacklogOptions { dir, max_file_size: (most > 0).then_some(most), problems }
    }

    /// Returns the least time between two checks of an app's restart files.
    pub(crate) fn stat_throttle(&self) -> Duration {
        duration(self.number("stat_throttle_rate"))
    }

    /// Returns the log level.
    pub(crate) fn log_level(&self) -> LogLevel {
        self.text("log_level").parse().unwrap_or_default()
    }

    /// Whether a line that an app prints has a prefix that identifies the process.
    pub(crate) fn log_prefix(&self) -> bool {
        !self.flag("disable_log_prefix")
    }

    /// Returns the options for the supervisor.
    pub(crate) fn for_supervisor(&self) -> SupervisorOptions {
        SupervisorOptions {
            log_level: self.text("log_level"),
            max_pool_size: self.limits().max_processes,
            user_switching: self.flag("user_switching"),
            default_user: self.text("default_user"),
            default_group: self.text("default_group"),
            log_file: self.text("log_file"),
            socket_backlog: self.number("socket_backlog"),
            open_files: self.number("core_file_descriptor_ulimit"),
            app_prefix: self.log_prefix(),
            globals: self.sources.lock().received.as_ref().map(ReceivedGlobals::payload).unwrap_or_default(),
        }
    }
}

/// Returns the number of cores: starting an app occupies one core.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Whether `new` replaces `old`. After a clock was set back, an old configuration must not stay in effect forever.
fn is_newer(new: &ReceivedGlobals, old: &ReceivedGlobals, now_ms: u64) -> bool {
    new.configured_ms > old.configured_ms || old.configured_ms > now_ms
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::config::Given;

    pub(super) fn globals() -> Globals {
        let option = |name: &str, value, given| DaemonOption { name: name.into(), value, given };
        Globals::new(vec![
            option("max_pool_size", Value::Number(6), None),
            option("pool_idle_time", Value::Number(20), Some(Given::Flag)),
            option("show_version_in_header", Value::Flag(true), None),
        ])
    }

    pub(super) fn received(configured_ms: u64, values: &[(&str, Value)]) -> ReceivedGlobals {
        let mut settings = Settings::new();
        for (name, value) in values {
            settings.set(name, value.clone());
        }
        ReceivedGlobals { configured_ms, settings }
    }

    fn pool_size(globals: &Globals) -> usize {
        globals.limits().max_processes
    }

    #[test]
    fn nginx_sets_options_that_no_flag_sets() {
        let globals = globals();
        assert!(globals.update(received(
            1,
            &[("max_pool_size", Value::Number(9)), ("pool_idle_time", Value::Number(1))]
        )));
        assert_eq!((pool_size(&globals), globals.number("pool_idle_time")), (9, 20));
        let sources: Vec<_> = globals.effective().iter().map(|effective| effective.source).collect();
        assert_eq!(sources, [Source::Nginx, Source::Flag, Source::Default]);
    }

    #[test]
    fn an_older_configuration_does_not_replace_a_newer_one() {
        let globals = globals();
        assert!(globals.update(received(5, &[("max_pool_size", Value::Number(9))])));
        assert!(!globals.update(received(4, &[("max_pool_size", Value::Number(3))])));
        assert!(!globals.update(received(5, &[("max_pool_size", Value::Number(3))])));
        assert_eq!(pool_size(&globals), 9);
    }

    #[test]
    fn an_option_removed_from_nginx_returns_to_the_daemons_value() {
        let globals = globals();
        assert!(globals.update(received(5, &[("max_pool_size", Value::Number(9))])));
        assert!(globals.update(received(6, &[])));
        assert_eq!(pool_size(&globals), 6);
    }

    #[test]
    fn an_empty_first_configuration_changes_nothing() {
        assert!(!globals().update(received(5, &[])));
    }

    #[test]
    fn a_configuration_from_the_future_is_replaced() {
        let future = now_ms() + 3_600_000;
        let globals = globals();
        assert!(globals.update(received(future, &[("max_pool_size", Value::Number(9))])));
        assert!(globals.update(received(now_ms(), &[("max_pool_size", Value::Number(7))])));
        assert_eq!(pool_size(&globals), 7);
    }
}
