//! Waiting: always for a condition, with patience and a description, never for a while.

use std::thread;
use std::time::{Duration, Instant};

/// How long a condition may take on a busy machine before the test gives up.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `condition` holds.
#[track_caller]
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    eventually_some(what, || condition().then_some(()));
}

/// As [`eventually`], for what may take longer: so long at most.
#[track_caller]
pub fn eventually_within(what: &str, patience: Duration, mut condition: impl FnMut() -> bool) {
    some_within(what, patience, || condition().then_some(()));
}

/// Waits until `probe` gives a value, and returns it.
#[track_caller]
pub fn eventually_some<T>(what: &str, probe: impl FnMut() -> Option<T>) -> T {
    some_within(what, PATIENCE, probe)
}

#[track_caller]
fn some_within<T>(what: &str, patience: Duration, mut probe: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    let mut pause = Duration::from_millis(2);
    loop {
        if let Some(value) = probe() {
            return value;
        }
        assert!(began.elapsed() < patience, "waited {} s in vain: {what}", patience.as_secs());
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// Watches that `condition` holds all the time for `span`: for what must *not* happen.
#[track_caller]
pub fn stays(what: &str, span: Duration, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while began.elapsed() < span {
        assert!(condition(), "ceased to hold after {} ms: {what}", began.elapsed().as_millis());
        thread::sleep(Duration::from_millis(20));
    }
}
