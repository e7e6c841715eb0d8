//! Effects of nginx's configurations on apps: apps that are needed without a request are started, apps that are no
//! longer configured end and are removed.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use protocol::PayloadError;
use protocol::roster::Start;
use protocol::settings::Digest;
use tracing::info;

use super::super::dispatch::Dispatcher;
use super::registry::Registry;
use super::rosters::{Changes, Roster, RosterId};
use crate::app::route::{Described, Route};
use crate::pool::GroupId;

impl Registry {
    /// Starts the app before its first request, under a configuration that nginx read at `configured_ms`.
    pub(crate) fn prestart(
        &mut self,
        start: &Start<'_>,
        configured_ms: u64,
        dispatcher: &Dispatcher,
    ) -> Result<(), PayloadError> {
        let described = Described {
            app: start.app,
            base_uri: start.base_uri,
            server_software: start.server_software,
            digest: Digest::of(start.settings),
            block: start.settings,
        };
        let route = match self.lookup(&described) {
            Some(route) => route,
            None => self.create_route(&described, dispatcher)?,
        };
        self.apply_route(&route, configured_ms, dispatcher);
        dispatcher.update(|pool, now| pool.keep_running(route.group, now));
        Ok(())
    }

    /// Adds the roster of an nginx.
    pub(crate) fn add_roster(&mut self, roster: Roster, dispatcher: &Dispatcher) -> RosterId {
        let (id, changes) = self.rosters.add(roster);
        self.apply_changes(changes, dispatcher);
        self.remove_outdated_routes();
        id
    }

    /// Removes a roster when its nginx or its configuration is gone.
    pub(crate) fn remove_roster(&mut self, roster: RosterId, dispatcher: &Dispatcher) {
        let changes = self.rosters.remove(roster);
        self.apply_changes(changes, dispatcher);
        let groups = &self.groups;
        self.rosters.retain_owners(|app| groups.contains_key(app));
    }

    /// Ends an app for an administrator, even if nginx's configuration contains it: its processes end after their
    /// current requests. The next request creates it again.
    pub(crate) fn remove_app(&mut self, name: &str, dispatcher: &Dispatcher) {
        let Some(group) = self.id_of(name) else { return };
        info!("app {name}: removed by an administrator; its processes end after their requests");
        self.retain_routes(|route| route.group != group);
        dispatcher.set_configured(group, false);
        self.unconfigured.insert(name.to_owned());
        self.remove_unused_apps(dispatcher);
    }

    /// Whether the roster of a connected nginx contains an app of this name.
    pub(crate) fn is_in_roster(&self, name: &str) -> bool {
        self.rosters.contains_app(name)
    }

    /// Removes apps that are no longer configured, once they have no process and no request.
    pub(crate) fn remove_unused_apps(&mut self, dispatcher: &Dispatcher) {
        let is_unused = |name: &String| {
            self.id_of(name).is_none_or(|group| {
                !self.is_pinned(group) && dispatcher.inspect(|pool, _| pool.is_unused(group))
            })
        };
        let names: Vec<_> = self.unconfigured.iter().filter(|name| is_unused(name)).cloned().collect();
        for name in names {
            let Some(group) = self.id_of(&name) else {
                self.unconfigured.remove(&name);
                continue;
            };
            info!("app {name}: removed");
            self.retain_routes(|route| route.group != group);
            self.remove_group(&name, group, dispatcher);
        }
    }

    /// Whether a request has found a route of the group that the pool does not know yet.
    fn is_pinned(&self, group: GroupId) -> bool {
        let mut routes = self.by_digest.values().flat_map(HashMap::values);
        routes.any(|route| route.group == group && route.pins.load(Ordering::SeqCst) > 0)
    }

    fn apply_changes(&mut self, changes: Changes, dispatcher: &Dispatcher) {
        for name in changes.removed {
            if let Some(group) = self.id_of(&name) {
                info!(
                    "app {name}: no longer in nginx's configuration; its processes end after their requests"
                );
                dispatcher.set_configured(group, false);
                self.unconfigured.insert(name);
            }
        }
        for name in changes.restored {
            self.restore_app(&name, dispatcher);
        }
        self.remove_unused_apps(dispatcher);
    }

    /// Restores an app that is configured again before it is removed.
    pub(super) fn restore_app(&mut self, name: &str, dispatcher: &Dispatcher) {
        if self.unconfigured.remove(name)
            && let Some(group) = self.id_of(name)
        {
            info!("app {name}: configured again");
            dispatcher.set_configured(group, true);
        }
    }

    /// Handles a request for an app. One from a worker of nginx that is about to exit does not restore an app.
    pub(super) fn record_request(&mut self, name: &str, configured_ms: u64, dispatcher: &Dispatcher) {
        if self.rosters.observe_request(name, configured_ms) {
            self.restore_app(name, dispatcher);
        } else if let Some(group) = self.id_of(name)
            && self.unconfigured.insert(name.to_owned())
        {
            dispatcher.set_configured(group, false);
        }
    }

    /// Removes routes that only configurations no longer in effect have used.
    fn remove_outdated_routes(&mut self) {
        let Some(oldest) = self.rosters.oldest() else { return };
        let active_routes = std::mem::take(&mut self.active_routes);
        let is_active = |route: &Arc<Route>| {
            active_routes.get(&route.group).is_some_and(|active| active.is_current(route))
        };
        self.retain_routes(|route| route.seen_ms.load(Ordering::Relaxed) >= oldest || is_active(route));
        self.active_routes = active_routes;
    }
}
