//! The limit of open files of the process that runs the tests: a flood of connections is more than a session may open.

use std::sync::Once;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// What root usually has; a higher limit makes programs slow that close all numbers up to it.
const ENOUGH: u64 = 20_000;

/// Raises it, as far as it may be raised.
pub(crate) fn raise_open_files() {
    static RAISED: Once = Once::new();
    RAISED.call_once(|| {
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        if soft < ENOUGH {
            setrlimit(Resource::RLIMIT_NOFILE, hard.min(ENOUGH), hard).unwrap();
        }
    });
}
