//! Settings of the application: name, what it is sent as, type. The daemon knows the defaults.

use module_core::value::Kind::{Flag, List, Map, Number, NumberOrMinusOne, OneOf, Seconds, Text};

use super::{Line, setting};

/// Smart is what a preloader does; the others are names that the predecessor took.
const SPAWN_METHODS: &[&str] = &["smart", "direct", "smart-lv2", "conservative"];

pub(super) const TABLE: &[Line] = &[
    setting(c"passenger_app_env", "app_env", Text),
    setting(c"rails_env", "app_env", Text),
    setting(c"rack_env", "app_env", Text),
    setting(c"passenger_startup_file", "startup_file", Text),
    setting(c"passenger_ruby", "ruby", Text),
    setting(c"passenger_python", "python", Text),
    setting(c"passenger_nodejs", "nodejs", Text),
    setting(c"passenger_meteor_app_settings", "meteor_app_settings", Text),
    setting(c"passenger_env_var", "env_var", Map),
    setting(c"passenger_user", "user", Text),
    setting(c"passenger_group", "group", Text),
    setting(c"passenger_restart_dir", "restart_dir", Text),
    setting(c"passenger_load_shell_envvars", "load_shell_envvars", Flag),
    setting(c"passenger_preload_bundler", "preload_bundler", Flag),
    setting(c"passenger_spawn_method", "spawn_method", OneOf(SPAWN_METHODS)),
    setting(c"rails_spawn_method", "spawn_method", OneOf(SPAWN_METHODS)),
    setting(
        c"passenger_concurrency_model",
        "concurrency_model",
        OneOf(&["process", "thread"]),
    ),
    setting(c"passenger_thread_count", "thread_count", Number),
    setting(c"passenger_start_timeout", "start_timeout", Seconds),
    setting(
        c"passenger_max_preloader_idle_time",
        "max_preloader_idle_time",
        Seconds,
    ),
    setting(c"rails_app_spawner_idle_time", "max_preloader_idle_time", Seconds),
    setting(c"passenger_min_instances", "min_instances", Number),
    setting(c"passenger_max_instances", "max_instances", Number),
    setting(c"passenger_max_requests", "max_requests", Number),
    setting(c"passenger_max_request_time", "max_request_time", Seconds),
    setting(
        c"passenger_max_request_queue_size",
        "max_request_queue_size",
        Number,
    ),
    setting(
        c"passenger_max_request_queue_time",
        "max_request_queue_time",
        Seconds,
    ),
    setting(
        c"passenger_request_queue_overflow_status_code",
        "request_queue_overflow_status_code",
        Number,
    ),
    setting(
        c"passenger_request_queue_timeout_status_code",
        "request_queue_timeout_status_code",
        Number,
    ),
    setting(
        c"passenger_spawn_exception_status_code",
        "spawn_exception_status_code",
        Number,
    ),
    setting(c"passenger_memory_limit", "memory_limit", Number),
    setting(c"passenger_hard_memory_limit", "hard_memory_limit", Number),
    setting(
        c"passenger_analytics_collection_rate",
        "analytics_collection_rate",
        Seconds,
    ),
    setting(
        c"passenger_force_max_concurrent_requests_per_process",
        "force_max_concurrent_requests_per_process",
        NumberOrMinusOne,
    ),
    setting(
        c"passenger_app_file_descriptor_ulimit",
        "app_file_descriptor_ulimit",
        Number,
    ),
    setting(c"passenger_app_log_file", "app_log_file", Text),
    setting(c"passenger_app_rights", "app_rights", Text),
    setting(c"passenger_monitor_log_file", "monitor_log_file", List),
    setting(c"passenger_debugger", "debugger", Flag),
    setting(
        c"passenger_direct_instance_request_address",
        "direct_instance_request_address",
        Text,
    ),
    setting(c"passenger_friendly_error_pages", "friendly_error_pages", Flag),
    setting(c"passenger_custom_error_page", "custom_error_page", Text),
    setting(c"passenger_rolling_restarts", "rolling_restarts", Flag),
    setting(
        c"passenger_resist_deployment_errors",
        "resist_deployment_errors",
        Flag,
    ),
    setting(
        c"passenger_abort_websockets_on_process_shutdown",
        "abort_websockets_on_process_shutdown",
        Flag,
    ),
    setting(c"passenger_buffer_upload", "buffer_upload", Flag),
    setting(c"passenger_sticky_sessions", "sticky_sessions", Flag),
    setting(
        c"passenger_sticky_sessions_cookie_name",
        "sticky_sessions_cookie_name",
        Text,
    ),
    setting(
        c"passenger_sticky_sessions_cookie_attributes",
        "sticky_sessions_cookie_attributes",
        Text,
    ),
    setting(
        c"passenger_vary_turbocache_by_cookie",
        "vary_turbocache_by_cookie",
        Text,
    ),
];
