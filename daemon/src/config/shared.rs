//! The options that nginx may set too: the command line comes in, this daemon's values with their names go out.
//!
//! A flag that was given counts; otherwise nginx's directive does, and the default where nginx says nothing.

use protocol::settings::Value;
use serde::{Deserialize, Serialize};

use super::arguments::Arguments;
use super::buffers::BufferOptions;
use super::mistake::{Mistake, Mistakes};
use super::{PoolOptions, log_level, number};
use crate::log::LogLevel;

/// One of the daemon's options that nginx may set too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaemonOption {
    /// The directive without `passenger_`.
    pub name: String,
    /// The value of the daemon's flag, or the default.
    pub value: Value,
    /// The flag was given, so that nginx's value does not count.
    pub given: bool,
}

/// Runs the apps that no other user can be found for, when nobody says otherwise.
pub(super) const DEFAULT_USER: &str = "nobody";

pub(super) fn log_level_option(arguments: &Arguments) -> Result<LogLevel, Mistake> {
    arguments.log_level.as_deref().map_or(Ok(LogLevel::default()), log_level)
}

pub(super) fn pool_options(arguments: &Arguments, mistakes: &mut Mistakes) -> PoolOptions {
    let mut one = |option, text: &Option<String>, default, least| match text {
        Some(text) => mistakes.keep(number::<u64>(option, text, least)),
        None => default,
    };
    PoolOptions {
        max_size: usize::try_from(one("--max-pool-size", &arguments.max_pool_size, 6, 1))
            .unwrap_or(usize::MAX),
        max_instances_per_app: one("--max-instances-per-app", &arguments.max_instances_per_app, 0, 0),
        idle_time: one("--pool-idle-time", &arguments.pool_idle_time, 300, 0),
        stat_throttle_rate: one("--stat-throttle-rate", &arguments.stat_throttle_rate, 10, 0),
    }
}

/// All of them. `pool`, `buffers` and `level` are what the arguments were read as.
pub(super) fn options(
    arguments: &Arguments,
    pool: &PoolOptions,
    buffers: &BufferOptions,
    level: LogLevel,
) -> Vec<DaemonOption> {
    let option = |name: &str, value, given| DaemonOption { name: name.to_owned(), value, given };
    let count = |value: u64| Value::Number(i64::try_from(value).unwrap_or(i64::MAX));
    let text = |value: Option<&str>, default: &str| Value::Text(value.unwrap_or(default).to_owned());
    let a = arguments;
    vec![
        option("max_pool_size", count(pool.max_size as u64), a.max_pool_size.is_some()),
        option("max_instances_per_app", count(pool.max_instances_per_app), a.max_instances_per_app.is_some()),
        option("pool_idle_time", count(pool.idle_time), a.pool_idle_time.is_some()),
        option("stat_throttle_rate", count(pool.stat_throttle_rate), a.stat_throttle_rate.is_some()),
        option("user_switching", Value::Flag(!a.no_user_switching), a.no_user_switching),
        option("default_user", text(a.default_user.as_deref(), DEFAULT_USER), a.default_user.is_some()),
        option("default_group", text(a.default_group.as_deref(), ""), a.default_group.is_some()),
        option("log_level", Value::Text(level.to_string()), a.log_level.is_some()),
        option(
            "show_version_in_header",
            Value::Flag(!a.no_show_version_in_header),
            a.no_show_version_in_header,
        ),
        option(
            "response_buffer_high_watermark",
            count(buffers.high_watermark),
            a.response_buffer_high_watermark.is_some(),
        ),
        option("data_buffer_dir", Value::Text(buffers.dir.clone()), a.data_buffer_dir.is_some()),
    ]
}
