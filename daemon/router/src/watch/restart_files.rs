//! Checks of `restart.txt` and `always_restart.txt`: when the supervisor reports a change of their directory, and on
//! requests, at most once per throttle interval and app, as not every change can be noticed.
//!
//! The first check only records the state. Later, another modification time (even an older one) or a new file causes a
//! restart. A removed file does not, nor does one that reappears with the same modification time.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::spawn_local;
use tracing::info;

use crate::app::route::Route;
use crate::dispatch::Dispatcher;
use crate::lock::Lock;
use crate::pool::{ByNumber, GroupId};
use crate::supervisor_link::{PendingOrders, Supervisor};
use common::link::{Order, RestartFiles};

/// The recorded state of each app's restart files.
#[derive(Debug)]
pub(crate) struct Restarts {
    throttle: Lock<Duration>,
    seen: Lock<ByNumber<GroupId, Seen>>,
    /// Directories that have changed and are not checked yet.
    changed: Lock<HashSet<PathBuf>>,
    change: Notify,
    pub(crate) pending: PendingOrders<RestartFiles>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    at: Instant,
    /// The last modification time of `restart.txt`; the outer `None` until the first check is answered.
    mtime: Option<Option<i128>>,
    always: bool,
}

/// What a check is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    Request,
    /// A reported change, or a process that is started without a request.
    Change,
}

impl Restarts {
    pub(crate) fn new(supervisor: Arc<Supervisor>, throttle: Duration) -> Self {
        Self {
            throttle: Lock::new(throttle),
            seen: Lock::default(),
            changed: Lock::default(),
            change: Notify::new(),
            pending: PendingOrders::new(supervisor),
        }
    }

    /// Changes the least time between two checks.
    pub(crate) fn set_throttle(&self, throttle: Duration) {
        *self.throttle.lock() = throttle;
    }

    /// Restarts the app if its files require it. To be called when a check [`Self::is_due`].
    pub(crate) async fn check(&self, route: &Route, dispatcher: &Dispatcher) {
        self.check_now(route, dispatcher, Cause::Request).await;
    }

    /// Whether the app's files are to be checked. Costs nearly nothing: every request asks.
    pub(crate) fn is_due(&self, group: GroupId, now: Instant) -> bool {
        let seen = self.seen.lock();
        let is_recent = |seen: &Seen| now.saturating_duration_since(seen.at) < *self.throttle.lock();
        seen.get(&group).is_none_or(|seen| seen.always || !is_recent(seen))
    }

    async fn check_now(&self, route: &Route, dispatcher: &Dispatcher, cause: Cause) {
        let now = Instant::now();
        let unknown = Seen { at: now, mtime: None, always: false };
        // Requests that arrive while the supervisor checks proceed with the previous state.
        self.seen.lock().entry(route.group).or_insert(unknown).at = now;
        let order = |ticket| Order::CheckRestartFiles { ticket, dir: route.restart_dir() };
        let Some(found) = self.pending.result_of(order).await else { return };
        // Another check may have been answered meanwhile, whose restart is not repeated.
        let recorded = self.record(route.group, now, &found);
        if is_wanted(recorded, &found, cause) {
            info!("app {}: restarting, as its restart files require", route.name);
            dispatcher.restart(route.group, route.settings.restart_how());
        }
    }

    /// Records what a check has found; returns the modification time that was recorded before.
    fn record(&self, group: GroupId, at: Instant, found: &RestartFiles) -> Option<Option<i128>> {
        let mut all = self.seen.lock();
        let recorded = all.get(&group).and_then(|seen| seen.mtime);
        let mtime = found.restart_mtime.or(recorded.flatten());
        all.insert(group, Seen { at, mtime: Some(mtime), always: found.always });
        recorded
    }

    /// Records that the restart files in this directory may have changed.
    pub(crate) fn changed(&self, dir: PathBuf) {
        self.changed.lock().insert(dir);
        self.change.notify_one();
    }

    /// Returns the apps to be checked without a request: those whose files may have changed, and those with processes
    /// that were never checked.
    fn take_due(&self, dispatcher: &Dispatcher) -> Vec<Arc<Route>> {
        let changed = std::mem::take(&mut *self.changed.lock());
        let mut running = dispatcher.running();
        running.retain(|route| {
            let is_new = !self.seen.lock().contains_key(&route.group);
            is_new || (!changed.is_empty() && changed.contains(&route.restart_dir()))
        });
        running
    }

    /// Removes the state of groups that no longer exist.
    pub(crate) fn retain(&self, exists: impl Fn(GroupId) -> bool) {
        self.seen.lock().retain(|group, _| exists(*group));
    }

    fn is_always(&self, route: &Route) -> bool {
        self.seen.lock().get(&route.group).is_some_and(|seen| seen.always)
    }
}

/// Least time between two checks without a request.
const MIN_PAUSE: Duration = Duration::from_secs(1);

/// Checks, until the router ends, the restart files of apps whose restart must not wait for a request.
pub(crate) async fn watch(dispatcher: Arc<Dispatcher>, restarts: Arc<Restarts>) {
    loop {
        let watched = dispatcher.watched();
        if watched.is_empty() {
            dispatcher.check_sooner.notified().await;
            continue;
        }
        // An app that is restarted for each request is not restarted without one.
        for route in watched.into_iter().filter(|route| !restarts.is_always(route)) {
            if restarts.is_due(route.group, Instant::now()) {
                restarts.check(&route, &dispatcher).await;
            }
        }
        let pause = (*restarts.throttle.lock()).max(MIN_PAUSE);
        tokio::time::sleep(pause).await;
    }
}

/// Pause between a notification and the checks: `touch` creates a file and then sets its time, which is one restart, and
/// many processes may become ready at a time.
const SETTLE: Duration = Duration::from_millis(100);

/// Checks, until the router ends, the restart files of apps at once when they have changed.
pub(crate) async fn follow_changes(dispatcher: Arc<Dispatcher>, restarts: Arc<Restarts>) {
    loop {
        // Notifications count from here.
        let (change, process) = (restarts.change.notified(), dispatcher.check_sooner.notified());
        let due = restarts.take_due(&dispatcher);
        if due.is_empty() {
            tokio::select! {
                () = change => {}
                () = process => {}
            }
            tokio::time::sleep(SETTLE).await;
            continue;
        }
        for route in due {
            let (dispatcher, restarts) = (dispatcher.clone(), restarts.clone());
            // A file system that hangs delays no other app.
            spawn_local(async move { restarts.check_now(&route, &dispatcher, Cause::Change).await });
        }
        tokio::time::sleep(MIN_PAUSE).await;
    }
}

/// Whether a restart is required; `before` is what the last check recorded, `None` at the first check. An app that is
/// restarted for each request is not restarted without one.
fn is_wanted(before: Option<Option<i128>>, found: &RestartFiles, cause: Cause) -> bool {
    let Some(recorded) = before else { return false };
    (found.always && cause == Cause::Request)
        || (found.restart_mtime.is_some() && found.restart_mtime != recorded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(before: Option<Option<i128>>, restart_mtime: Option<i128>, always: bool) -> bool {
        is_wanted(before, &RestartFiles { restart_mtime, always }, Cause::Request)
    }

    #[test]
    fn an_app_that_is_restarted_for_each_request_is_not_restarted_without_one() {
        let found = RestartFiles { restart_mtime: Some(5), always: true };
        assert!(!is_wanted(Some(Some(5)), &found, Cause::Change));
        assert!(is_wanted(Some(Some(4)), &found, Cause::Change));
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
