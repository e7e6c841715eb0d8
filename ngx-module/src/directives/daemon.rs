//! What the daemon is told at its start: accepted, as the predecessor's configuration has it, with a warning that names
//! the daemon's flag. nginx starts no daemon, so it has nobody to tell.

use super::{Line, daemon_flag};
use crate::ffi::conf::Arity;

const ONE: Arity = Arity::ONE;

pub(super) const TABLE: &[Line] = &[
    daemon_flag(c"passenger_root", ONE, ""),
    daemon_flag(c"passenger_ctl", Arity::TWO, "--ctl"),
    daemon_flag(c"passenger_abort_on_startup_error", ONE, ""),
    daemon_flag(c"passenger_dump_config_manifest", ONE, ""),
    daemon_flag(c"passenger_log_level", ONE, "--log-level"),
    daemon_flag(c"passenger_log_file", ONE, "--log-file"),
    daemon_flag(c"passenger_debug_log_file", ONE, "--log-file"),
    daemon_flag(c"passenger_disable_log_prefix", ONE, "--disable-log-prefix"),
    daemon_flag(c"passenger_file_descriptor_log_file", ONE, "--file-descriptor-log-file"),
    daemon_flag(c"passenger_data_buffer_dir", ONE, "--data-buffer-dir"),
    daemon_flag(c"passenger_socket_backlog", ONE, "--socket-backlog"),
    daemon_flag(c"passenger_core_file_descriptor_ulimit", ONE, "--core-file-descriptor-ulimit"),
    daemon_flag(c"passenger_disable_security_update_check", ONE, ""),
    daemon_flag(c"passenger_security_update_check_proxy", ONE, ""),
    daemon_flag(c"passenger_disable_anonymous_telemetry", ONE, ""),
    daemon_flag(c"passenger_anonymous_telemetry_proxy", ONE, ""),
    daemon_flag(c"passenger_pre_start", ONE, "--pre-start"),
    daemon_flag(c"passenger_instance_registry_dir", ONE, "--instance-registry-dir"),
    daemon_flag(c"passenger_spawn_dir", ONE, "--spawn-dir"),
    daemon_flag(c"passenger_turbocaching", ONE, "--disable-turbocaching"),
    daemon_flag(c"passenger_user_switching", ONE, "--no-user-switching"),
    daemon_flag(c"passenger_default_user", ONE, "--default-user"),
    daemon_flag(c"passenger_default_group", ONE, "--default-group"),
    daemon_flag(c"passenger_max_pool_size", ONE, "--max-pool-size"),
    daemon_flag(c"passenger_pool_idle_time", ONE, "--pool-idle-time"),
    daemon_flag(c"passenger_response_buffer_high_watermark", ONE, "--response-buffer-high-watermark"),
    daemon_flag(c"passenger_stat_throttle_rate", ONE, "--stat-throttle-rate"),
    daemon_flag(c"passenger_show_version_in_header", ONE, "--no-show-version-in-header"),
    daemon_flag(c"passenger_max_instances_per_app", ONE, "--max-instances-per-app"),
    daemon_flag(c"passenger_admin_panel_url", ONE, ""),
    daemon_flag(c"passenger_admin_panel_auth_type", ONE, ""),
    daemon_flag(c"passenger_admin_panel_username", ONE, ""),
    daemon_flag(c"passenger_admin_panel_password", ONE, ""),
];
