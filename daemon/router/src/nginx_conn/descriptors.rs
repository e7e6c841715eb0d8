//! File descriptors of the router: how many connections are allowed, and what waits or is closed when descriptors run
//! out. No process is blamed for a lack of descriptors.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use nix::sys::resource::{self, Resource};
use tokio::time::{Instant, sleep};

use crate::state::RouterState;
use crate::sys::stream;
use common::link::Trouble;

pub(crate) use common::sys::descriptors::are_used_up;

/// Pause between two attempts.
const PAUSE: Duration = Duration::from_millis(20);
/// How long a request waits for a descriptor.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often to check whether the shortage is over.
const LOOK: Duration = Duration::from_secs(1);
/// Descriptors in use besides those of connections and of the output of processes.
const OTHERS: u64 = 16;
/// Most descriptors reserved for what requests need besides their connection: one to the app, a file for a slow client.
const MOST_RESERVED: u64 = 256;

/// Resolves when there are descriptors for one more connection from nginx and for what it requires.
pub(crate) async fn room(router: &Rc<RouterState>) {
    if has_room(router) {
        return;
    }
    give_back(router);
    while !has_room(router) && !router.connections.is_closing() {
        tell(router);
        sleep(PAUSE).await;
        give_back(router);
    }
}

/// Retries `open` while only a descriptor is missing.
pub(crate) async fn patiently<T>(
    router: &Rc<RouterState>,
    open: impl AsyncFn() -> io::Result<T>,
) -> io::Result<T> {
    let until = Instant::now() + PATIENCE;
    loop {
        match open().await {
            Err(why) if are_used_up(&why) && Instant::now() < until => {
                tell(router);
                give_back(router);
                sleep(PAUSE).await;
            }
            done => return done,
        }
    }
}

/// Reports the shortage in the status and the log until it is over; meanwhile no connection is kept without a request.
pub(crate) fn tell(router: &Rc<RouterState>) {
    let new = router.troubles.begin(Trouble::Descriptors, || {
        format!(
            "the {} descriptors of the router are nearly used up: connections from nginx wait until some are free \
             (--core-file-descriptor-ulimit, systemd's LimitNOFILE=)",
            limit()
        )
    });
    if new {
        router.connections.set_scarce(true);
        let router = router.clone();
        tokio::task::spawn_local(async move {
            sleep(LOOK).await;
            while !has_much_room(&router) {
                sleep(LOOK).await;
            }
            router.connections.set_scarce(false);
            router.troubles.end(Trouble::Descriptors);
        });
    }
}

/// Closes idle connections to apps, which are kept only for speed.
fn give_back(router: &RouterState) {
    router.dispatcher.inspect(|_, workers| workers.values().for_each(|worker| worker.close_idle()));
}

fn has_room(router: &RouterState) -> bool {
    needed(router) + 2 <= most(router)
}

/// Whether enough descriptors are free that the next connection does not cause another shortage.
fn has_much_room(router: &RouterState) -> bool {
    needed(router) <= most(router) * 3 / 4
}

/// Descriptors that connections have, or will have when each connection from nginx has one to an app.
fn needed(router: &RouterState) -> u64 {
    stream::open().max(2 * router.connections.count())
}

/// Maximum number of connections, including those to apps, before nginx has to wait.
pub(crate) fn most(router: &RouterState) -> u64 {
    let limit = limit();
    let outputs = router.dispatcher.inspect(|_, workers| workers.len() as u64);
    let reserved = (limit / 4).min(MOST_RESERVED);
    limit.saturating_sub(OTHERS + outputs + reserved).max(2)
}

fn limit() -> u64 {
    resource::getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft)
}
