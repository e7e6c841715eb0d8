//! Periodic removal of idle processes that are due, and of apps without remaining state.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::restart_files::Restarts;
use crate::apps::Routes;
use crate::dispatch::Dispatcher;

/// How long to wait when nothing is due.
const MAX_PAUSE: Duration = Duration::from_secs(3600);
/// Least pause between two checks.
const MIN_PAUSE: Duration = Duration::from_millis(10);

/// Checks until the router ends.
pub(crate) async fn run(dispatcher: Arc<Dispatcher>, routes: Arc<Routes>, restarts: Arc<Restarts>) {
    loop {
        let due = dispatcher.update(|pool, now| pool.sweep(now));
        routes.remove_unused_apps(&dispatcher);
        restarts.retain(|group| dispatcher.inspect(|pool, _| pool.contains(group)));
        let pause = due.map_or(MAX_PAUSE, |due| due.saturating_duration_since(Instant::now()));
        tokio::select! {
            () = tokio::time::sleep(pause.max(MIN_PAUSE)) => {}
            () = dispatcher.sweep_sooner.notified() => {}
        }
    }
}
