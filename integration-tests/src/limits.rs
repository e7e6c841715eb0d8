//! Raises the limit of open files of the test process, because some tests open thousands of connections.

use std::sync::Once;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// The usual limit of root; a higher one slows down programs that close all descriptors up to it.
const ENOUGH: u64 = 20_000;

/// Raises it up to the hard limit.
pub(crate) fn raise_open_files() {
    static RAISED: Once = Once::new();
    RAISED.call_once(|| {
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        if soft < ENOUGH {
            setrlimit(Resource::RLIMIT_NOFILE, hard.min(ENOUGH), hard).unwrap();
        }
    });
}
