//! Smart spawning: forks a process from a preloader, which may have to load the app first, or starts it directly if
//! that fails.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use super::preloaders::{Loaded, PreloaderKey};
use super::readiness::ProcessEnd;
use super::{Lifecycle, Spawner};
use crate::app::route::Route;
use crate::pool::Slot;
use crate::report::StartupTrace;
use common::link::{Order, ProcessId};

/// Least time for a fork, however long loading took.
const MIN_FORK_TIME: Duration = Duration::from_secs(5);

impl Spawner {
    pub(super) fn start_smart(&self, slot: Slot, route: Rc<Route>, until: Instant) {
        let code = self.key_of(slot, &route);
        if self.preloaders.forks_fail(route.group, &code) {
            return self.start_directly(slot, route, until);
        }
        match (self.preloaders.take(&route, &code), self.me.upgrade()) {
            (Some(preloader), _) => self.fork(slot, route, preloader, until),
            (None, Some(me)) => {
                let ended = Rc::new(ProcessEnd::default());
                self.processes.borrow_mut().insert(slot, Lifecycle::Preloading { ended: ended.clone() });
                tokio::task::spawn_local(
                    async move { me.load_and_fork(slot, route, code, &ended, until).await },
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
        route: Rc<Route>,
        code: PreloaderKey,
        ended: &Rc<ProcessEnd>,
        until: Instant,
    ) {
        let _turn = tokio::select! {
            turn = self.preloaders.lock(route.group) => turn,
            () = ended.wait() => return self.abandoned(slot),
        };
        if let Some(preloader) = self.preloaders.take(&route, &code) {
            return self.fork(slot, route, preloader, until);
        }
        match self.preloaders.load(&route, code.clone(), ended, until).await {
            Loaded::Ready(loaded) => {
                let preloader = self.preloaders.take(&route, &code).unwrap_or(loaded);
                self.fork(slot, route, preloader, until);
            }
            Loaded::Failed(failure) => {
                self.processes.borrow_mut().remove(&slot);
                self.report(slot, *failure);
            }
            Loaded::Abandoned => self.abandoned(slot),
        }
    }

    fn abandoned(&self, slot: Slot) {
        self.processes.borrow_mut().remove(&slot);
        self.dispatcher.exited(slot);
    }

    fn fork(&self, slot: Slot, route: Rc<Route>, preloader: ProcessId, until: Instant) {
        let until = until.max(Instant::now() + MIN_FORK_TIME);
        let left = until.saturating_duration_since(Instant::now()).as_millis();
        let within_ms = u64::try_from(left).unwrap_or(u64::MAX);
        let memo = route.spawn_spec().memo;
        let ticket = self.supervisor.ticket();
        let trace = StartupTrace::from_preloader();
        self.await_start(
            ticket,
            slot,
            Lifecycle::Ordered { route, wanted: true, until, forked: true, trace },
        );
        self.order_start(ticket, &Order::Fork { ticket, preloader, within_ms, memo });
    }

    /// Starts this one process directly, without the preloader that failed.
    pub(super) fn start_without_preloader(&self, slot: Slot, route: Rc<Route>, reason: &str) {
        self.preloaders.fork_failed(&route, self.key_of(slot, &route));
        warn!("app {}: a process is started without its preloader: {reason}", route.name);
        let until = Instant::now() + route.settings.start_timeout;
        self.start_directly(slot, route, until);
    }
}
