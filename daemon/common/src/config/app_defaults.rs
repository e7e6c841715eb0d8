//! Defaults for apps where nginx.conf has no value: flags and keys of the file, as the settings that nginx would send.
//!
//! The environment is not among them: nginx makes it part of the names of app groups.

use clap::Args;
use protocol::settings::Value;
use serde::{Deserialize, Serialize};

use super::error::{ConfigError, ConfigErrors};
use super::file_values::{File, FileValue, Given};
use super::value_type::ValueType;

/// As they are written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[command(next_help_heading = "What holds for apps where nginx.conf says nothing")]
pub struct AppDefaults {
    /// Ruby interpreter [default: ruby]
    #[arg(long, value_name = "PATH")]
    pub ruby: Option<String>,

    /// Python interpreter [default: python3 or python]
    #[arg(long, value_name = "PATH")]
    pub python: Option<String>,

    /// Node.js [default: node]
    #[arg(long, value_name = "PATH")]
    pub nodejs: Option<String>,

    /// Settings file for unbundled Meteor apps [default: none]
    #[arg(long, value_name = "PATH")]
    pub meteor_app_settings: Option<String>,

    /// smart or direct [default: smart for Ruby]
    #[arg(long, value_name = "METHOD")]
    pub spawn_method: Option<String>,

    /// process or thread [default: process]
    #[arg(long, value_name = "MODEL")]
    pub concurrency_model: Option<String>,

    /// Threads of a process, with the model thread [default: 1]
    #[arg(long, value_name = "N")]
    pub app_thread_count: Option<String>,

    /// Processes have what their user's login shell exports [default: on]
    #[arg(long, value_name = "STATE", num_args = 0..=1, require_equals = true, default_missing_value = "on")]
    pub load_shell_envvars: Option<String>,

    /// Bundler is loaded before a Ruby app [default: off]
    #[arg(long, value_name = "STATE", num_args = 0..=1, require_equals = true, default_missing_value = "on")]
    pub preload_bundler: Option<String>,

    /// Shown to visitors when an app does not start [default: a page of the daemon's]
    #[arg(long, value_name = "PATH")]
    pub custom_error_page: Option<String>,

    /// Visitors see why an app does not start [default: in the environment development]
    #[arg(
        long,
        alias = "force-friendly-error-pages",
        value_name = "STATE",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "on"
    )]
    pub friendly_error_pages: Option<String>,

    /// Most open files of a process [default: what the daemon was started with]
    #[arg(long, value_name = "N")]
    pub app_file_descriptor_ulimit: Option<String>,

    /// Restarts replace one process after another [default: off]
    #[arg(long, value_name = "STATE", num_args = 0..=1, require_equals = true, default_missing_value = "on")]
    pub rolling_restarts: Option<String>,

    /// A new version that does not start leaves the old one serving [default: off]
    #[arg(long, value_name = "STATE", num_args = 0..=1, require_equals = true, default_missing_value = "on")]
    pub resist_deployment_errors: Option<String>,

    /// Seconds after which an unused preloader is stopped; 0 for never [default: 300]
    #[arg(long, value_name = "SECONDS")]
    pub max_preloader_idle_time: Option<String>,

    /// Requests that a process gets at a time, 0 for any number, -1 for what its kind can do [default: -1]
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub force_max_concurrent_requests_per_process: Option<String>,

    /// Processes to keep [default: 1]
    #[arg(long, value_name = "N")]
    pub min_instances: Option<String>,

    /// MiB above which a process is replaced after its requests; 0 for no limit [default: 0]
    #[arg(long, value_name = "MB")]
    pub memory_limit: Option<String>,

    /// Requests after which a process is replaced; 0 for never [default: 0]
    #[arg(long, value_name = "N")]
    pub max_requests: Option<String>,

    /// Seconds after which a process that works on a request is killed; 0 for never [default: 0]
    #[arg(long, value_name = "SECONDS")]
    pub max_request_time: Option<String>,

    /// Most requests that wait for an app; 0 for any number [default: 100]
    #[arg(long, value_name = "N")]
    pub max_request_queue_size: Option<String>,

    /// A client's requests go to the process that had its first [default: off]
    #[arg(long, value_name = "STATE", num_args = 0..=1, require_equals = true, default_missing_value = "on")]
    pub sticky_sessions: Option<String>,

    /// The cookie for that [default: _passenger_route]
    #[arg(long, value_name = "NAME")]
    pub sticky_sessions_cookie_name: Option<String>,

    /// Its attributes [default: SameSite=Lax; Secure; where it is due]
    #[arg(long, value_name = "TEXT")]
    pub sticky_sessions_cookie_attributes: Option<String>,

    /// WebSockets stay when their process is replaced
    #[arg(long)]
    pub no_abort_websockets_on_process_shutdown: bool,
}

/// The definition of one default.
#[derive(Debug)]
pub(super) struct Known {
    /// The directive without `passenger_`, which is the key in the file.
    pub(super) name: &'static str,
    pub(super) flag: &'static str,
    pub(super) kind: ValueType,
    written: fn(&AppDefaults) -> Option<&str>,
}

const METHODS: ValueType = ValueType::OneOf(&["smart", "direct", "smart-lv2", "conservative"]);
const MODELS: ValueType = ValueType::OneOf(&["process", "thread"]);
const TEXT: ValueType = ValueType::Text("");

/// All defaults.
pub(super) const KNOWN: [Known; 25] = [
    known("ruby", "--ruby", TEXT, |a| a.ruby.as_deref()),
    known("python", "--python", TEXT, |a| a.python.as_deref()),
    known("nodejs", "--nodejs", TEXT, |a| a.nodejs.as_deref()),
    known("meteor_app_settings", "--meteor-app-settings", TEXT, |a| a.meteor_app_settings.as_deref()),
    known("spawn_method", "--spawn-method", METHODS, |a| a.spawn_method.as_deref()),
    known("concurrency_model", "--concurrency-model", MODELS, |a| a.concurrency_model.as_deref()),
    known("thread_count", "--app-thread-count", number(1, 1), |a| a.app_thread_count.as_deref()),
    known("load_shell_envvars", "--load-shell-envvars", ValueType::Flag(true), |a| {
        a.load_shell_envvars.as_deref()
    }),
    known("preload_bundler", "--preload-bundler", ValueType::Flag(false), |a| a.preload_bundler.as_deref()),
    known("custom_error_page", "--custom-error-page", ValueType::Path, |a| a.custom_error_page.as_deref()),
    known("friendly_error_pages", "--friendly-error-pages", ValueType::Flag(false), |a| {
        a.friendly_error_pages.as_deref()
    }),
    known("app_file_descriptor_ulimit", "--app-file-descriptor-ulimit", number(0, 0), |a| {
        a.app_file_descriptor_ulimit.as_deref()
    }),
    known("rolling_restarts", "--rolling-restarts", ValueType::Flag(false), |a| {
        a.rolling_restarts.as_deref()
    }),
    known("resist_deployment_errors", "--resist-deployment-errors", ValueType::Flag(false), |a| {
        a.resist_deployment_errors.as_deref()
    }),
    known("max_preloader_idle_time", "--max-preloader-idle-time", number(300, 0), |a| {
        a.max_preloader_idle_time.as_deref()
    }),
    known(
        "force_max_concurrent_requests_per_process",
        "--force-max-concurrent-requests-per-process",
        number(-1, 0),
        |a| a.force_max_concurrent_requests_per_process.as_deref(),
    ),
    known("min_instances", "--min-instances", number(1, 0), |a| a.min_instances.as_deref()),
    known("memory_limit", "--memory-limit", number(0, 0), |a| a.memory_limit.as_deref()),
    known("max_requests", "--max-requests", number(0, 0), |a| a.max_requests.as_deref()),
    known("max_request_time", "--max-request-time", number(0, 0), |a| a.max_request_time.as_deref()),
    known("max_request_queue_size", "--max-request-queue-size", number(100, 0), |a| {
        a.max_request_queue_size.as_deref()
    }),
    known("sticky_sessions", "--sticky-sessions", ValueType::Flag(false), |a| a.sticky_sessions.as_deref()),
    known("sticky_sessions_cookie_name", "--sticky-sessions-cookie-name", TEXT, |a| {
        a.sticky_sessions_cookie_name.as_deref()
    }),
    known("sticky_sessions_cookie_attributes", "--sticky-sessions-cookie-attributes", TEXT, |a| {
        a.sticky_sessions_cookie_attributes.as_deref()
    }),
    known(
        "abort_websockets_on_process_shutdown",
        "--no-abort-websockets-on-process-shutdown",
        ValueType::Flag(true),
        |a| a.no_abort_websockets_on_process_shutdown.then_some("off"),
    ),
];

const fn known(
    name: &'static str,
    flag: &'static str,
    kind: ValueType,
    written: fn(&AppDefaults) -> Option<&str>,
) -> Known {
    Known { name, flag, kind, written }
}

const fn number(default: i64, least: i64) -> ValueType {
    ValueType::Number { default, least }
}

/// A configured default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppDefault {
    /// The directive without `passenger_`.
    pub name: String,
    /// The value where nginx.conf has none.
    pub value: Value,
    /// The source of the value.
    pub given: Given,
}

/// Returns the configured defaults.
pub(super) fn given(flags: &AppDefaults, file: &File, errors: &mut ConfigErrors) -> Vec<AppDefault> {
    let one = |known: &Known| {
        let by_flag = (known.written)(flags).map(|text| {
            let read = known.kind.read(text);
            (Given::Flag, read.map_err(|why| ConfigError::new(known.flag, format!("\"{text}\" {why}"))))
        });
        let by_file = || {
            file.value(known.flag).map(|FileValue { text, place }| {
                let read = known.kind.read(text);
                (Given::File, read.map_err(|why| ConfigError::at(place, format!("\"{text}\" {why}"))))
            })
        };
        let (given, read) = by_flag.or_else(by_file)?;
        let value = errors.note(read)?;
        Some(AppDefault { name: known.name.to_owned(), value, given })
    };
    KNOWN.iter().filter_map(one).collect()
}
