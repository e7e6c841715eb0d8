//! Registry of applications: routes by settings digest and root, groups by name.
//!
//! The hot path is one lookup by digest and one by root. The result of parsing a settings block is kept; a request with
//! another block for the same group updates the group. All threads share one registry: a change of it is one step for
//! the others. The registry calls the dispatcher, never the reverse.

mod configurations;
pub(crate) mod configured;
mod expiry;
pub(crate) mod maintenance;
pub(crate) mod reconfigured;
mod registry;
mod rosters;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use protocol::PayloadError;
use protocol::request::{AppKind, Request};
use protocol::roster::Start;
use protocol::settings::Settings;

use self::registry::Registry;
pub(crate) use self::rosters::{Roster, RosterId};
use super::app::route::{HandoverData, Route, RoutePin};
use super::dispatch::Dispatcher;
use super::lock::Lock;
use super::pool::GroupId;
use common::config::AppDefault;

/// A configuration of nginx that a connection follows, for as long as the connection is open.
#[derive(Debug)]
pub(crate) struct OpenConfiguration {
    routes: Arc<Routes>,
    /// When nginx read it, in milliseconds since 1970; never in the future.
    pub(crate) configured_ms: u64,
}

/// A request's route.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) route: Arc<Route>,
    /// The kind of the group's processes, if the newest configuration has both this route and one of another kind, with
    /// which they are started.
    pub(crate) other_kind: Option<AppKind>,
    /// To be dropped when the pool knows the request.
    pub(crate) pin: RoutePin,
}

/// All known routes, for all threads.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    registry: Lock<Registry>,
    /// Size of the app names in nginx's rosters, in bytes.
    pub(crate) announced: AtomicUsize,
}

impl Routes {
    /// Creates an empty registry, with these settings unless nginx sets them.
    pub(crate) fn new(defaults: &[AppDefault]) -> Self {
        let mut settings = Settings::new();
        defaults.iter().for_each(|default| settings.set(&default.name, default.value.clone()));
        Self { registry: Lock::new(Registry::new(settings)), announced: AtomicUsize::new(0) }
    }

    /// Adds a connection. nginx reports that it read the configuration at `received_ms`, in milliseconds since 1970.
    pub(crate) fn open_configuration(self: Arc<Self>, received_ms: u64, now_ms: u64) -> OpenConfiguration {
        let configured_ms = self.registry.lock().configurations.open(received_ms, now_ms);
        OpenConfiguration { routes: self, configured_ms }
    }

    /// Returns the request's route, created at first use. nginx read the configuration followed at `configured_ms`.
    pub(crate) fn find(
        &self,
        request: &Request<'_>,
        configured_ms: u64,
        dispatcher: &Dispatcher,
    ) -> Result<Found, PayloadError> {
        self.registry.lock().find(request, configured_ms, dispatcher)
    }

    /// Restores the route of a process that an earlier router started.
    pub(crate) fn restore_route(
        &self,
        data: &HandoverData,
        dispatcher: &Dispatcher,
    ) -> Result<Arc<Route>, PayloadError> {
        self.registry.lock().restore_route(data, dispatcher)
    }

    /// Starts the app before its first request, under a configuration that nginx read at `configured_ms`.
    pub(crate) fn prestart(
        &self,
        start: &Start<'_>,
        configured_ms: u64,
        dispatcher: &Dispatcher,
    ) -> Result<(), PayloadError> {
        self.registry.lock().prestart(start, configured_ms, dispatcher)
    }

    /// Adds the roster of an nginx.
    pub(crate) fn add_roster(&self, roster: Roster, dispatcher: &Dispatcher) -> RosterId {
        self.registry.lock().add_roster(roster, dispatcher)
    }

    /// Removes a roster when its nginx or its configuration is gone.
    pub(crate) fn remove_roster(&self, roster: RosterId, dispatcher: &Dispatcher) {
        self.registry.lock().remove_roster(roster, dispatcher);
    }

    /// Ends an app for an administrator, even if nginx's configuration contains it: its processes end after their
    /// current requests. The next request creates it again.
    pub(crate) fn remove_app(&self, name: &str, dispatcher: &Dispatcher) {
        self.registry.lock().remove_app(name, dispatcher);
    }

    /// Removes apps that are no longer configured, once they have no process and no request.
    pub(crate) fn remove_unused_apps(&self, dispatcher: &Dispatcher) {
        self.registry.lock().remove_unused_apps(dispatcher);
    }

    /// Whether the roster of a connected nginx contains an app of this name.
    pub(crate) fn is_in_roster(&self, name: &str) -> bool {
        self.registry.lock().is_in_roster(name)
    }

    /// Returns the name and the number of every group.
    pub(crate) fn groups(&self) -> Vec<(String, GroupId)> {
        let mut all = self.registry.lock().groups();
        all.sort();
        all
    }

    /// Returns the number of the group of this name.
    pub(crate) fn id_of(&self, name: &str) -> Option<GroupId> {
        self.registry.lock().id_of(name)
    }
}

impl Drop for OpenConfiguration {
    fn drop(&mut self) {
        self.routes.registry.lock().close_configuration(self.configured_ms);
    }
}
