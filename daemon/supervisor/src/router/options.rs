//! Limits of the options that the router sends to the supervisor.

use common::config::DaemonOption;
use common::config::shared::Values;

/// The minimum with which the daemon can work.
const MIN_OPEN_FILES: u64 = 64;
/// Maximum pool size unless the daemon's own configuration sets another: more than the app processes of any machine.
const MAX_POOL: usize = 1024;

/// Limits the pool size sent by the router, which bounds how many processes the router can start.
pub(crate) fn bounded_pool(own: &[DaemonOption], wanted: usize) -> usize {
    let own = Values(own);
    if own.given("max_pool_size") {
        return usize::try_from(own.number("max_pool_size")).unwrap_or(MAX_POOL);
    }
    if wanted > MAX_POOL {
        tracing::warn!(
            "at most {MAX_POOL} processes are started at a time, not {wanted} as the router requests: start the \
             daemon with --max-pool-size for more"
        );
    }
    wanted.min(MAX_POOL)
}

/// Whether the daemon can work with this limit of open files; 0 is the highest possible.
pub(crate) fn is_possible_limit(open_files: u64) -> bool {
    !(1..MIN_OPEN_FILES).contains(&open_files)
}
