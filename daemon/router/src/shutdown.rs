//! The graceful shutdown of the router: requests finish, then processes end. After a time limit the supervisor ends
//! what is left.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tracing::{info, warn};

use super::dispatch::Dispatcher;
use super::state::RouterState;
use common::link::Order;

/// Finishes the active requests within `limit` seconds; another router takes over the processes.
pub(super) async fn retire(router: Rc<RouterState>, limit: u64) {
    if router.connections.close() {
        let active = router.dispatcher.requests();
        info!("another router goes on: {active} requests under way are finished first");
        finish_requests(&router, Instant::now() + Duration::from_secs(limit), limit).await;
        report_finished(&router);
    }
}

/// Ends all requests and processes within `limit` seconds. A second call has no effect.
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
    report_finished(&router);
}

async fn finish_requests(router: &RouterState, end: Instant, limit: u64) {
    let dispatcher = &router.dispatcher;
    dispatcher.abort_tunnels();
    // A connection may have received bytes of a request that is not counted yet; it serves that request before it ends.
    let finished = async {
        router.connections.all_closed().await;
        dispatcher.until(|dispatcher| dispatcher.requests() == 0).await;
    };
    if timeout_at(end, finished).await.is_err() {
        warn!("{} requests did not finish within {limit} s", dispatcher.requests());
    }
}

fn report_finished(router: &RouterState) {
    if router.supervisor.order(&Order::Finished).is_err() {
        warn!("the supervisor cannot be told that everything is finished");
    }
    router.finished.notify_one();
}
