//! Which of nginx's configurations an app's processes follow: routes with the time of their configuration come in, and
//! whether processes have to be replaced goes out.
//!
//! Two locations may describe one app in two ways. Neither is a change of the other: both stand in one configuration, or
//! stood in the one before. It starts nothing and knows no pool.

use std::rc::Rc;

use protocol::request::AppKind;

use super::super::route::Route;

/// What one group was last told by nginx.
#[derive(Debug)]
pub(crate) struct Followed {
    /// What its processes are started with.
    current: Rc<Route>,
    /// When nginx read the newest configuration that had a request for it, in milliseconds since 1970.
    newest: u64,
    /// The same of the one before.
    before: u64,
}

/// What a request's route means for the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum News {
    /// Nothing: processes that are started with it are what they would be anyway.
    Same,
    /// The configuration has changed: every process is to be replaced.
    Changed,
    /// Another location describes the app in another way.
    Beside,
}

impl Followed {
    pub(crate) fn new(route: Rc<Route>, configured_ms: u64) -> Self {
        route.seen_ms.set(configured_ms);
        Self { current: route, newest: configured_ms, before: 0 }
    }

    /// Its processes are started with this route.
    pub(crate) fn is_current(&self, route: &Rc<Route>) -> bool {
        Rc::ptr_eq(&self.current, route)
    }

    /// The kind of the group's app, if it is another one than the route's although one configuration has both. The type of
    /// one app may change with its files; it is another app if it lies in another directory.
    pub(crate) fn other_kind(&self, route: &Route) -> Option<AppKind> {
        let both_are_configured = route.seen_ms.get() >= self.newest;
        let is_other = self.current.kind != route.kind && self.current.root != route.root;
        (is_other && both_are_configured).then_some(self.current.kind)
    }

    /// A request has come by this route, under a configuration that nginx read at this time.
    pub(crate) fn hear(&mut self, route: &Rc<Route>, configured_ms: u64) -> News {
        let seen = route.seen_ms.get();
        route.seen_ms.set(seen.max(configured_ms));
        if configured_ms > self.newest {
            (self.before, self.newest) = (self.newest, configured_ms);
        }
        if route.starts_as(&self.current) {
            self.current = route.clone();
            return News::Same;
        }
        // An old worker of nginx still speaks for the configuration that is gone.
        if seen >= self.before || configured_ms < self.newest {
            return News::Beside;
        }
        self.current = route.clone();
        News::Changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(ruby: &str) -> Rc<Route> {
        Rc::new(Route::for_test(ruby))
    }

    #[test]
    fn a_newer_configuration_that_says_otherwise_is_a_change() {
        let (old, new) = (route("ruby2"), route("ruby3"));
        let mut followed = Followed::new(old.clone(), 1);
        assert_eq!(followed.hear(&old, 2), News::Same, "a reload alone is none");
        assert_eq!(followed.hear(&new, 3), News::Changed);
        assert_eq!(followed.hear(&new, 3), News::Same);
        assert_eq!(followed.hear(&old, 2), News::Beside, "from a worker that is about to go");
        assert_eq!(followed.hear(&new, 4), News::Same);
        assert_eq!(followed.hear(&old, 5), News::Changed, "and back");
    }

    #[test]
    fn two_locations_of_one_configuration_are_no_change_of_each_other() {
        let (one, other) = (route("ruby2"), route("ruby3"));
        let mut followed = Followed::new(one.clone(), 1);
        for configured in 1..5 {
            assert_eq!(followed.hear(&other, configured), News::Beside);
            assert_eq!(followed.hear(&one, configured), News::Same);
        }
    }

    #[test]
    fn a_module_that_tells_no_time_changes_nothing() {
        let mut followed = Followed::new(route("ruby2"), 0);
        assert_eq!(followed.hear(&route("ruby3"), 0), News::Beside);
    }
}
