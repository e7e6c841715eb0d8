//! Effects of nginx's configurations on apps: apps that are needed without a request are started, apps that are no
//! longer configured end and are forgotten.

use protocol::PayloadError;
use protocol::roster::Start;
use protocol::settings::Digest;
use tracing::info;

use super::super::dispatch::Dispatcher;
use super::super::pool::GroupId;
use super::Routes;
use super::rosters::{Changes, Roster, RosterId};
use crate::app::route::Described;

impl Routes {
    /// Starts the app before its first request, under a configuration that nginx read at `configured_ms`.
    pub(crate) fn prepare(
        &self,
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
        let route = match self.known(&described) {
            Some(route) => route,
            None => self.learn(&described, dispatcher)?,
        };
        self.follow(&route, configured_ms, dispatcher);
        dispatcher.keep(route.group);
        Ok(())
    }

    /// Adds the roster of an nginx.
    pub(crate) fn enter(&self, roster: Roster, dispatcher: &Dispatcher) -> RosterId {
        let (id, changes) = self.rosters.borrow_mut().enter(roster);
        self.obey(changes, dispatcher);
        self.forget_unused();
        id
    }

    /// Removes a roster when its nginx or its configuration is gone.
    pub(crate) fn leave(&self, roster: RosterId, dispatcher: &Dispatcher) {
        let changes = self.rosters.borrow_mut().leave(roster);
        self.obey(changes, dispatcher);
        let groups = self.groups.borrow();
        self.rosters.borrow_mut().forget_unnamed(|app| groups.contains_key(app));
    }

    /// Ends an app for an administrator, even if nginx's configuration contains it: its processes end after their
    /// current requests. The next request creates it again.
    pub(crate) fn dismiss(&self, name: &str, dispatcher: &Dispatcher) {
        let Some(group) = self.id_of(name) else { return };
        info!("app {name}: it is to be forgotten, as an administrator says: its processes end");
        self.forget_routes(group);
        dispatcher.set_configured(group, false);
        self.leaving.borrow_mut().insert(name.to_owned());
        self.forget_deserted(dispatcher);
    }

    /// Whether the roster of a connected nginx contains an app of this name.
    pub(crate) fn is_configured_now(&self, name: &str) -> bool {
        self.rosters.borrow().holds(name)
    }

    /// Forgets apps that are no longer configured, once nothing of them is left.
    pub(crate) fn forget_deserted(&self, dispatcher: &Dispatcher) {
        let deserted = |name: &String| self.id_of(name).is_none_or(|group| dispatcher.is_deserted(group));
        let names: Vec<_> = self.leaving.borrow().iter().filter(|name| deserted(name)).cloned().collect();
        for name in names {
            self.leaving.borrow_mut().remove(&name);
            let Some(group) = self.groups.borrow_mut().remove(&name) else { continue };
            info!("app {name}: forgotten");
            self.active_routes.borrow_mut().remove(&group);
            self.forget_routes(group);
            dispatcher.forget(group);
            self.recount();
        }
    }

    fn forget_routes(&self, group: GroupId) {
        self.by_digest.borrow_mut().retain(|_, by_root| {
            by_root.retain(|_, route| route.group != group);
            !by_root.is_empty()
        });
    }

    fn obey(&self, changes: Changes, dispatcher: &Dispatcher) {
        for name in changes.gone {
            if let Some(group) = self.id_of(&name) {
                info!("app {name}: no configuration of nginx holds it any more: its processes end");
                dispatcher.set_configured(group, false);
                self.leaving.borrow_mut().insert(name);
            }
        }
        for name in changes.back {
            self.return_of(&name, dispatcher);
        }
        self.forget_deserted(dispatcher);
    }

    /// Restores an app that is configured again before it is forgotten.
    pub(super) fn return_of(&self, name: &str, dispatcher: &Dispatcher) {
        if self.leaving.borrow_mut().remove(name)
            && let Some(group) = self.id_of(name)
        {
            info!("app {name}: configured again");
            dispatcher.set_configured(group, true);
        }
    }

    /// Handles a request for an app. One from a worker of nginx that is about to exit does not restore an app.
    pub(super) fn note_request(&self, name: &str, configured_ms: u64, dispatcher: &Dispatcher) {
        if self.rosters.borrow_mut().is_configured(name, configured_ms) {
            self.return_of(name, dispatcher);
        } else if let Some(group) = self.id_of(name)
            && self.leaving.borrow_mut().insert(name.to_owned())
        {
            dispatcher.set_configured(group, false);
        }
    }

    /// Forgets routes that only configurations no longer in effect have used.
    fn forget_unused(&self) {
        let Some(oldest) = self.rosters.borrow().oldest() else { return };
        let active_routes = self.active_routes.borrow();
        self.by_digest.borrow_mut().retain(|_, by_root| {
            by_root.retain(|_, route| {
                route.seen_ms.get() >= oldest
                    || active_routes.get(&route.group).is_some_and(|f| f.is_current(route))
            });
            !by_root.is_empty()
        });
        drop(active_routes);
        self.recount();
    }
}
