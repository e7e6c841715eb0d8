//! Advice for the log when the daemon's socket cannot be connected to.
//!
//! nginx has already logged which call failed. Its line does not contain advice, and under load there are thousands of
//! them; this one is written every few seconds.

use std::cell::Cell;

use crate::ffi::request::files::{Access, writable};
use crate::ffi::request::{Request, now};

/// Seconds between two lines of a worker.
const INTERVAL: i64 = 5;

thread_local! {
    static NEXT: Cell<i64> = const { Cell::new(0) };
}

/// Logs advice, unless it was logged less than [`INTERVAL`] seconds ago.
pub(crate) fn log_advice(request: Request<'_>, peer: &[u8]) {
    let now = now();
    if now < NEXT.get() && NEXT.get() <= now.saturating_add(INTERVAL) {
        return;
    }
    NEXT.set(now.saturating_add(INTERVAL));
    let name = peer.escape_ascii();
    let advice = advice(peer);
    request.log().error(format_args!(
        "flying-passenger cannot be reached: passenger_fly_with leads to {name}, {advice}"
    ));
}

/// Returns what is wrong with an address that cannot be connected to, and what to do.
pub(crate) fn advice(peer: &[u8]) -> &'static str {
    let Some(path) = peer.strip_prefix(b"unix:") else {
        return "where nobody answers";
    };
    match writable(path) {
        Access::Granted => {
            "where nobody answers; is flying-passenger running? (systemctl status flying-passenger)"
        }
        Access::Missing => {
            "which does not exist; is flying-passenger running, and with the same --socket-file? \
             (systemctl status flying-passenger)"
        }
        Access::Denied => {
            "which nginx's user may not write to; see its permissions and those of the directories above it"
        }
    }
}
