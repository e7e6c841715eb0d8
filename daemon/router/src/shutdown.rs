//! The router's orderly end: requests finish, then processes; what takes longer than the limit is left to the supervisor.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tracing::{info, warn};

use super::dispatch::Dispatcher;
use super::state::RouterState;
use common::link::Order;

/// Finishes the requests under way within `limit` seconds, for another router to go on with the processes.
pub(super) async fn retire(router: Rc<RouterState>, limit: u64) {
    if router.connections.close() {
        let under_way = router.dispatcher.requests();
        info!("another router goes on: {under_way} requests under way are finished first");
        finish_requests(&router, Instant::now() + Duration::from_secs(limit), limit).await;
        leave(&router);
    }
}

/// Ends everything within `limit` seconds. Said twice, it ends once.
pub(super) async fn run(router: Rc<RouterState>, limit: u64) {
    if !router.connections.close() {
        return;
    }
    let end = Instant::now() + Duration::from_secs(limit);
    info!("shutting down: {} requests under way", router.dispatcher.requests());
    finish_requests(&router, end, limit).await;
    router.dispatcher.close();
    router.spawner.end_preloaders();
    if timeout_at(end, router.dispatcher.until(Dispatcher::is_empty)).await.is_err() {
        warn!("some processes did not end within {limit} s");
    }
    leave(&router);
}

async fn finish_requests(router: &RouterState, end: Instant, limit: u64) {
    let dispatcher = &router.dispatcher;
    dispatcher.abort_tunnels();
    // What has come on a connection and is not known as a request yet is served before its connection ends.
    let finished = async {
        router.connections.all_closed().await;
        dispatcher.until(|dispatcher| dispatcher.requests() == 0).await;
    };
    if timeout_at(end, finished).await.is_err() {
        warn!("{} requests did not finish within {limit} s", dispatcher.requests());
    }
}

fn leave(router: &RouterState) {
    if router.supervisor.order(&Order::Finished).is_err() {
        warn!("the supervisor cannot be told that everything is finished");
    }
    router.finished.notify_one();
}
