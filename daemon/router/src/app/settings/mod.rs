//! An application's settings: the named values of a settings block as typed fields.
//!
//! Parsed once for each distinct block. A name that this release does not know comes from a newer module: it is
//! returned, so that it can be logged, and the other settings apply.

mod cookie;
pub(crate) mod ignored;
mod memory_limits;
mod values;

use std::path::{Path, PathBuf};
use std::time::Duration;

use protocol::request::AppKind;
use protocol::settings::{Settings, Value};

use super::sticky::Sticky;
use crate::pool::{Concurrency, GroupOptions, RestartHow};
use common::link::{CgroupLimits, Listen};
use cookie::Cookie;
pub(crate) use memory_limits::MemoryLimits;
use values::{
    concurrency, flag, is_smart, limit, listen, map, mebibytes, number, restart_how, status, takes_turns,
    text, uri,
};

/// Each thread has its own stack and connection.
const MOST_THREADS: u32 = 1024;

/// Typed settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AppSettings {
    pub(crate) app_env: String,
    pub(crate) startup_file: Option<String>,
    pub(crate) ruby: String,
    pub(crate) python: String,
    pub(crate) nodejs: String,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) user: Option<String>,
    pub(crate) user_group: Option<String>,
    pub(crate) restart_dir: String,
    pub(crate) start_timeout: Duration,
    /// Maximum number of open files of a process; `None` for the limit that the daemon was started with.
    pub(crate) open_files: Option<u64>,
    /// A file for the app's output, besides the log; relative to the app's root or absolute.
    pub(crate) log_file: Option<PathBuf>,
    /// Limits of the control group of a process.
    pub(crate) limits: CgroupLimits,
    /// Whether nothing that a process runs can gain privileges.
    pub(crate) no_new_privs: bool,
    /// The page shown to visitors when a process does not start.
    pub(crate) error_page: Option<PathBuf>,
    pub(crate) preload_bundler: bool,
    /// Whether `PATH_INFO` of a WSGI app stays %-encoded, as in Passenger.
    pub(crate) wsgi_encoded_path: bool,
    /// How a generic app listens.
    pub(crate) listen: Listen,
    /// An HTTP app gets requests once it has answered one for this URI without an error.
    pub(crate) ready_path: Option<String>,
    /// Passed to `meteor run`; empty for none.
    pub(crate) meteor_settings: String,
    /// Whether processes are started through their user's login shell.
    pub(crate) load_shell_envvars: bool,
    /// Whether Ruby and WSGI processes have threads.
    pub(crate) has_threads: bool,
    /// How many threads they have.
    pub(crate) thread_count: u32,
    /// Whether processes are forked from a preloader where possible; `None` for the default of the kind of app.
    pub(crate) smart: Option<bool>,
    /// `None` for no limit.
    pub(crate) max_preloader_idle: Option<Duration>,
    pub(crate) friendly_error_pages: bool,
    pub(crate) queue_full_status: u16,
    pub(crate) queue_timeout_status: u16,
    pub(crate) spawn_failed_status: u16,
    /// `None` for what the process reports, or the default of the kind of app.
    pub(crate) concurrency: Option<Concurrency>,
    pub(crate) pool: GroupOptions,
    /// How restart files, and an administrator who does not specify how, restart the app.
    pub(crate) restart_how: RestartHow,
    /// Whether its restart files are checked without a request.
    pub(crate) watches_restart_files: bool,
    /// Whether an HTTP app gets URIs without the base URI.
    pub(crate) strips_base_uri: bool,
    /// Whether connections that switched protocols end when their process is replaced.
    pub(crate) aborts_tunnels: bool,
    /// How long a request may wait for a process.
    pub(crate) max_queue_time: Option<Duration>,
    /// How long a process may take for a request.
    pub(crate) max_request_time: Option<Duration>,
    pub(crate) memory: MemoryLimits,
    /// `None` if sessions are not sticky.
    pub(crate) sticky: Option<Sticky>,
}

impl Default for AppSettings {
    /// Returns the defaults of the directives, for what the module does not send.
    fn default() -> Self {
        Self {
            app_env: "production".into(),
            startup_file: None,
            ruby: String::new(),
            python: String::new(),
            nodejs: String::new(),
            env: Vec::new(),
            user: None,
            user_group: None,
            restart_dir: "tmp".into(),
            start_timeout: Duration::from_secs(90),
            open_files: None,
            no_new_privs: false,
            limits: CgroupLimits::default(),
            log_file: None,
            error_page: None,
            preload_bundler: false,
            wsgi_encoded_path: false,
            listen: Listen::default(),
            ready_path: None,
            meteor_settings: String::new(),
            load_shell_envvars: true,
            has_threads: false,
            thread_count: 1,
            smart: None,
            max_preloader_idle: Some(Duration::from_secs(300)),
            friendly_error_pages: false,
            queue_full_status: 503,
            queue_timeout_status: 504,
            spawn_failed_status: 500,
            concurrency: None,
            pool: GroupOptions {
                min_instances: 1,
                max_instances: 0,
                max_queue: 100,
                max_requests: 0,
                resists_errors: false,
                takes_turns: false,
            },
            restart_how: RestartHow::Blocking,
            strips_base_uri: false,
            watches_restart_files: false,
            aborts_tunnels: true,
            max_queue_time: None,
            max_request_time: None,
            memory: MemoryLimits { soft: None, hard: None, every: Duration::from_secs(5) },
            sticky: None,
        }
    }
}

impl AppSettings {
    /// Parses a block; also returns the names that have no effect in this release.
    pub(crate) fn from_block(block: &Settings) -> (Self, Vec<String>) {
        let mut settings = Self::default();
        let mut friendly = None;
        let mut cookie = Cookie::default();
        let mut unknown = Vec::new();
        for (name, value) in block.iter() {
            if name == "friendly_error_pages" {
                friendly = Some(value == &Value::Flag(true));
            } else if settings.set(name, value).or_else(|| cookie.set(name, value)).is_none() {
                unknown.push(name.to_owned());
            }
        }
        settings.sticky = cookie.sticky();
        settings.friendly_error_pages = friendly.unwrap_or(settings.app_env == "development");
        (settings, unknown)
    }

    /// Returns the interpreter for this kind of app; empty for the default one.
    pub(crate) fn interpreter(&self, kind: AppKind) -> &str {
        match kind {
            AppKind::Ruby => &self.ruby,
            AppKind::Python => &self.python,
            AppKind::Node | AppKind::Meteor => &self.nodejs,
            AppKind::Generic => "",
        }
    }

    /// Returns the startup file for this kind of app.
    pub(crate) fn startup_file(&self, kind: AppKind) -> &str {
        let default = match kind {
            AppKind::Ruby => "config.ru",
            AppKind::Python => "passenger_wsgi.py",
            AppKind::Node => "app.js",
            AppKind::Meteor => ".meteor",
            AppKind::Generic => return "",
        };
        self.startup_file.as_deref().unwrap_or(default)
    }

    /// Whether processes of this kind of app are forked from a preloader, which only Ruby and Python have.
    pub(crate) fn is_smart(&self, kind: AppKind) -> bool {
        match kind {
            AppKind::Ruby => self.smart.unwrap_or(true),
            AppKind::Python => self.smart.unwrap_or(false),
            AppKind::Node | AppKind::Meteor | AppKind::Generic => false,
        }
    }

    /// Returns how many requests a Ruby or WSGI process handles at a time.
    pub(crate) fn threads(&self, kind: AppKind) -> u32 {
        match kind {
            AppKind::Ruby | AppKind::Python if self.has_threads => self.thread_count,
            _ => 1,
        }
    }

    /// Returns how many requests a process handles at a time, given what the process reports (0 is unlimited).
    pub(crate) fn concurrency(&self, kind: AppKind, said: Option<u32>) -> Concurrency {
        let own = said.map(|at_once| match at_once {
            0 => Concurrency::Unlimited,
            most => Concurrency::At(most as usize),
        });
        self.concurrency.or(own).unwrap_or(match kind {
            AppKind::Ruby | AppKind::Python => Concurrency::At(1),
            AppKind::Node | AppKind::Meteor | AppKind::Generic => Concurrency::Unlimited,
        })
    }

    /// Sets a value; `None` if the name is unknown or the value has another type.
    fn set(&mut self, name: &str, value: &Value) -> Option<()> {
        match name {
            "app_env" => self.app_env = text(value)?,
            "startup_file" => self.startup_file = Some(text(value)?),
            "ruby" => self.ruby = text(value)?,
            "python" => self.python = text(value)?,
            "nodejs" => self.nodejs = text(value)?,
            "env_var" => self.env = map(value)?,
            "user" => self.user = Some(text(value)?),
            "group" => self.user_group = Some(text(value)?),
            "restart_dir" => self.restart_dir = text(value)?,
            "start_timeout" => self.start_timeout = Duration::from_secs(number(value)?),
            "concurrency_model" => self.has_threads = text(value)? == "thread",
            "thread_count" => self.thread_count = number::<u32>(value)?.clamp(1, MOST_THREADS),
            "load_shell_envvars" => self.load_shell_envvars = flag(value)?,
            "app_listen" => self.listen = listen(value)?,
            "app_ready_path" => self.ready_path = uri(value)?,
            "meteor_app_settings" => self.meteor_settings = text(value)?,
            "preload_bundler" => self.preload_bundler = flag(value)?,
            "wsgi_encoded_path" => self.wsgi_encoded_path = flag(value)?,
            "spawn_method" => self.smart = Some(is_smart(value)?),
            "max_preloader_idle_time" => {
                self.max_preloader_idle = Some(number(value)?).filter(|s| *s != 0).map(Duration::from_secs);
            }
            "app_file_descriptor_ulimit" => self.open_files = Some(number(value)?).filter(|most| *most > 0),
            "app_log_file" => {
                self.log_file = Some(text(value)?.into()).filter(|path: &PathBuf| path != Path::new(""))
            }
            "cgroup_memory_max" => self.limits.memory = mebibytes(value)?,
            "cgroup_tasks_max" => self.limits.tasks = Some(number(value)?).filter(|most| *most > 0),
            // nginx buffers uploads.
            "buffer_upload" => drop(flag(value)?),
            "no_new_privs" => self.no_new_privs = flag(value)?,
            "custom_error_page" => self.error_page = Some(text(value)?.into()),
            "request_queue_overflow_status_code" => self.queue_full_status = status(value)?,
            "request_queue_timeout_status_code" => self.queue_timeout_status = status(value)?,
            "spawn_exception_status_code" => self.spawn_failed_status = status(value)?,
            "force_max_concurrent_requests_per_process" => self.concurrency = concurrency(value)?,
            "min_instances" => self.pool.min_instances = number(value)?,
            "max_instances" => self.pool.max_instances = number(value)?,
            "max_request_queue_size" => self.pool.max_queue = number(value)?,
            "max_requests" => self.pool.max_requests = number(value)?,
            "resist_deployment_errors" => self.pool.resists_errors = flag(value)?,
            "load_balancing" => self.pool.takes_turns = takes_turns(value)?,
            "rolling_restarts" => self.restart_how = restart_how(flag(value)?),
            "watch_restart_files" => self.watches_restart_files = flag(value)?,
            "strip_base_uri" => self.strips_base_uri = flag(value)?,
            "abort_websockets_on_process_shutdown" => self.aborts_tunnels = flag(value)?,
            "memory_limit" => self.memory.soft = mebibytes(value)?,
            "hard_memory_limit" => self.memory.hard = mebibytes(value)?,
            "analytics_collection_rate" => self.memory.every = limit(value)?.unwrap_or(self.memory.every),
            "max_request_queue_time" => self.max_queue_time = limit(value)?,
            "max_request_time" => self.max_request_time = limit(value)?,
            _ => return None,
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(entries: &[(&str, Value)]) -> (AppSettings, Vec<String>) {
        let mut block = Settings::new();
        for (name, value) in entries {
            block.set(name, value.clone());
        }
        AppSettings::from_block(&block)
    }

    #[test]
    fn an_empty_block_gives_the_directives_defaults() {
        let (settings, unknown) = read(&[]);
        assert_eq!(settings, AppSettings::default());
        assert!(unknown.is_empty());
    }

    #[test]
    fn names_of_a_newer_module_are_told_and_the_rest_works() {
        let (settings, unknown) =
            read(&[("warp_factor", Value::Number(9)), ("min_instances", Value::Number(3))]);
        assert_eq!(unknown, ["warp_factor"]);
        assert_eq!(settings.pool.min_instances, 3);
    }

    #[test]
    fn a_value_of_another_type_is_told_too() {
        let (settings, unknown) = read(&[("min_instances", Value::Text("three".into()))]);
        assert_eq!(unknown, ["min_instances"]);
        assert_eq!(settings.pool.min_instances, 1);
    }

    #[test]
    fn friendly_error_pages_follow_the_environment_unless_set() {
        let development = ("app_env", Value::Text("development".into()));
        assert!(read(std::slice::from_ref(&development)).0.friendly_error_pages);
        assert!(!read(&[]).0.friendly_error_pages);
        let off = ("friendly_error_pages", Value::Flag(false));
        assert!(!read(&[development, off]).0.friendly_error_pages);
    }

    #[test]
    fn ruby_is_smart_unless_told_and_python_when_told() {
        let smart =
            |method: &str, kind| read(&[("spawn_method", Value::Text(method.into()))]).0.is_smart(kind);
        assert!(read(&[]).0.is_smart(AppKind::Ruby) && !read(&[]).0.is_smart(AppKind::Python));
        assert!(smart("smart", AppKind::Python) && smart("smart-lv2", AppKind::Ruby));
        assert!(!smart("direct", AppKind::Ruby) && !smart("conservative", AppKind::Ruby));
        assert!(!smart("smart", AppKind::Node));
        assert_eq!(read(&[("spawn_method", Value::Text("magic".into()))]).1, ["spawn_method"]);
    }

    #[test]
    fn a_preloader_that_may_idle_for_no_time_is_kept_for_ever() {
        let idle = |n| read(&[("max_preloader_idle_time", Value::Number(n))]).0.max_preloader_idle;
        assert_eq!(idle(0), None);
        assert_eq!(idle(7), Some(Duration::from_secs(7)));
    }

    #[test]
    fn forced_concurrency_knows_minus_one_and_zero_and_beats_what_the_process_says() {
        let forced = |n, said| {
            let (settings, _) = read(&[("force_max_concurrent_requests_per_process", Value::Number(n))]);
            settings.concurrency(AppKind::Ruby, said)
        };
        assert_eq!(forced(-1, None), Concurrency::At(1));
        assert_eq!(forced(-1, Some(7)), Concurrency::At(7));
        assert_eq!(forced(-1, Some(0)), Concurrency::Unlimited);
        assert_eq!(forced(0, Some(7)), Concurrency::Unlimited);
        assert_eq!(forced(5, Some(0)), Concurrency::At(5));
    }
}
