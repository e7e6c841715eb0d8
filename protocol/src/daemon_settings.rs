//! Settings of the daemon as a whole. nginx sends them on each connection; a flag of the daemon takes precedence.

use crate::setting::{Setting, count, flag, number, number_or, optional, seconds, text_of};
use crate::setting_type::SettingType::{Directory, LogLevel, Map, Name, Path, Text};

/// Default of `response_buffer_high_watermark`: 128 MiB, as in Passenger.
const WATERMARK: i64 = 128 * 1024 * 1024;

/// The definitions. Responses are buffered in a directory for large files: `/tmp` is in memory on many systems.
pub const DAEMON_SETTINGS: &[Setting] = &[
    count(6)
        .named(c"passenger_max_pool_size", "max_pool_size", "Maximum number of app processes [nginx or 6]")
        .flag("max-pool-size", "N"),
    number(0)
        .named(
            c"passenger_max_instances_per_app",
            "max_instances_per_app",
            "Maximum number of processes of one app, whatever its own settings are; 0 for no limit [nginx or 0]",
        )
        .flag("max-instances-per-app", "N"),
    seconds(300)
        .named(
            c"passenger_pool_idle_time",
            "pool_idle_time",
            "Seconds after which an idle app process is stopped; 0 for never [nginx or 300]",
        )
        .flag("pool-idle-time", "SECONDS"),
    seconds(10)
        .named(
            c"passenger_stat_throttle_rate",
            "stat_throttle_rate",
            "Minimum number of seconds between two checks of an app's restart.txt [nginx or 10]",
        )
        .flag("stat-throttle-rate", "SECONDS"),
    flag(true)
        .named(c"passenger_user_switching", "user_switching", "Run every app as the default user")
        .flag_that_sets("off", "no-user-switching"),
    text_of(Name, "nobody")
        .named(
            c"passenger_default_user",
            "default_user",
            "User of apps for which no other user is found [nginx or nobody]",
        )
        .flag("default-user", "USER"),
    text_of(Text, "")
        .named(
            c"passenger_default_group",
            "default_group",
            "Group of the default user [nginx or the primary group of the user]",
        )
        .flag("default-group", "GROUP"),
    text_of(LogLevel, "3")
        .named(
            c"passenger_log_level",
            "log_level",
            "Log level: 0 to 7, or crit, error, warn, notice, info, debug, debug2, debug3 [nginx or 3]",
        )
        .flag("log-level", "LEVEL"),
    text_of(Path, "")
        .named(
            c"passenger_log_file",
            "log_file",
            "Log file, which is reopened at SIGUSR1 [nginx or standard error]",
        )
        .also(&[c"passenger_debug_log_file"])
        .flag("log-file", "PATH"),
    flag(false)
        .named(
            c"passenger_disable_log_prefix",
            "disable_log_prefix",
            "Log the lines that apps print without time, process and level",
        )
        .flag_that_sets("on", "disable-log-prefix"),
    number(4096)
        .named(
            c"passenger_socket_backlog",
            "socket_backlog",
            "Maximum number of connections from nginx that wait to be accepted, up to net.core.somaxconn [nginx or 4096]",
        )
        .flag("socket-backlog", "N"),
    number_or(0, 64)
        .named(
            c"passenger_core_file_descriptor_ulimit",
            "core_file_descriptor_ulimit",
            "Maximum number of open files of the daemon, not of its apps; 0 for the hard limit that it is started with \
             [nginx or 0]",
        )
        .flag("core-file-descriptor-ulimit", "N"),
    flag(true)
        .named(
            c"passenger_show_version_in_header",
            "show_version_in_header",
            "Omit the version of this program from the header X-Powered-By",
        )
        .flag_that_sets("off", "no-show-version-in-header"),
    number(WATERMARK)
        .named(
            c"passenger_response_buffer_high_watermark",
            "response_buffer_high_watermark",
            "Maximum number of bytes of one response that are kept on disk for a slow client; 0 for no limit [nginx or \
             134217728]",
        )
        .flag("response-buffer-high-watermark", "BYTES"),
    text_of(Directory, "/var/tmp")
        .named(
            c"passenger_data_buffer_dir",
            "data_buffer_dir",
            "Directory for these bytes [nginx or /var/tmp]",
        )
        .flag("data-buffer-dir", "DIR"),
    optional(Text).named(c"passenger_instance_registry_dir", "instance_registry_dir", ""),
    optional(Map).named(c"passenger_ctl", "ctl", ""),
    flag(true)
        .named(c"passenger_turbocaching", "turbocaching", "")
        .ignored("the daemon does not cache responses: use proxy_cache in an nginx in front"),
    optional(Text)
        .named(c"passenger_spawn_dir", "spawn_dir", "")
        .ignored("nothing is written to disk while an app starts"),
    optional(Text)
        .named(c"passenger_file_descriptor_log_file", "file_descriptor_log_file", "")
        .ignored("ls -l /proc/PID/fd shows open descriptors"),
];
