//! Smart spawning: forks a process from a preloader, which may have to load the app first, or starts it directly if
//! that fails.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use super::preloaders::{Code, Loaded};
use super::readiness::Ended;
use super::{Life, Spawner};
use crate::app::route::Route;
use crate::pool::Slot;
use crate::report::StartupTrace;
use common::link::{Order, ProcessId};

/// Least time for a fork, however long loading took.
const LEAST_TIME: Duration = Duration::from_secs(5);

impl Spawner {
    pub(super) fn launch_smartly(&self, slot: Slot, route: Rc<Route>, until: Instant) {
        let code = self.code_of(slot, &route);
        if self.preloaders.is_hopeless(route.group, &code) {
            return self.launch_directly(slot, route, until);
        }
        match (self.preloaders.take(&route, &code), self.me.upgrade()) {
            (Some(preloader), _) => self.fork(slot, route, preloader, until),
            (None, Some(me)) => {
                let ended = Rc::new(Ended::default());
                self.lives.borrow_mut().insert(slot, Life::Preloading { ended: ended.clone() });
                tokio::task::spawn_local(
                    async move { me.load_and_fork(slot, route, code, &ended, until).await },
                );
            }
            (None, None) => {}
        }
    }

    fn code_of(&self, slot: Slot, route: &Route) -> Code {
        let generation = self.dispatcher.inspect(|pool, _| pool.process(slot).map(|p| p.generation));
        Code::of(route, generation.unwrap_or_default())
    }

    async fn load_and_fork(
        self: Rc<Self>,
        slot: Slot,
        route: Rc<Route>,
        code: Code,
        ended: &Rc<Ended>,
        until: Instant,
    ) {
        let _turn = tokio::select! {
            turn = self.preloaders.turn(route.group) => turn,
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
                self.lives.borrow_mut().remove(&slot);
                self.report(slot, *failure);
            }
            Loaded::Abandoned => self.abandoned(slot),
        }
    }

    fn abandoned(&self, slot: Slot) {
        self.lives.borrow_mut().remove(&slot);
        self.dispatcher.exited(slot);
    }

    fn fork(&self, slot: Slot, route: Rc<Route>, preloader: ProcessId, until: Instant) {
        let until = until.max(Instant::now() + LEAST_TIME);
        let left = until.saturating_duration_since(Instant::now()).as_millis();
        let within_ms = u64::try_from(left).unwrap_or(u64::MAX);
        let memo = route.spawn_spec().memo;
        let ticket = self.supervisor.ticket();
        let trace = StartupTrace::from_preloader();
        self.await_start(ticket, slot, Life::Ordered { route, wanted: true, until, forked: true, trace });
        self.carry(ticket, &Order::Fork { ticket, preloader, within_ms, memo });
    }

    /// Starts this one process directly, without the preloader that failed.
    pub(super) fn launch_after_all(&self, slot: Slot, route: Rc<Route>, reason: &str) {
        self.preloaders.not_forked(&route, self.code_of(slot, &route));
        warn!("app {}: a process is started without its preloader: {reason}", route.name);
        let until = Instant::now() + route.settings.router.start_timeout;
        self.launch_directly(slot, route, until);
    }
}
