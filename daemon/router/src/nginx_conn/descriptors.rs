//! File descriptors of the router: how many connections are allowed, and what waits or is closed when descriptors run
//! out. No process is blamed for a lack of descriptors.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::resource::{self, Resource};
use tokio::time::{Instant, sleep};

use crate::state::RouterState;
use crate::sys::stream;
use common::link::Problem;

pub(crate) use common::sys::descriptors::are_used_up;

/// Pause between two attempts.
const PAUSE: Duration = Duration::from_millis(20);
/// How long a request waits for a descriptor.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How often to check whether the shortage has ended.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Descriptors in use besides those of connections and of the output of processes.
const OTHER: u64 = 16;
/// Descriptors of the event loop of a further thread.
const PER_THREAD: u64 = 3;
/// Maximum number of descriptors reserved for what a request needs besides its connection: one to the app, a file for a
/// slow client.
const MAX_RESERVED: u64 = 256;

/// Resolves when there are descriptors for one more connection from nginx and for what it requires.
pub(crate) async fn wait_for_room(router: &Arc<RouterState>) {
    if has_room(router) {
        return;
    }
    close_idle(router);
    while !has_room(router) && !router.connections.is_closing() {
        report_shortage(router);
        sleep(PAUSE).await;
        close_idle(router);
    }
}

/// Retries `open` while only a descriptor is missing.
pub(crate) async fn retry<T>(
    router: &Arc<RouterState>,
    open: impl AsyncFn() -> io::Result<T>,
) -> io::Result<T> {
    let mut until = None;
    loop {
        match open().await {
            Err(why)
                if are_used_up(&why)
                    && Instant::now() < *until.get_or_insert_with(|| Instant::now() + TIMEOUT) =>
            {
                report_shortage(router);
                close_idle(router);
                sleep(PAUSE).await;
            }
            done => return done,
        }
    }
}

/// Reports the shortage in the status and the log while it lasts; no connection is kept without a request.
pub(crate) fn report_shortage(router: &Arc<RouterState>) {
    let new = router.problems.begin(Problem::Descriptors, || {
        format!(
            "nearly all of the router's {} file descriptors are in use: connections from nginx wait until some are \
             free; raise --core-file-descriptor-ulimit or systemd's LimitNOFILE=",
            limit()
        )
    });
    if new {
        router.connections.set_scarce(true);
        let router = router.clone();
        tokio::task::spawn_local(async move {
            sleep(CHECK_INTERVAL).await;
            while !has_much_room(&router) {
                sleep(CHECK_INTERVAL).await;
            }
            router.connections.set_scarce(false);
            router.problems.end(Problem::Descriptors);
        });
    }
}

/// Closes idle connections to apps, which are kept only for speed.
fn close_idle(router: &RouterState) {
    router.dispatcher.workers().iter().for_each(|worker| worker.close_idle());
}

fn has_room(router: &RouterState) -> bool {
    needed(router) + 2 <= maximum(router)
}

/// Whether enough descriptors are free that the next connection does not cause another shortage.
fn has_much_room(router: &RouterState) -> bool {
    needed(router) <= maximum(router) * 3 / 4
}

/// Descriptors that connections have, or will have when each connection from nginx has one to an app.
fn needed(router: &RouterState) -> u64 {
    stream::open().max(2 * router.connections.count())
}

/// Maximum number of connections, including those to apps, before nginx has to wait.
pub(crate) fn maximum(router: &RouterState) -> u64 {
    let limit = limit();
    let outputs = router.dispatcher.inspect(|_, workers| workers.len() as u64);
    let reserved = (limit / 4).min(MAX_RESERVED);
    let threads = PER_THREAD * (router.config.threads as u64).saturating_sub(1);
    limit.saturating_sub(OTHER + threads + outputs + reserved).max(2)
}

fn limit() -> u64 {
    resource::getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft)
}
