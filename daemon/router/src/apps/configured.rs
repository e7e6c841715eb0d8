//! What nginx's configurations hold, put to work: apps that are wanted without a request are started, those that are no
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
    /// The app is to be there before its first request, under a configuration that nginx read at this time.
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

    /// An nginx has said which apps it holds.
    pub(crate) fn enter(&self, roster: Roster, dispatcher: &Dispatcher) -> RosterId {
        let (id, changes) = self.rosters.borrow_mut().enter(roster);
        self.obey(changes, dispatcher);
        self.forget_unused();
        id
    }

    /// It has gone, or its configuration has.
    pub(crate) fn leave(&self, roster: RosterId, dispatcher: &Dispatcher) {
        let changes = self.rosters.borrow_mut().leave(roster);
        self.obey(changes, dispatcher);
        let groups = self.groups.borrow();
        self.rosters.borrow_mut().forget_unnamed(|app| groups.contains_key(app));
    }

    /// An administrator wants an app to go, whatever nginx's configuration holds: its processes end after the requests
    /// that they have. The next request brings it back as a new one.
    pub(crate) fn dismiss(&self, name: &str, dispatcher: &Dispatcher) {
        let Some(group) = self.id_of(name) else { return };
        info!("app {name}: it is to be forgotten, as an administrator says: its processes end");
        self.forget_routes(group);
        dispatcher.set_configured(group, false);
        self.leaving.borrow_mut().insert(name.to_owned());
        self.forget_deserted(dispatcher);
    }

    /// Whether an nginx that is there holds an app of this name.
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

    /// The app is configured again before it was forgotten.
    pub(super) fn return_of(&self, name: &str, dispatcher: &Dispatcher) {
        if self.leaving.borrow_mut().remove(name)
            && let Some(group) = self.id_of(name)
        {
            info!("app {name}: configured again");
            dispatcher.set_configured(group, true);
        }
    }

    /// A request for an app has come. One from a worker of nginx that is about to end does not bring an app back.
    pub(super) fn note_request(&self, name: &str, configured_ms: u64, dispatcher: &Dispatcher) {
        if self.rosters.borrow_mut().is_configured(name, configured_ms) {
            self.return_of(name, dispatcher);
        } else if let Some(group) = self.id_of(name)
            && self.leaving.borrow_mut().insert(name.to_owned())
        {
            dispatcher.set_configured(group, false);
        }
    }

    /// Lets go of what only configurations that are gone have used.
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
