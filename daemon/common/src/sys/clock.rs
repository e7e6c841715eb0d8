//! Clocks, and the time of day in the fields of a log line.

use std::mem;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::libc;
use nix::time::{ClockId, clock_gettime};

/// A point in time, in the machine's time zone or in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalTime {
    /// Year, as in 2026.
    pub year: i32,
    /// 1 to 12.
    pub month: i32,
    /// 1 to 31.
    pub day: i32,
    /// 0 to 23.
    pub hour: i32,
    /// 0 to 59.
    pub minute: i32,
    /// 0 to 60.
    pub second: i32,
    /// Fraction of the second.
    pub nanoseconds: u32,
}

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

/// Returns the current time in the machine's time zone.
pub fn local_now() -> LocalTime {
    split_now(|seconds, split| {
        // SAFETY: both pointers are to live values of the right types; localtime_r keeps neither.
        unsafe { libc::localtime_r(seconds, split) };
    })
}

/// Returns the current time in UTC.
pub fn utc_now() -> LocalTime {
    split_now(|seconds, split| {
        // SAFETY: both pointers are to live values of the right types; gmtime_r keeps neither.
        unsafe { libc::gmtime_r(seconds, split) };
    })
}

fn split_now(split_up: impl FnOnce(&libc::time_t, &mut libc::tm)) -> LocalTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = libc::time_t::try_from(since.as_secs()).unwrap_or(libc::time_t::MAX);
    // SAFETY: all zeros is a valid `tm`.
    let mut split: libc::tm = unsafe { mem::zeroed() };
    split_up(&seconds, &mut split);
    LocalTime {
        year: split.tm_year + 1900,
        month: split.tm_mon + 1,
        day: split.tm_mday,
        hour: split.tm_hour,
        minute: split.tm_min,
        second: split.tm_sec,
        nanoseconds: since.subsec_nanos(),
    }
}
