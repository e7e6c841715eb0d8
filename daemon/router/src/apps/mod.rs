//! Registry of applications: routes by settings digest and root, groups by name.
//!
//! The hot path is one lookup by digest and one by root. The result of parsing a settings block is kept; a request with
//! another block for the same group updates the group.

mod configurations;
pub(crate) mod configured;
mod expiry;
pub(crate) mod maintenance;
pub(crate) mod reconfigured;
mod rosters;

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use protocol::PayloadError;
use protocol::request::{AppKind, Request};
use protocol::setting_table;
use protocol::settings::{Digest, Settings};
use tracing::{debug, info};

use self::configurations::Configurations;
use self::rosters::Rosters;
pub(crate) use self::rosters::{Roster, RosterId};
use super::app::route::{Described, HandoverData, Route};
use super::app::settings::AppSettings;
use super::dispatch::Dispatcher;
use super::pool::{GroupId, GroupOptions, RestartHow};
use common::config::AppDefault;
use reconfigured::{ActiveRoute, Change};

/// One settings block may serve many roots: `root` can contain variables.
type ByRoot = HashMap<Vec<u8>, Rc<Route>>;

/// A configuration of nginx that a connection follows, for as long as the connection is open.
#[derive(Debug)]
pub(crate) struct OpenConfiguration {
    routes: Rc<Routes>,
    /// When nginx read it, in milliseconds since 1970; never in the future.
    pub(crate) configured_ms: u64,
}

/// All known routes.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    /// Settings that apply unless nginx sets them.
    defaults: Settings,
    by_digest: RefCell<HashMap<Digest, ByRoot>>,
    groups: RefCell<HashMap<String, GroupId>>,
    active_routes: RefCell<HashMap<GroupId, ActiveRoute>>,
    rosters: RefCell<Rosters>,
    configurations: RefCell<Configurations>,
    /// Apps that are no longer configured and not removed yet.
    unconfigured: RefCell<HashSet<String>>,
    /// Number of routes, the number at which some expire, and number of requests so far.
    count: Cell<usize>,
    expiry_threshold: Cell<usize>,
    requests: Cell<u64>,
    /// Size of the app names in nginx's rosters, in bytes.
    pub(crate) announced: Cell<usize>,
}

impl Routes {
    /// Creates an empty registry, with these settings unless nginx sets them.
    pub(crate) fn new(defaults: &[AppDefault]) -> Self {
        let mut settings = Settings::new();
        defaults.iter().for_each(|default| settings.set(&default.name, default.value.clone()));
        Self { defaults: settings, ..Self::default() }
    }

    /// Adds a connection. nginx reports that it read the configuration at `received_ms`, in milliseconds since 1970.
    pub(crate) fn open_configuration(self: Rc<Self>, received_ms: u64, now_ms: u64) -> OpenConfiguration {
        let configured_ms = self.configurations.borrow_mut().open(received_ms, now_ms);
        OpenConfiguration { routes: self, configured_ms }
    }

    /// Removes a connection. Groups whose configuration ended with it follow what is left.
    fn close_configuration(&self, configured_ms: u64) {
        let Some(left) = self.configurations.borrow_mut().close(configured_ms) else { return };
        let mut active_routes = self.active_routes.borrow_mut();
        let reset =
            active_routes.iter_mut().filter_map(|(id, group)| group.forget_newer_than(left).then_some(*id));
        self.reset_times_of(&reset.collect());
    }

    fn reset_times_of(&self, groups: &HashSet<GroupId>) {
        let by_digest = self.by_digest.borrow();
        let routes = by_digest.values().flat_map(HashMap::values);
        routes.filter(|route| groups.contains(&route.group)).for_each(|route| route.seen_ms.set(0));
    }

    /// Returns the request's route, created at first use. nginx read the configuration followed at `configured_ms`.
    pub(crate) fn find(
        &self,
        request: &Request<'_>,
        configured_ms: u64,
        dispatcher: &Dispatcher,
    ) -> Result<Rc<Route>, PayloadError> {
        let head = &request.head;
        let described = Described {
            app: head.app,
            base_uri: head.base_uri,
            server_software: head.server_software,
            digest: head.settings_digest,
            block: request.settings,
        };
        self.requests.set(self.requests.get() + 1);
        let known = self.lookup(&described);
        let is_current = known.as_ref().is_some_and(|route| route.seen_ms.get() >= configured_ms);
        let route = match known {
            Some(route) => route,
            None => {
                self.expire(dispatcher);
                self.create_route(&described, dispatcher)?
            }
        };
        route.used.set(self.requests.get());
        if !is_current {
            self.apply_route(&route, configured_ms, dispatcher);
            self.record_request(&route.name, configured_ms, dispatcher);
        }
        Ok(route)
    }

    /// Restores the route of a process that an earlier router started.
    pub(crate) fn restore_route(
        &self,
        data: &HandoverData,
        dispatcher: &Dispatcher,
    ) -> Result<Rc<Route>, PayloadError> {
        let described = data.describes();
        if let Some(route) = self.lookup(&described) {
            return Ok(route);
        }
        let route = self.create_route(&described, dispatcher)?;
        // The processes of an earlier router are kept: none is replaced yet.
        self.observe(&route, data.configured_ms());
        dispatcher.update(|pool, now| pool.set_options(route.group, route.settings.group_options(), now));
        let active_routes = self.active_routes.borrow();
        if active_routes.get(&route.group).is_some_and(|active| active.is_current(&route)) {
            dispatcher.set_route(route.group, route.clone());
        }
        Ok(route)
    }

    /// Updates the route's group if the configuration is newer than the one that it follows.
    fn apply_route(&self, route: &Rc<Route>, configured_ms: u64, dispatcher: &Dispatcher) {
        let change = self.observe(route, configured_ms);
        dispatcher.update(|pool, now| pool.set_options(route.group, route.settings.group_options(), now));
        match change {
            Change::None => dispatcher.set_route(route.group, route.clone()),
            Change::Alternate => debug!("app {}: locations configure it in different ways", route.name),
            Change::Restart => {
                info!("app {}: its configuration has changed; replacing its processes", route.name);
                dispatcher.set_route(route.group, route.clone());
                dispatcher.restart(route.group, RestartHow::Rolling);
            }
        }
    }

    /// Returns the kind of the group's processes, if the newest configuration has both this route and one of another
    /// kind, with which they are started.
    pub(crate) fn other_kind(&self, route: &Route) -> Option<AppKind> {
        self.active_routes.borrow().get(&route.group)?.other_kind(route)
    }

    fn observe(&self, route: &Rc<Route>, configured_ms: u64) -> Change {
        let mut active_routes = self.active_routes.borrow_mut();
        let Some(active) = active_routes.get_mut(&route.group) else {
            active_routes.insert(route.group, ActiveRoute::new(route.clone(), configured_ms));
            return Change::None;
        };
        // An earlier router may have followed a configuration that no connection follows.
        let newest = self.configurations.borrow().newest();
        if configured_ms > 0 && newest.is_some_and(|newest| active.forget_newer_than(newest)) {
            self.reset_times_of(&HashSet::from([route.group]));
        }
        active.observe(route, configured_ms)
    }

    /// Returns the name and the number of every group.
    pub(crate) fn groups(&self) -> Vec<(String, GroupId)> {
        let mut all: Vec<_> = self.groups.borrow().iter().map(|(name, id)| (name.clone(), *id)).collect();
        all.sort();
        all
    }

    /// Returns the number of the group of this name.
    pub(crate) fn id_of(&self, name: &str) -> Option<GroupId> {
        self.groups.borrow().get(name).copied()
    }

    fn lookup(&self, described: &Described<'_>) -> Option<Rc<Route>> {
        let routes = self.by_digest.borrow();
        let route = routes.get(&described.digest)?.get(described.app.root)?;
        route.is(described).then(|| route.clone())
    }

    fn create_route(
        &self,
        described: &Described<'_>,
        dispatcher: &Dispatcher,
    ) -> Result<Rc<Route>, PayloadError> {
        let mut block = self.defaults.clone();
        for (name, value) in Settings::decode(described.block)?.iter() {
            block.set(name, value.clone());
        }
        let (settings, unknown) = AppSettings::from_block(&block);
        let name = String::from_utf8_lossy(described.app.group);
        log_ignored(&name, unknown);
        let group = self.group(&name, settings.group_options(), dispatcher);
        let route = Rc::new(Route::new(group, described, settings));
        route.used.set(self.requests.get());
        let mut routes = self.by_digest.borrow_mut();
        let by_root = routes.entry(Digest::of(described.block)).or_default();
        if by_root.insert(described.app.root.to_vec(), route.clone()).is_none() {
            self.count.set(self.count.get() + 1);
        }
        Ok(route)
    }

    /// Removes all other routes.
    fn retain_routes(&self, keep: impl Fn(&Rc<Route>) -> bool) {
        let mut by_digest = self.by_digest.borrow_mut();
        by_digest.retain(|_, by_root| {
            by_root.retain(|_, route| keep(route));
            !by_root.is_empty()
        });
        self.count.set(by_digest.values().map(HashMap::len).sum());
    }

    /// Removes an app, except for its routes.
    fn remove_group(&self, name: &str, group: GroupId, dispatcher: &Dispatcher) {
        self.groups.borrow_mut().remove(name);
        self.unconfigured.borrow_mut().remove(name);
        self.active_routes.borrow_mut().remove(&group);
        dispatcher.remove_group(group);
    }

    fn group(&self, name: &str, options: GroupOptions, dispatcher: &Dispatcher) -> GroupId {
        let mut groups = self.groups.borrow_mut();
        *groups.entry(name.to_owned()).or_insert_with(|| dispatcher.add_group(options))
    }
}

impl Drop for OpenConfiguration {
    fn drop(&mut self) {
        self.routes.close_configuration(self.configured_ms);
    }
}

/// Returns why a setting has no effect.
fn ignored_reason(name: &str) -> Option<&'static str> {
    setting_table::find(name)?.ignored
}

fn log_ignored(app: &str, unknown: Vec<String>) {
    let (ignored, unsupported): (Vec<_>, Vec<_>) =
        unknown.into_iter().partition(|name| ignored_reason(name).is_some());
    for name in ignored {
        info!("app {app}: passenger_{name} has no effect: {}", ignored_reason(&name).unwrap_or_default());
    }
    if !unsupported.is_empty() {
        info!("app {app}: settings that have no effect in this release: {}", unsupported.join(", "));
    }
}

#[cfg(test)]
mod tests {
    use protocol::request::{AppKind, AppRef};

    use super::*;
    use crate::pool::Limits;

    #[test]
    fn a_route_that_replaces_another_is_not_counted_twice() {
        let limits = Limits { max_processes: 1, max_per_group: 0, max_starting: 1, idle_after: None };
        let (routes, dispatcher) = (Routes::default(), Dispatcher::new(limits));
        let block = Settings::new().encode().unwrap();
        for base_uri in [b"/a", b"/b", b"/a"] {
            let described = Described {
                app: AppRef { group: b"app", root: b"/srv", kind: AppKind::Ruby, start_command: b"" },
                base_uri,
                server_software: b"",
                digest: Digest::of(&block),
                block: &block,
            };
            assert!(routes.lookup(&described).is_none());
            routes.create_route(&described, &dispatcher).unwrap();
        }
        assert_eq!(routes.count.get(), 1);
    }
}
