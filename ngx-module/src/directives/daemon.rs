//! Settings of the daemon as a whole: name, what it is sent as, type. Its own flags and defaults are its own business;
//! where both say something, the daemon tells in its log who won.

use module_core::value::Kind::{Count, Flag, List, Map, Number, OneOf, Seconds, Text};

use super::{Line, global, obsolete};
use crate::ffi::conf::Contexts;

const HTTP: Contexts = Contexts::HTTP;
const STARTS_NOTHING: &str = "nginx starts no daemon";
const NO_PHONING_HOME: &str = "the daemon connects to nobody";
const NO_PANEL: &str = "there is no admin panel: use passenger-status";

const LOG_LEVELS: &[&str] = &[
    "0", "1", "2", "3", "4", "5", "6", "7", "crit", "error", "warn", "notice", "info", "debug", "debug2",
    "debug3",
];

pub(super) const TABLE: &[Line] = &[
    global(c"passenger_max_pool_size", "max_pool_size", Count),
    global(c"passenger_max_instances_per_app", "max_instances_per_app", Number),
    global(c"passenger_pool_idle_time", "pool_idle_time", Seconds),
    global(c"passenger_stat_throttle_rate", "stat_throttle_rate", Seconds),
    global(c"passenger_pre_start", "pre_start", List),
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
