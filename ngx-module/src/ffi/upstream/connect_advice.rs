//! Advice for the log when the daemon's socket cannot be connected to.
//!
//! nginx has already logged which call failed. Its line does not contain advice, and under load there are thousands of
//! them; this one is written every few seconds.

use std::cell::Cell;

use crate::ffi::request::files::{Access, socket_access};
use crate::ffi::request::{Request, now};

/// Seconds between two lines of a worker.
const INTERVAL: i64 = 5;

thread_local! {
    static NEXT: Cell<i64> = const { Cell::new(0) };
}

/// Logs advice, unless it was logged less than [`INTERVAL`] seconds ago.
pub(crate) fn log_problem(request: Request<'_>, peer: &[u8]) {
    let now = now();
    if now < NEXT.get() && NEXT.get() <= now.saturating_add(INTERVAL) {
        return;
    }
    NEXT.set(now.saturating_add(INTERVAL));
    request.log().error(format_args!("flying-passenger cannot be reached: {}", problem(peer)));
}

/// Returns why an address cannot be connected to, and what to do.
pub(crate) fn problem(peer: &[u8]) -> String {
    let reason = match peer.strip_prefix(b"unix:").map(socket_access) {
        None => "refuses connections; check that flying-passenger listens there",
        Some(Access::Granted) => {
            "refuses connections; check that flying-passenger is running (systemctl status flying-passenger)"
        }
        Some(Access::Missing) => {
            "does not exist; check that flying-passenger is running (systemctl status flying-passenger), with this \
             path as --socket-file"
        }
        Some(Access::Denied) => {
            "is not writable for nginx's user; check its permissions and those of the directories above it"
        }
    };
    format!("the address in passenger_fly_with, {}, {reason}", peer.escape_ascii())
}
