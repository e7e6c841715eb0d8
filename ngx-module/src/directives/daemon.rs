//! Daemon-wide settings: directive, setting name, type. The daemon has the defaults; where its own flags set the same
//! option, it logs which takes precedence.

use module_core::pre_start::Url;
use module_core::value::Kind::{Count, Flag, Map, Number, OneOf, Seconds, Text};
use module_core::value::Refusal;

use super::line::{Line, Meaning, global, obsolete};
use crate::conf::Written;
use crate::ffi::conf::main_conf;
use crate::ffi::conf::{Arity, ConfContext, Contexts, Directive, Effect};

const HTTP: Contexts = Contexts::HTTP;
const STARTS_NOTHING: &str = "nginx starts no daemon";
const NO_PHONING_HOME: &str = "the daemon connects to nobody";
const NO_PANEL: &str = "there is no admin panel: use passenger-status";

/// The daemon starts the application that serves the URL as soon as it receives the roster.
const PRE_START: Line = Directive {
    name: c"passenger_pre_start",
    contexts: HTTP,
    arity: Arity::ONE,
    effect: Effect::Ours(Meaning::Kept(pre_start)),
};

fn pre_start(_: &mut Written, cf: &mut ConfContext<'_>, args: &[&str]) -> Result<(), Refusal> {
    let value = args.first().copied().unwrap_or_default();
    let url = Url::parse(value).map_err(|why| {
        Refusal::Sentence(format!("invalid value \"{value}\" in \"passenger_pre_start\": {why}"))
    })?;
    main_conf::with(cf, |conf| conf.pre_starts.add_url(url)).map_err(Refusal::Sentence)
}

const LOG_LEVELS: &[&str] = &[
    "0", "1", "2", "3", "4", "5", "6", "7", "crit", "error", "warn", "notice", "info", "debug", "debug2",
    "debug3",
];

pub(super) const TABLE: &[Line] = &[
    global(c"passenger_max_pool_size", "max_pool_size", Count),
    global(c"passenger_max_instances_per_app", "max_instances_per_app", Number),
    global(c"passenger_pool_idle_time", "pool_idle_time", Seconds),
    global(c"passenger_stat_throttle_rate", "stat_throttle_rate", Seconds),
    PRE_START,
    global(c"passenger_user_switching", "user_switching", Flag),
    global(c"passenger_default_user", "default_user", Text),
    global(c"passenger_default_group", "default_group", Text),
    global(c"passenger_log_level", "log_level", OneOf(LOG_LEVELS)),
    global(c"passenger_log_file", "log_file", Text),
    global(c"passenger_debug_log_file", "log_file", Text),
    global(c"passenger_disable_log_prefix", "disable_log_prefix", Flag),
    global(c"passenger_file_descriptor_log_file", "file_descriptor_log_file", Text),
    global(c"passenger_show_version_in_header", "show_version_in_header", Flag),
    global(c"passenger_turbocaching", "turbocaching", Flag),
    global(c"passenger_response_buffer_high_watermark", "response_buffer_high_watermark", Number),
    global(c"passenger_data_buffer_dir", "data_buffer_dir", Text),
    global(c"passenger_spawn_dir", "spawn_dir", Text),
    global(c"passenger_instance_registry_dir", "instance_registry_dir", Text),
    global(c"passenger_socket_backlog", "socket_backlog", Number),
    global(c"passenger_core_file_descriptor_ulimit", "core_file_descriptor_ulimit", Number),
    global(c"passenger_ctl", "ctl", Map),
    obsolete(c"passenger_root", HTTP, STARTS_NOTHING),
    obsolete(c"passenger_abort_on_startup_error", HTTP, STARTS_NOTHING),
    obsolete(c"passenger_disable_security_update_check", HTTP, NO_PHONING_HOME),
    obsolete(c"passenger_security_update_check_proxy", HTTP, NO_PHONING_HOME),
    obsolete(c"passenger_disable_anonymous_telemetry", HTTP, NO_PHONING_HOME),
    obsolete(c"passenger_anonymous_telemetry_proxy", HTTP, NO_PHONING_HOME),
    obsolete(c"passenger_admin_panel_url", HTTP, NO_PANEL),
    obsolete(c"passenger_admin_panel_auth_type", HTTP, NO_PANEL),
    obsolete(c"passenger_admin_panel_username", HTTP, NO_PANEL),
    obsolete(c"passenger_admin_panel_password", HTTP, NO_PANEL),
];
