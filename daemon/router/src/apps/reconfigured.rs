//! Detection of changes in nginx's configuration of an app, after which its processes must be replaced.
//!
//! Two locations may describe one app in two ways. Neither is a change of the other: both are in one configuration, or
//! were in the previous one. This module starts nothing and does not use the pool.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use protocol::request::AppKind;

use crate::app::route::Route;

/// The configuration that one group follows.
#[derive(Debug)]
pub(crate) struct ActiveRoute {
    /// The route with which its processes are started.
    current: Arc<Route>,
    /// When nginx read the newest configuration that had a request for it, in milliseconds since 1970.
    newest: u64,
    /// The same for the previous configuration.
    before: u64,
    /// Whether the configuration that determined `current` is gone: the next request determines it.
    undetermined: bool,
}

/// The effect of a request's route on the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// None: a process started with it equals the current ones.
    None,
    /// The configuration has changed: every process must be replaced.
    Restart,
    /// Another location describes the app in another way.
    Alternate,
}

impl ActiveRoute {
    pub(crate) fn new(route: Arc<Route>, configured_ms: u64) -> Self {
        route.seen_ms.store(configured_ms, Ordering::Relaxed);
        Self { current: route, newest: configured_ms, before: 0, undetermined: false }
    }

    /// Whether the group's processes are started with this route.
    pub(crate) fn is_current(&self, route: &Arc<Route>) -> bool {
        Arc::ptr_eq(&self.current, route)
    }

    /// Returns the kind of the group's app, if it differs from the route's and one configuration has both. The kind of
    /// an app may change with its files; in another directory it is another app.
    pub(crate) fn other_kind(&self, route: &Route) -> Option<AppKind> {
        let both_are_configured = route.seen_ms.load(Ordering::Relaxed) >= self.newest;
        let is_other = self.current.kind != route.kind && self.current.root != route.root;
        (is_other && both_are_configured).then_some(self.current.kind)
    }

    /// Records that no configuration newer than this time is left. Returns true if the group followed one: it then
    /// forgets all times, as its routes must, and the next request determines what its processes are started with.
    pub(crate) fn forget_newer_than(&mut self, configured_ms: u64) -> bool {
        let follows_it = self.newest > configured_ms;
        self.undetermined |= follows_it;
        follows_it
    }

    /// Records a request that used this route, under a configuration that nginx read at `configured_ms`.
    pub(crate) fn observe(&mut self, route: &Arc<Route>, configured_ms: u64) -> Change {
        if self.undetermined {
            (self.newest, self.before, self.undetermined) = (configured_ms, 0, false);
            route.seen_ms.store(configured_ms, Ordering::Relaxed);
            return self.replace(route);
        }
        let seen = route.seen_ms.load(Ordering::Relaxed);
        route.seen_ms.store(seen.max(configured_ms), Ordering::Relaxed);
        if configured_ms > self.newest {
            (self.before, self.newest) = (self.newest, configured_ms);
        }
        if route.starts_as(&self.current) {
            return self.replace(route);
        }
        // An old worker of nginx still sends requests of the previous configuration.
        if configured_ms < self.newest {
            return Change::Alternate;
        }
        // Two locations of one configuration, or of the previous one: the other may only not have had a request yet. A
        // route without a request since the previous configuration is no longer configured.
        let is_beside = seen >= self.before && self.current.seen_ms.load(Ordering::Relaxed) >= self.before;
        if is_beside || self.current.seen_ms.load(Ordering::Relaxed) >= configured_ms {
            return Change::Alternate;
        }
        self.replace(route)
    }

    fn replace(&mut self, route: &Arc<Route>) -> Change {
        let before = std::mem::replace(&mut self.current, route.clone());
        if before.starts_as(route) { Change::None } else { Change::Restart }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(ruby: &str) -> Arc<Route> {
        Arc::new(Route::for_test(ruby))
    }

    #[test]
    fn a_newer_configuration_that_differs_is_a_change() {
        let (old, new) = (route("ruby2"), route("ruby3"));
        let mut active = ActiveRoute::new(old.clone(), 1);
        assert_eq!(active.observe(&old, 2), Change::None, "a reload alone is not a change");
        assert_eq!(active.observe(&new, 3), Change::Restart);
        assert_eq!(active.observe(&new, 3), Change::None);
        assert_eq!(active.observe(&old, 2), Change::Alternate, "from a worker that is about to exit");
        assert_eq!(active.observe(&new, 4), Change::None);
        assert_eq!(active.observe(&old, 5), Change::Restart, "and back");
    }

    #[test]
    fn two_locations_of_one_configuration_are_not_a_change() {
        let (one, other) = (route("ruby2"), route("ruby3"));
        let mut active = ActiveRoute::new(one.clone(), 1);
        for configured in 1..5 {
            assert_eq!(active.observe(&other, configured), Change::Alternate);
            assert_eq!(active.observe(&one, configured), Change::None);
        }
    }

    #[test]
    fn a_module_that_sends_no_time_changes_nothing() {
        let mut active = ActiveRoute::new(route("ruby2"), 0);
        assert_eq!(active.observe(&route("ruby3"), 0), Change::Alternate);
    }

    #[test]
    fn a_route_unused_by_two_configurations_is_replaced() {
        let (dropped, kept) = (route("ruby2"), route("ruby3"));
        let mut active = ActiveRoute::new(dropped.clone(), 1);
        assert_eq!(active.observe(&kept, 1), Change::Alternate);
        assert_eq!(active.observe(&kept, 2), Change::Alternate, "the other may not have had a request yet");
        assert_eq!(active.observe(&kept, 3), Change::Restart);
        assert_eq!(active.observe(&dropped, 2), Change::Alternate, "from a worker that is about to exit");
    }

    #[test]
    fn a_route_used_by_the_same_configuration_is_not_replaced() {
        let (one, other) = (route("ruby2"), route("ruby3"));
        let mut active = ActiveRoute::new(route("ruby1"), 1);
        assert_eq!(active.observe(&one, 2), Change::Restart);
        assert_eq!(active.observe(&other, 2), Change::Alternate, "both cannot have replaced the one before");
    }

    #[test]
    fn after_a_forged_configuration_the_real_one_applies_again() {
        let (real, forged) = (route("ruby2"), route("ruby3"));
        let mut active = ActiveRoute::new(real.clone(), 100);
        assert_eq!(active.observe(&forged, 500), Change::Restart);
        assert_eq!(active.observe(&real, 100), Change::Alternate);
        assert_eq!(active.observe(&real, 600), Change::Restart, "after a reload");

        assert_eq!(active.observe(&forged, 700), Change::Restart);
        assert!(active.forget_newer_than(600), "its connection ends");
        [&real, &forged].into_iter().for_each(|route| route.seen_ms.store(0, Ordering::Relaxed));
        assert_eq!(active.observe(&real, 600), Change::Restart, "without a reload");
        assert!(!active.forget_newer_than(600));
    }

    #[test]
    fn a_restored_route_is_replaced_by_a_newer_configuration() {
        let (restored, new) = (route("ruby2"), route("ruby3"));
        let mut active = ActiveRoute::new(restored.clone(), 500);
        assert_eq!(active.observe(&new, 100), Change::Alternate);
        assert_eq!(active.observe(&new, 600), Change::Restart);
    }
}
