//! Waiting for conditions, with a timeout and a description, never for a fixed time.

use std::thread;
use std::time::{Duration, Instant};

/// Timeout of a condition, long enough for a busy machine.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// Waits until `condition` holds.
#[track_caller]
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    eventually_some(what, || condition().then_some(()));
}

/// As [`eventually`], with another timeout.
#[track_caller]
pub fn eventually_within(what: &str, timeout: Duration, mut condition: impl FnMut() -> bool) {
    some_within(what, timeout, || condition().then_some(()));
}

/// Waits until `probe` returns a value, and returns it.
#[track_caller]
pub fn eventually_some<T>(what: &str, probe: impl FnMut() -> Option<T>) -> T {
    some_within(what, TIMEOUT, probe)
}

#[track_caller]
fn some_within<T>(what: &str, timeout: Duration, mut probe: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    let mut pause = Duration::from_millis(2);
    loop {
        if let Some(value) = probe() {
            return value;
        }
        assert!(start.elapsed() < timeout, "waited {} s in vain: {what}", timeout.as_secs());
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// Asserts that `condition` stays true for `span`.
#[track_caller]
pub fn stays(what: &str, span: Duration, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while start.elapsed() < span {
        assert!(condition(), "ceased to hold after {} ms: {what}", start.elapsed().as_millis());
        thread::sleep(Duration::from_millis(20));
    }
}
