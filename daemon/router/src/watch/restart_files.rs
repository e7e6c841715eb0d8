//! Checks of `restart.txt` and `always_restart.txt`, made on requests, at most once per throttle interval and app.
//!
//! The first check only records the state. Later, another modification time (even an older one) or a new file causes a
//! restart. A removed file does not, nor does one that reappears with the same modification time.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tracing::info;

use crate::app::route::Route;
use crate::dispatch::Dispatcher;
use crate::pool::GroupId;
use crate::supervisor_link::{PendingOrders, Supervisor};
use common::link::{Order, RestartFiles};

/// The recorded state of each app's restart files.
#[derive(Debug)]
pub(crate) struct Restarts {
    throttle: Cell<Duration>,
    seen: RefCell<HashMap<GroupId, Seen>>,
    pub(crate) pending: PendingOrders<RestartFiles>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    at: Instant,
    /// The last modification time of `restart.txt`.
    mtime: Option<i128>,
    always: bool,
}

impl Restarts {
    pub(crate) fn new(supervisor: Rc<Supervisor>, throttle: Duration) -> Self {
        Self {
            throttle: Cell::new(throttle),
            seen: RefCell::default(),
            pending: PendingOrders::new(supervisor),
        }
    }

    /// Changes the least time between two checks.
    pub(crate) fn set_throttle(&self, throttle: Duration) {
        self.throttle.set(throttle);
    }

    /// Restarts the app if its files require it. Costs nothing between two checks.
    pub(crate) async fn check(&self, route: &Route, dispatcher: &Dispatcher) {
        let now = Instant::now();
        let before = self.seen.borrow().get(&route.group).copied();
        let is_recent = |seen: &Seen| !seen.always && now.duration_since(seen.at) < self.throttle.get();
        if before.as_ref().is_some_and(is_recent) {
            return;
        }
        // Requests that arrive while the supervisor checks proceed with the previous state.
        let mark = Seen { at: now, ..before.unwrap_or(Seen { at: now, mtime: None, always: false }) };
        self.seen.borrow_mut().insert(route.group, mark);
        let order = |ticket| Order::CheckRestartFiles { ticket, dir: route.restart_dir() };
        let Some(found) = self.pending.result_of(order).await else { return };
        let mtime = found.restart_mtime.or(mark.mtime);
        self.seen.borrow_mut().insert(route.group, Seen { at: now, mtime, always: found.always });
        if is_wanted(before.map(|b| b.mtime), &found) {
            info!("app {}: restarting, as its restart files require", route.name);
            dispatcher.restart(route.group, route.settings.restart_how());
        }
    }

    /// Removes the state of groups that no longer exist.
    pub(crate) fn retain(&self, exists: impl Fn(GroupId) -> bool) {
        self.seen.borrow_mut().retain(|group, _| exists(*group));
    }

    fn is_always(&self, route: &Route) -> bool {
        self.seen.borrow().get(&route.group).is_some_and(|seen| seen.always)
    }
}

/// Least time between two checks without a request.
const MIN_PAUSE: Duration = Duration::from_secs(1);

/// Checks, until the router ends, the restart files of apps whose restart must not wait for a request.
pub(crate) async fn watch(dispatcher: Rc<Dispatcher>, restarts: Rc<Restarts>) {
    loop {
        let watched = dispatcher.watched();
        if watched.is_empty() {
            dispatcher.check_sooner.notified().await;
            continue;
        }
        // An app that is restarted for each request is not restarted without one.
        for route in watched.into_iter().filter(|route| !restarts.is_always(route)) {
            restarts.check(&route, &dispatcher).await;
        }
        tokio::time::sleep(restarts.throttle.get().max(MIN_PAUSE)).await;
    }
}

/// Whether a restart is required; `before` is what the last check recorded, `None` at the first check.
fn is_wanted(before: Option<Option<i128>>, found: &RestartFiles) -> bool {
    let Some(recorded) = before else { return false };
    found.always || (found.restart_mtime.is_some() && found.restart_mtime != recorded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(before: Option<Option<i128>>, restart_mtime: Option<i128>, always: bool) -> bool {
        is_wanted(before, &RestartFiles { restart_mtime, always })
    }

    #[test]
    fn the_first_check_only_records() {
        assert!(!wanted(None, Some(5), false));
        assert!(!wanted(None, Some(5), true));
    }

    #[test]
    fn a_new_time_restarts_the_app_and_a_missing_file_does_not() {
        assert!(wanted(Some(None), Some(5), false));
        assert!(wanted(Some(Some(5)), Some(6), false));
        assert!(wanted(Some(Some(5)), Some(4), false));
        assert!(!wanted(Some(Some(5)), Some(5), false));
        assert!(!wanted(Some(Some(5)), None, false));
        assert!(wanted(Some(Some(5)), None, true));
    }
}
