//! The router's orderly end: requests finish, then processes; what takes longer than the limit is left to the supervisor.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tracing::{info, warn};

use super::dispatch::Dispatcher;
use super::wiring::Router;
use crate::link::Order;

/// Ends everything within `limit` seconds. Said twice, it ends once.
pub(super) async fn run(router: Rc<Router>, limit: u64) {
    if !router.doors.close() {
        return;
    }
    let end = Instant::now() + Duration::from_secs(limit);
    let dispatcher = &router.dispatcher;
    info!("shutting down: {} requests under way", dispatcher.requests());
    dispatcher.abort_tunnels();
    let requests = dispatcher.until(|dispatcher| dispatcher.requests() == 0);
    if timeout_at(end, requests).await.is_err() {
        warn!("{} requests did not finish within {limit} s", dispatcher.requests());
    }
    dispatcher.close();
    router.spawner.end_preloaders();
    if timeout_at(end, dispatcher.until(Dispatcher::is_empty)).await.is_err() {
        warn!("some processes did not end within {limit} s");
    }
    if router.supervisor.order(&Order::Finished).is_err() {
        warn!("the supervisor cannot be told that everything is finished");
    }
    router.finished.notify_one();
}
