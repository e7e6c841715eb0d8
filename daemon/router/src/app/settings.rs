//! An application's settings: the named values of a settings block as typed fields.
//!
//! Parsed once for each distinct block. A name that this release does not know comes from a newer module: it is
//! returned, so that it can be logged, and the other settings apply.

use std::time::Duration;

use protocol::app_settings::{ConcurrencyModel, LoadBalancing, ProcessSettings, RouterSettings, SpawnMethod};
use protocol::request::AppKind;
use protocol::setting::Mebibytes;
use protocol::settings::Settings;

use super::sticky::Sticky;
use crate::pool::{Concurrency, GroupOptions, RestartHow};

/// Maximum number of threads of a process: each has its own stack and connection.
const MAX_THREADS: u32 = 1024;

/// Time between two checks of memory limits where it is set to 0.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// Typed settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct AppSettings {
    /// The settings with which processes are started.
    pub(crate) process: ProcessSettings,
    /// The other settings.
    pub(crate) router: RouterSettings,
}

/// Limits on the memory of each process of an app, in bytes, and how often it is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MemoryLimits {
    /// A process that uses more is replaced after its requests.
    pub(crate) soft: Option<u64>,
    /// A process that uses more is killed.
    pub(crate) hard: Option<u64>,
    /// Time between two checks.
    pub(crate) every: Duration,
}

impl MemoryLimits {
    pub(crate) fn is_any(self) -> bool {
        self.soft.is_some() || self.hard.is_some()
    }
}

impl AppSettings {
    /// Parses a block; also returns the names that have no effect in this release.
    pub(crate) fn from_block(block: &Settings) -> (Self, Vec<String>) {
        let mut settings = Self::default();
        let mut unknown = Vec::new();
        for (name, value) in block.iter() {
            if settings.process.set(name, value).or_else(|| settings.router.set(name, value)).is_none() {
                unknown.push(name.to_owned());
            }
        }
        (settings, unknown)
    }

    /// Returns the interpreter for this kind of app; empty for the default one.
    pub(crate) fn interpreter(&self, kind: AppKind) -> &str {
        kind.loader().map_or("", |loader| (loader.interpreter)(&self.router))
    }

    /// Whether processes of this kind of app are forked from a preloader.
    pub(crate) fn is_smart(&self, kind: AppKind) -> bool {
        let preloading = kind.loader().filter(|loader| loader.preloader.is_some());
        preloading.is_some_and(|loader| {
            self.router.spawn_method.map_or(loader.is_smart, |method| method == SpawnMethod::Smart)
        })
    }

    /// Returns how many requests a process with sessions handles at a time.
    pub(crate) fn threads(&self, kind: AppKind) -> u32 {
        match self.router.concurrency_model {
            ConcurrencyModel::Thread if kind.has_sessions() => self.router.thread_count.min(MAX_THREADS),
            _ => 1,
        }
    }

    /// Returns how many requests a process handles at a time, given what the process reports (0 is unlimited).
    pub(crate) fn concurrency(&self, kind: AppKind, reported: Option<u32>) -> Concurrency {
        let forced = self.router.force_max_concurrent_requests_per_process;
        let limit = usize::try_from(forced).ok().or(reported.map(|limit| limit as usize));
        match limit.unwrap_or(usize::from(kind.has_sessions())) {
            0 => Concurrency::Unlimited,
            limit => Concurrency::At(limit),
        }
    }

    /// Returns the options of the app's group in the pool.
    pub(crate) fn group_options(&self) -> GroupOptions {
        GroupOptions {
            min_instances: self.router.min_instances,
            max_instances: self.router.max_instances,
            max_queue: self.router.max_request_queue_size,
            max_requests: self.router.max_requests,
            resists_errors: self.router.resist_deployment_errors,
            takes_turns: self.router.load_balancing == LoadBalancing::RoundRobin,
        }
    }

    /// Returns how restart files, and an administrator who does not specify how, restart the app.
    pub(crate) fn restart_how(&self) -> RestartHow {
        if self.router.rolling_restarts { RestartHow::Rolling } else { RestartHow::Blocking }
    }

    /// Returns the memory limits of a process.
    pub(crate) fn memory_limits(&self) -> MemoryLimits {
        let every = self.router.analytics_collection_rate;
        MemoryLimits {
            soft: self.router.memory_limit.map(Mebibytes::bytes),
            hard: self.router.hard_memory_limit.map(Mebibytes::bytes),
            every: if every.is_zero() { CHECK_INTERVAL } else { every },
        }
    }

    /// Returns the cookie of sticky sessions; `None` if sessions are not sticky.
    pub(crate) fn sticky(&self) -> Option<Sticky<'_>> {
        self.router.sticky_sessions.then(|| Sticky {
            name: &self.router.sticky_sessions_cookie_name,
            attributes: self.router.sticky_sessions_cookie_attributes.as_ref().map(|text| text.0.as_str()),
        })
    }

    /// Whether visitors see why the app does not start.
    pub(crate) fn has_friendly_error_pages(&self) -> bool {
        self.router.friendly_error_pages.unwrap_or(self.process.app_env == "development")
    }
}

#[cfg(test)]
mod tests {
    use protocol::settings::Value;

    use super::*;

    fn read(entries: &[(&str, Value)]) -> (AppSettings, Vec<String>) {
        let mut block = Settings::new();
        for (name, value) in entries {
            block.set(name, value.clone());
        }
        AppSettings::from_block(&block)
    }

    #[test]
    fn an_empty_block_gives_the_defaults() {
        let (settings, unknown) = read(&[]);
        assert_eq!(settings, AppSettings::default());
        assert_eq!(settings.router.max_request_queue_size, 100);
        assert!(settings.process.load_shell_envvars);
        assert!(unknown.is_empty());
    }

    #[test]
    fn names_of_a_newer_module_are_returned_and_the_rest_applies() {
        let (settings, unknown) =
            read(&[("warp_factor", Value::Number(9)), ("min_instances", Value::Number(3))]);
        assert_eq!(unknown, ["warp_factor"]);
        assert_eq!(settings.router.min_instances, 3);
    }

    #[test]
    fn the_name_of_a_value_of_another_type_is_returned() {
        let (settings, unknown) = read(&[("min_instances", Value::Text("three".into()))]);
        assert_eq!(unknown, ["min_instances"]);
        assert_eq!(settings.router.min_instances, 1);
    }

    #[test]
    fn empty_attributes_of_the_sticky_cookie_replace_the_default() {
        let on = ("sticky_sessions", Value::Flag(true));
        let attributes = |text: &str| ("sticky_sessions_cookie_attributes", Value::Text(text.into()));
        let cookie = |entries: &[_]| read(entries).0.sticky().unwrap().cookie(5, "", false);
        assert!(cookie(std::slice::from_ref(&on)).ends_with("HttpOnly; SameSite=Lax"));
        assert!(cookie(&[on, attributes("")]).ends_with("HttpOnly"));
    }

    #[test]
    fn the_longest_time_does_not_overflow() {
        let (settings, unknown) = read(&[("start_timeout", Value::Number(i64::MAX))]);
        assert_eq!(unknown, [""; 0]);
        assert!(std::time::Instant::now().checked_add(settings.router.start_timeout).is_some());
    }

    #[test]
    fn friendly_error_pages_follow_the_environment_unless_set() {
        let development = ("app_env", Value::Text("development".into()));
        assert!(read(std::slice::from_ref(&development)).0.has_friendly_error_pages());
        assert!(!read(&[]).0.has_friendly_error_pages());
        let off = ("friendly_error_pages", Value::Flag(false));
        assert!(!read(&[development, off]).0.has_friendly_error_pages());
    }

    #[test]
    fn ruby_is_smart_by_default_and_python_is_not() {
        let smart =
            |method: &str, kind| read(&[("spawn_method", Value::Text(method.into()))]).0.is_smart(kind);
        assert!(read(&[]).0.is_smart(AppKind::Ruby) && !read(&[]).0.is_smart(AppKind::Python));
        assert!(smart("smart", AppKind::Python) && smart("smart-lv2", AppKind::Ruby));
        assert!(!smart("direct", AppKind::Ruby) && !smart("conservative", AppKind::Ruby));
        assert!(!smart("smart", AppKind::Node));
        assert_eq!(read(&[("spawn_method", Value::Text("magic".into()))]).1, ["spawn_method"]);
    }

    #[test]
    fn a_preloader_with_an_idle_time_of_zero_is_kept() {
        let idle =
            |n| read(&[("max_preloader_idle_time", Value::Number(n))]).0.router.max_preloader_idle_time;
        assert_eq!(idle(0), None);
        assert_eq!(idle(7), Some(Duration::from_secs(7)));
    }

    #[test]
    fn forced_concurrency_takes_precedence_over_the_reported_one() {
        let forced = |n, reported| {
            let (settings, _) = read(&[("force_max_concurrent_requests_per_process", Value::Number(n))]);
            settings.concurrency(AppKind::Ruby, reported)
        };
        assert_eq!(forced(-1, None), Concurrency::At(1));
        assert_eq!(forced(-1, Some(7)), Concurrency::At(7));
        assert_eq!(forced(-1, Some(0)), Concurrency::Unlimited);
        assert_eq!(forced(0, Some(7)), Concurrency::Unlimited);
        assert_eq!(forced(5, Some(0)), Concurrency::At(5));
    }
}
