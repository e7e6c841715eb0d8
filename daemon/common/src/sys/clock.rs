//! Clocks: steady, wall, and the time of day.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use nix::time::{ClockId, clock_gettime};

/// Returns milliseconds of a clock that is never set, since an unspecified time; the same in all local processes.
pub fn steady_ms() -> u64 {
    // The call fails only for clocks that do not exist.
    let since = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Returns milliseconds since 1970.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Returns the current time in the machine's time zone, which is read once: a later log line waits for no file.
pub fn local_now() -> DateTime {
    static ZONE: OnceLock<TimeZone> = OnceLock::new();
    ZONE.get_or_init(TimeZone::system).to_datetime(jiff::Timestamp::now())
}

/// Returns the current time in UTC.
pub fn utc_now() -> DateTime {
    TimeZone::UTC.to_datetime(jiff::Timestamp::now())
}
