//! The router's descriptors: how many connections there may be, what waits when they are used up, and what is given back
//! then. A descriptor is waited for; nobody's process is blamed for the want of one.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use nix::sys::resource::{self, Resource};
use tokio::time::{Instant, sleep};

use crate::state::RouterState;
use crate::sys::stream;
use common::link::Trouble;

pub(crate) use common::sys::descriptors::are_used_up;

/// Pause before another look.
const PAUSE: Duration = Duration::from_millis(20);
/// How long a request waits for a descriptor.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often to look whether the trouble is over.
const LOOK: Duration = Duration::from_secs(1);
/// What the router has open besides connections and the output of processes.
const OTHERS: u64 = 16;
/// Most descriptors kept for what a request needs beyond its own connection: one to the app, a file for a slow client.
const MOST_RESERVED: u64 = 256;

/// Resolves when there are descriptors for one more connection from nginx and what follows from it.
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

/// Tries to open something again and again when only a descriptor is missing.
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

/// Has the status and the log tell of it until it is over; as long, no connection is kept without a request.
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

/// Closes connections to apps that are only kept to be quicker.
fn give_back(router: &RouterState) {
    router.dispatcher.inspect(|_, workers| workers.values().for_each(|worker| worker.close_idle()));
}

fn has_room(router: &RouterState) -> bool {
    needed(router) + 2 <= most(router)
}

/// So much that the trouble does not come back with the next connection.
fn has_much_room(router: &RouterState) -> bool {
    needed(router) <= most(router) * 3 / 4
}

/// What connections have, or will have when each of nginx's has one to an app.
fn needed(router: &RouterState) -> u64 {
    stream::open().max(2 * router.connections.count())
}

/// Connections that there may be, to apps as well, before nginx has to wait.
pub(crate) fn most(router: &RouterState) -> u64 {
    let limit = limit();
    let outputs = router.dispatcher.inspect(|_, workers| workers.len() as u64);
    let reserved = (limit / 4).min(MOST_RESERVED);
    limit.saturating_sub(OTHERS + outputs + reserved).max(2)
}

fn limit() -> u64 {
    resource::getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft)
}
