//! The tables of routes and groups, and what a request, a roster or a configuration changes in them. `configured.rs` and
//! `expiry.rs` have the removal of apps.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use protocol::PayloadError;
use protocol::request::Request;
use protocol::setting_table;
use protocol::settings::{Digest, Settings};
use tracing::{debug, info};

use super::Found;
use super::configurations::Configurations;
use super::reconfigured::{ActiveRoute, Change};
use super::rosters::Rosters;
use crate::app::route::{Described, HandoverData, Route, RoutePin};
use crate::app::settings::AppSettings;
use crate::dispatch::Dispatcher;
use crate::pool::{ByNumber, GroupId, GroupOptions, RestartHow};

/// One settings block may serve many roots: `root` can contain variables.
type ByRoot = HashMap<Vec<u8>, Arc<Route>>;
/// The routes by the digest of their settings block.
type ByDigest = HashMap<Digest, ByRoot>;

/// All known routes.
#[derive(Debug, Default)]
pub(super) struct Registry {
    /// Settings that apply unless nginx sets them.
    defaults: Settings,
    pub(super) by_digest: ByDigest,
    pub(super) groups: HashMap<String, GroupId>,
    pub(super) active_routes: ByNumber<GroupId, ActiveRoute>,
    pub(super) rosters: Rosters,
    pub(super) configurations: Configurations,
    /// Apps that are no longer configured and not removed yet.
    pub(super) unconfigured: HashSet<String>,
    /// Number of routes, the number at which some expire, and number of requests so far.
    pub(super) count: usize,
    pub(super) expiry_threshold: usize,
    requests: u64,
}

impl Registry {
    /// Creates an empty registry, with these settings unless nginx sets them.
    pub(super) fn new(defaults: Settings) -> Self {
        Self { defaults, ..Self::default() }
    }

    /// Removes a connection. Groups whose configuration ended with it follow what is left.
    pub(super) fn close_configuration(&mut self, configured_ms: u64) {
        let Some(left) = self.configurations.close(configured_ms) else { return };
        let reset = self
            .active_routes
            .iter_mut()
            .filter_map(|(id, group)| group.forget_newer_than(left).then_some(*id));
        reset_times_of(&self.by_digest, &reset.collect());
    }

    /// Returns the request's route, created at first use. nginx read the configuration followed at `configured_ms`.
    pub(super) fn find(
        &mut self,
        request: &Request<'_>,
        configured_ms: u64,
        dispatcher: &Dispatcher,
    ) -> Result<Found, PayloadError> {
        let head = &request.head;
        let described = Described {
            app: head.app,
            base_uri: head.base_uri,
            server_software: head.server_software,
            digest: head.settings_digest,
            block: request.settings,
        };
        self.requests += 1;
        let known = self.lookup(&described);
        let is_current =
            known.as_ref().is_some_and(|route| route.seen_ms.load(Ordering::Relaxed) >= configured_ms);
        let route = match known {
            Some(route) => route,
            None => {
                self.expire(dispatcher);
                self.create_route(&described, dispatcher)?
            }
        };
        route.used.store(self.requests, Ordering::Relaxed);
        if !is_current {
            self.apply_route(&route, configured_ms, dispatcher);
            self.record_request(&route.name, configured_ms, dispatcher);
        }
        let other_kind = self.active_routes.get(&route.group).and_then(|active| active.other_kind(&route));
        let pin = RoutePin::new(route.clone());
        Ok(Found { route, other_kind, pin })
    }

    /// Restores the route of a process that an earlier router started.
    pub(super) fn restore_route(
        &mut self,
        data: &HandoverData,
        dispatcher: &Dispatcher,
    ) -> Result<Arc<Route>, PayloadError> {
        let described = data.describes();
        if let Some(route) = self.lookup(&described) {
            return Ok(route);
        }
        let route = self.create_route(&described, dispatcher)?;
        // The processes of an earlier router are kept: none is replaced yet.
        self.observe(&route, data.configured_ms());
        dispatcher.update(|pool, now| pool.set_options(route.group, route.settings.group_options(), now));
        if self.active_routes.get(&route.group).is_some_and(|active| active.is_current(&route)) {
            dispatcher.set_route(route.group, route.clone());
        }
        Ok(route)
    }

    /// Updates the route's group if the configuration is newer than the one that it follows.
    pub(super) fn apply_route(&mut self, route: &Arc<Route>, configured_ms: u64, dispatcher: &Dispatcher) {
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

    pub(super) fn observe(&mut self, route: &Arc<Route>, configured_ms: u64) -> Change {
        let Some(active) = self.active_routes.get_mut(&route.group) else {
            self.active_routes.insert(route.group, ActiveRoute::new(route.clone(), configured_ms));
            return Change::None;
        };
        // An earlier router may have followed a configuration that no connection follows.
        let newest = self.configurations.newest();
        if configured_ms > 0 && newest.is_some_and(|newest| active.forget_newer_than(newest)) {
            reset_times_of(&self.by_digest, &HashSet::from([route.group]));
        }
        active.observe(route, configured_ms)
    }

    /// Returns the name and the number of every group.
    pub(super) fn groups(&self) -> Vec<(String, GroupId)> {
        self.groups.iter().map(|(name, id)| (name.clone(), *id)).collect()
    }

    /// Returns the number of the group of this name.
    pub(super) fn id_of(&self, name: &str) -> Option<GroupId> {
        self.groups.get(name).copied()
    }

    pub(super) fn lookup(&self, described: &Described<'_>) -> Option<Arc<Route>> {
        let route = self.by_digest.get(&described.digest)?.get(described.app.root)?;
        route.is(described).then(|| route.clone())
    }

    pub(super) fn create_route(
        &mut self,
        described: &Described<'_>,
        dispatcher: &Dispatcher,
    ) -> Result<Arc<Route>, PayloadError> {
        let mut block = self.defaults.clone();
        for (name, value) in Settings::decode(described.block)?.iter() {
            block.set(name, value.clone());
        }
        let (settings, unknown) = AppSettings::from_block(&block);
        let name = String::from_utf8_lossy(described.app.group);
        log_ignored(&name, unknown);
        let group = self.group(&name, settings.group_options(), dispatcher);
        let route = Arc::new(Route::new(group, dispatcher.metrics(group), described, settings));
        route.used.store(self.requests, Ordering::Relaxed);
        let by_root = self.by_digest.entry(Digest::of(described.block)).or_default();
        if by_root.insert(described.app.root.to_vec(), route.clone()).is_none() {
            self.count += 1;
        }
        Ok(route)
    }

    /// Removes all other routes.
    pub(super) fn retain_routes(&mut self, keep: impl Fn(&Arc<Route>) -> bool) {
        self.by_digest.retain(|_, by_root| {
            by_root.retain(|_, route| keep(route));
            !by_root.is_empty()
        });
        self.count = self.by_digest.values().map(HashMap::len).sum();
    }

    /// Removes an app, except for its routes.
    pub(super) fn remove_group(&mut self, name: &str, group: GroupId, dispatcher: &Dispatcher) {
        self.groups.remove(name);
        self.unconfigured.remove(name);
        self.active_routes.remove(&group);
        dispatcher.remove_group(group);
    }

    pub(super) fn group(&mut self, name: &str, options: GroupOptions, dispatcher: &Dispatcher) -> GroupId {
        *self.groups.entry(name.to_owned()).or_insert_with(|| dispatcher.add_group(options))
    }
}

/// Forgets when requests used the routes of these groups.
fn reset_times_of(by_digest: &ByDigest, groups: &HashSet<GroupId>) {
    let routes = by_digest.values().flat_map(HashMap::values);
    let of_groups = routes.filter(|route| groups.contains(&route.group));
    of_groups.for_each(|route| route.seen_ms.store(0, Ordering::Relaxed));
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
        let (mut routes, dispatcher) = (Registry::default(), Dispatcher::new(limits));
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
        assert_eq!(routes.count, 1);
    }
}
