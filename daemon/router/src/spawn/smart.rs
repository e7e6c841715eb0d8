//! Smart spawning: forks a process from a preloader, which may have to load the app first, or starts it directly if
//! that fails.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use super::preloaders::PreloaderKey;
use super::readiness::ProcessEnd;
use super::{Lifecycle, Spawner};
use crate::app::route::Route;
use crate::pool::Slot;
use crate::report::StartupTrace;
use common::link::{Order, ProcessId};

/// Least time for a fork, however long loading took.
const MIN_FORK_TIME: Duration = Duration::from_secs(5);

impl Spawner {
    pub(super) fn start_smart(&self, slot: Slot, route: Arc<Route>, until: Instant) {
        let key = self.key_of(slot, &route);
        if self.preloaders.forks_fail(route.group, &key) {
            return self.start_directly(slot, route, until);
        }
        match (self.preloaders.take(&route, &key), self.me.upgrade()) {
            (Some(preloader), _) => self.fork(slot, route, preloader, until),
            (None, Some(me)) => {
                let ended = Rc::new(ProcessEnd::default());
                self.processes.borrow_mut().insert(slot, Lifecycle::Preloading { ended: ended.clone() });
                tokio::task::spawn_local(
                    async move { me.load_and_fork(slot, route, key, &ended, until).await },
                );
            }
            (None, None) => {}
        }
    }

    fn key_of(&self, slot: Slot, route: &Route) -> PreloaderKey {
        let generation = self.dispatcher.inspect(|pool, _| pool.process(slot).map(|p| p.generation));
        PreloaderKey::of(route, generation.unwrap_or_default())
    }

    async fn load_and_fork(
        self: Rc<Self>,
        slot: Slot,
        route: Arc<Route>,
        key: PreloaderKey,
        ended: &Rc<ProcessEnd>,
        until: Instant,
    ) {
        let end_start = |not_started| {
            self.processes.borrow_mut().remove(&slot);
            self.end_start(slot, not_started);
        };
        let _lock = tokio::select! {
            lock = self.preloaders.lock(route.group) => lock,
            () = ended.wait() => return end_start(None),
        };
        if let Some(preloader) = self.preloaders.take(&route, &key) {
            return self.fork(slot, route, preloader, until);
        }
        match self.preloaders.load(&route, key.clone(), ended, until).await {
            Ok(loaded) => {
                let preloader = self.preloaders.take(&route, &key).unwrap_or(loaded);
                self.fork(slot, route, preloader, until);
            }
            Err(not_started) => end_start(not_started),
        }
    }

    fn fork(&self, slot: Slot, route: Arc<Route>, preloader: ProcessId, until: Instant) {
        let until = until.max(Instant::now() + MIN_FORK_TIME);
        let left = until.saturating_duration_since(Instant::now()).as_millis();
        let within_ms = u64::try_from(left).unwrap_or(u64::MAX);
        let handover_data = route.spawn_spec().handover_data;
        let trace = StartupTrace::from_preloader();
        let ordered = Lifecycle::Ordered { route, wanted: true, until, forked: true, trace };
        self.order_start(slot, ordered, |ticket| Order::Fork { ticket, preloader, within_ms, handover_data });
    }

    /// Starts this one process directly, as it could not be forked.
    pub(super) fn start_without_preloader(&self, slot: Slot, route: Arc<Route>, reason: &str) {
        self.preloaders.fork_failed(&route, self.key_of(slot, &route));
        warn!("app {}: starting a process without the preloader: {reason}", route.name);
        let until = Instant::now() + route.settings.router.start_timeout;
        self.start_directly(slot, route, until);
    }
}
