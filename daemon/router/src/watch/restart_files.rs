//! Checks of `restart.txt` and `always_restart.txt`, made on requests, at most once per throttle interval and app.
//!
//! The first check only records the state. Later, another modification time (even an older one) or a new file causes a
//! restart. A removed file does not, nor does one that reappears with the same modification time.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tracing::info;

use crate::app::route::Route;
use crate::dispatch::Dispatcher;
use crate::pool::GroupId;
use crate::supervisor_link::Supervisor;
use common::link::{Order, RestartFiles, Ticket};

/// The recorded state of each app's files.
#[derive(Debug)]
pub(crate) struct Restarts {
    supervisor: Rc<Supervisor>,
    throttle: Cell<Duration>,
    seen: RefCell<HashMap<GroupId, Seen>>,
    waiting: RefCell<HashMap<Ticket, oneshot::Sender<RestartFiles>>>,
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
            supervisor,
            throttle: Cell::new(throttle),
            seen: RefCell::default(),
            waiting: RefCell::default(),
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
        if let Some(seen) =
            before.filter(|seen| !seen.always && now.duration_since(seen.at) < self.throttle.get())
        {
            debug_assert!(seen.at <= now);
            return;
        }
        // Requests that arrive while the supervisor checks proceed with the previous state.
        let mark =
            Seen { at: now, mtime: before.and_then(|b| b.mtime), always: before.is_some_and(|b| b.always) };
        self.seen.borrow_mut().insert(route.group, mark);
        let Some(found) = self.ask(route).await else {
            return;
        };
        let mtime = found.restart_mtime.or(mark.mtime);
        self.seen.borrow_mut().insert(route.group, Seen { at: now, mtime, always: found.always });
        if is_wanted(before.map(|b| b.mtime), &found) {
            info!("app {}: restarting, as its restart files say", route.name);
            dispatcher.restart(route.group, route.settings.restart_how);
        }
    }

    /// Removes the state of groups that no longer exist.
    pub(crate) fn forget(&self, is_there: impl Fn(GroupId) -> bool) {
        self.seen.borrow_mut().retain(|group, _| is_there(*group));
    }

    fn is_always(&self, route: &Route) -> bool {
        self.seen.borrow().get(&route.group).is_some_and(|seen| seen.always)
    }

    /// Handles the supervisor's result of a check.
    pub(crate) fn found(&self, ticket: Ticket, found: RestartFiles) {
        if let Some(sender) = self.waiting.borrow_mut().remove(&ticket) {
            // The request that asked may have ended.
            let _ = sender.send(found);
        }
    }

    async fn ask(&self, route: &Route) -> Option<RestartFiles> {
        let ticket = self.supervisor.ticket();
        let (sender, answer) = oneshot::channel();
        self.waiting.borrow_mut().insert(ticket, sender);
        let order = Order::LookAtRestartFiles { ticket, dir: route.restart_dir() };
        if self.supervisor.order(&order).is_err() {
            self.waiting.borrow_mut().remove(&ticket);
            return None;
        }
        answer.await.ok()
    }
}

/// Least time between two checks without a request.
const MIN_PAUSE: Duration = Duration::from_secs(1);

/// Checks, until the router ends, the restart files of apps whose restart must not wait for a request.
pub(crate) async fn watch(dispatcher: Rc<Dispatcher>, restarts: Rc<Restarts>) {
    loop {
        let watched = dispatcher.watched();
        if watched.is_empty() {
            dispatcher.watched_appear.notified().await;
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
    let Some(remembered) = before else { return false };
    found.always || (found.restart_mtime.is_some() && found.restart_mtime != remembered)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(before: Option<Option<i128>>, restart_mtime: Option<i128>, always: bool) -> bool {
        is_wanted(before, &RestartFiles { restart_mtime, always })
    }

    #[test]
    fn the_first_look_only_remembers() {
        assert!(!wanted(None, Some(5), false));
        assert!(!wanted(None, Some(5), true));
    }

    #[test]
    fn a_new_time_is_a_restart_and_a_missing_file_is_none() {
        assert!(wanted(Some(None), Some(5), false));
        assert!(wanted(Some(Some(5)), Some(6), false));
        assert!(wanted(Some(Some(5)), Some(4), false));
        assert!(!wanted(Some(Some(5)), Some(5), false));
        assert!(!wanted(Some(Some(5)), None, false));
        assert!(wanted(Some(Some(5)), None, true));
    }
}
