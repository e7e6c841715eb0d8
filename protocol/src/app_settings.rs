//! Settings of applications. nginx sends them with each request; a flag of the daemon sets the default where nginx.conf
//! has no value.

use std::path::PathBuf;
use std::time::Duration;

use crate::setting::{
    AnyText, FromValue, Mebibytes, Setting, StatusCode, count, flag, number, number_or, one_of, optional,
    seconds, settings, text, text_of, words,
};
use crate::setting_type::SettingType::{self, HeaderText, List, Map, Path, Text, Token, UriPath};

words! {
    /// How a generic app gets its listening socket.
    Listen {
        /// The app opens the TCP port in `PORT`.
        #[default]
        Port = "port",
        /// The app opens the unix socket in `SOCKET`.
        Socket = "socket",
        /// The daemon opens a unix socket and passes it as descriptor 3, as systemd does.
        Descriptor = "fd",
    }
}

words! {
    /// How processes are started.
    SpawnMethod {
        /// Forked from a preloader, which has loaded the app. Passenger also calls it `smart-lv2`.
        #[default]
        Smart = "smart" | "smart-lv2",
        /// Each loads the app. Passenger also calls it `conservative`.
        Direct = "direct" | "conservative",
    }
}

words! {
    /// How a Ruby or WSGI process handles several requests.
    ConcurrencyModel {
        /// One at a time.
        #[default]
        Process = "process",
        /// One per thread.
        Thread = "thread",
    }
}

words! {
    /// The process that gets a request when several could.
    LoadBalancing {
        /// The one with the fewest requests.
        #[default]
        LeastBusy = "least_busy",
        /// Each in turn.
        RoundRobin = "round_robin",
    }
}

words! {
    /// The scheduling policy of a process, see sched(7).
    SchedulingPolicy {
        /// `SCHED_BATCH`: a process that wakes up does not interrupt the one that runs.
        #[default]
        Batch = "batch",
        /// The policy that the daemon was started with, usually `SCHED_OTHER`.
        Other = "other",
    }
}

impl FromValue for Option<SpawnMethod> {
    fn from_value(value: &crate::settings::Value) -> Option<Self> {
        SpawnMethod::from_value(value).map(Some)
    }
}

settings! {
    /// The settings with which processes are started: a change replaces the processes.
    ProcessSettings, PROCESS_SETTINGS {
        /// Environment of the app, such as production or development
        app_env: String = text("production").also(&[c"rails_env", c"rack_env"]);
        /// Variables of the environment of processes
        env_var: Vec<(String, String)> = optional(Map);
        /// File with variables of the environment of processes; a relative PATH is relative to the root of an app
        /// [default: none]
        env_file: Option<String> = optional(Text).flag("env-file", "PATH");
        /// User as whom processes run
        user: Option<String> = optional(Text);
        /// Group of processes
        group: Option<String> = optional(Text);
        /// Settings file for unbundled Meteor apps [default: none]
        meteor_app_settings: Option<String> = optional(Text).flag("meteor-app-settings", "PATH");
        /// Run processes with the variables that the login shell of their user exports [default: on]
        load_shell_envvars: bool = flag(true).state_flag("load-shell-envvars", None);
        /// How a generic app gets its listening socket
        app_listen: Listen = one_of(Listen::WORDS, "port");
        /// Load Bundler before a Ruby app [default: off]
        preload_bundler: bool = flag(false).state_flag("preload-bundler", None);
        /// Pass PATH_INFO to WSGI apps %-encoded
        wsgi_encoded_path: bool = flag(false);
        /// Use native support in Ruby and Python apps, where it is built
        native_support: bool = flag(true);
        /// Maximum number of open files of a process; 0 for the limit that the daemon was started with [default: 0]
        app_file_descriptor_ulimit: Option<u64> = number(0).flag("app-file-descriptor-ulimit", "N");
        /// Memory limit of the control group of a process, in MiB; 0 for no limit
        cgroup_memory_max: Option<Mebibytes> = number(0);
        /// Maximum number of processes and threads in the control group of a process; 0 for no limit
        cgroup_tasks_max: Option<u64> = number(0);
        /// Whether no program that a process executes gains privileges
        no_new_privs: bool = flag(false);
        /// Scheduling policy of processes, and as a flag also of the router: batch, or other for that of the daemon
        /// [default: batch]
        scheduling_policy: SchedulingPolicy = one_of(SchedulingPolicy::WORDS, "batch")
            .flag("scheduling-policy", "POLICY");
    }
}

settings! {
    /// The settings that the router uses.
    RouterSettings, ROUTER_SETTINGS {
        /// Startup file [default: found in the app's directory]
        startup_file: Option<String> = optional(Text);
        /// Ruby interpreter [default: the one that the app's directory asks for, else ruby]
        ruby: String = optional(Text).flag("ruby", "PATH");
        /// Python interpreter [default: the one that the app's directory asks for, else python3 or python]
        python: String = optional(Text).flag("python", "PATH");
        /// Node.js interpreter [default: the one that the app's directory asks for, else node]
        nodejs: String = optional(Text).flag("nodejs", "PATH");
        /// Directory of restart.txt
        restart_dir: PathBuf = text("tmp");
        /// Path that an app must answer without an error before it gets requests
        app_ready_path: Option<String> = optional(UriPath);
        /// Start processes by smart (forked from a preloader) or direct [default: smart for Ruby]
        spawn_method: Option<SpawnMethod> = optional(SettingType::OneOf(SpawnMethod::WORDS))
            .flag("spawn-method", "METHOD").also(&[c"rails_spawn_method"]);
        /// Handle several requests of a Ruby or WSGI app by process or by thread [default: process]
        concurrency_model: ConcurrencyModel = one_of(ConcurrencyModel::WORDS, "process")
            .flag("concurrency-model", "MODEL");
        /// Threads of a process, with --concurrency-model=thread [default: 1]
        thread_count: u32 = count(1).flag("app-thread-count", "N");
        /// Time limit for the start of a process, in seconds
        start_timeout: Duration = seconds(90);
        /// Seconds after which an unused preloader is stopped; 0 for never [default: 300]
        max_preloader_idle_time: Option<Duration> = seconds(300)
            .flag("max-preloader-idle-time", "SECONDS").also(&[c"rails_app_spawner_idle_time"]);
        /// Minimum number of processes [default: 1]
        min_instances: usize = number(1).flag("min-instances", "N");
        /// Maximum number of processes; 0 for no limit
        max_instances: usize = number(0);
        /// Number of requests after which a process is replaced; 0 for never [default: 0]
        max_requests: u64 = number(0).flag("max-requests", "N");
        /// Seconds after which a process that has not answered a request is killed; 0 for never [default: 0]
        max_request_time: Option<Duration> = seconds(0).flag("max-request-time", "SECONDS");
        /// Maximum number of requests that wait for a process of an app; 0 for no limit [default: 100]
        max_request_queue_size: usize = number(100).flag("max-request-queue-size", "N");
        /// Seconds that a request may wait for a process; 0 for no limit
        max_request_queue_time: Option<Duration> = seconds(0);
        /// Status for requests that are refused because the queue is full
        request_queue_overflow_status_code: StatusCode = number(503);
        /// Status for requests that waited too long
        request_queue_timeout_status_code: StatusCode = number(504);
        /// Status for requests whose process could not be started
        spawn_exception_status_code: StatusCode = number(500);
        /// MiB above which a process is replaced after its requests; 0 for no limit [default: 0]
        memory_limit: Option<Mebibytes> = number(0).flag("memory-limit", "MB");
        /// MiB above which a process is killed; 0 for no limit
        hard_memory_limit: Option<Mebibytes> = number(0);
        /// Seconds between two checks of the memory limits
        analytics_collection_rate: Duration = seconds(5);
        /// Maximum number of concurrent requests of a process; 0 for no limit, -1 for the maximum that its type of app
        /// has [default: -1]
        force_max_concurrent_requests_per_process: i64 = number_or(-1, 0)
            .flag("force-max-concurrent-requests-per-process", "N");
        /// The process that gets a request when several could
        load_balancing: LoadBalancing = one_of(LoadBalancing::WORDS, "least_busy");
        /// File for the output of an app, besides the log
        app_log_file: Option<PathBuf> = optional(Text);
        /// Show the reason to visitors when an app does not start [default: on in the environment development]
        friendly_error_pages: Option<bool> = optional(SettingType::Flag)
            .state_flag("friendly-error-pages", Some("force-friendly-error-pages"));
        /// Page for visitors when an app does not start [default: a page of the daemon]
        custom_error_page: Option<PathBuf> = optional(Path).flag("custom-error-page", "PATH");
        /// Replace processes one after another at a restart [default: off]
        rolling_restarts: bool = flag(false).state_flag("rolling-restarts", None);
        /// Keep the old processes when those of a new version do not start [default: off]
        resist_deployment_errors: bool = flag(false).state_flag("resist-deployment-errors", None);
        /// Whether connections that switched protocols end when their process is replaced
        abort_websockets_on_process_shutdown: bool = flag(true)
            .flag_that_sets("off", "no-abort-websockets-on-process-shutdown");
        /// Accepted: nginx buffers uploads
        buffer_upload: bool = flag(false);
        /// Check restart.txt without a request, too
        watch_restart_files: bool = flag(false);
        /// Send URIs to HTTP apps without the base URI
        strip_base_uri: bool = flag(false);
        /// Send the requests of a client to the process that served its first one [default: off]
        sticky_sessions: bool = flag(false).state_flag("sticky-sessions", None);
        /// Name of the cookie for that [default: _passenger_route]
        sticky_sessions_cookie_name: String = text_of(Token, "_passenger_route")
            .flag("sticky-sessions-cookie-name", "NAME");
        /// Attributes of the cookie [default: SameSite=Lax, and Secure for clients that use TLS]
        sticky_sessions_cookie_attributes: Option<AnyText> = optional(HeaderText)
            .flag("sticky-sessions-cookie-attributes", "TEXT");
    }
}

/// Settings of applications without effect.
pub const IGNORED_APP_SETTINGS: &[Setting] = &[
    text("").named(c"passenger_app_rights", "app_rights", "").ignored("Passenger ignores it as well"),
    optional(List)
        .named(c"passenger_monitor_log_file", "monitor_log_file", "")
        .ignored("it was for a monitoring service that no longer exists"),
    flag(false)
        .named(c"passenger_debugger", "debugger", "")
        .ignored("an app loads a debugger itself, such as the gem \"debug\" with RUBY_DEBUG_OPEN"),
    text("127.0.0.1")
        .named(c"passenger_direct_instance_request_address", "direct_instance_request_address", "")
        .ignored("processes open no such port: use passenger-config ask-process"),
    text("")
        .named(c"passenger_vary_turbocache_by_cookie", "vary_turbocache_by_cookie", "")
        .ignored("the daemon does not cache responses: use proxy_cache in an nginx in front"),
];
