//! The graceful shutdown of the router: requests finish, then processes end. After a time limit the supervisor ends
//! what is left.

use std::rc::Rc;

use protocol::setting::duration;
use tokio::time::{Instant, timeout_at};
use tracing::{info, warn};

use super::control_plane::ControlPlane;
use common::link::Order;

/// What happens to the processes when the requests have finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Processes {
    /// They end.
    End,
    /// Another router takes them over.
    HandOver,
}

/// Finishes all requests, and ends all processes unless another router takes them over, within `limit` seconds. A
/// second call has no effect.
pub(super) async fn run(router: Rc<ControlPlane>, limit: u64, processes: Processes) {
    if !router.connections.close() {
        return;
    }
    let end = Instant::now() + duration(limit);
    let reason = if processes == Processes::End { "shutting down" } else { "another router takes over" };
    info!("{reason}: {} requests in progress", router.dispatcher.requests());
    finish_requests(&router, end, limit).await;
    if processes == Processes::End {
        end_processes(&router, end, limit).await;
    }
    router.supervisor.send(&Order::Finished);
    router.finished.notify_one();
}

async fn finish_requests(router: &ControlPlane, end: Instant, limit: u64) {
    let dispatcher = &router.dispatcher;
    dispatcher.abort_tunnels();
    // A connection may have received bytes of a request that is not counted yet; it serves that request before it ends.
    let finished = async {
        router.connections.all_closed().await;
        dispatcher.wait_for(|dispatcher| (dispatcher.requests() == 0).then_some(())).await;
    };
    if timeout_at(end, finished).await.is_err() {
        warn!("{} requests did not finish within {limit} s", dispatcher.requests());
    }
}

async fn end_processes(router: &ControlPlane, end: Instant, limit: u64) {
    let dispatcher = &router.dispatcher;
    dispatcher.close();
    router.spawner.preloaders.end_all();
    let ended = dispatcher.wait_for(|dispatcher| dispatcher.inspect(|pool, _| pool.is_empty().then_some(())));
    if timeout_at(end, ended).await.is_err() {
        warn!("some processes did not end within {limit} s");
    }
}
