//! How apps stand: what administrators have said comes in, what is to become of an app's requests goes out.
//!
//! It holds until somebody says otherwise: the supervisor keeps it for the next router. An app may be named before its
//! first request.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use tracing::{error, info};

use super::Routes;
use crate::app::route::Route;
use crate::dispatch::{Dispatcher, Refused};
use crate::supervisor_link::Supervisor;
use common::link::{Maintenance, Order, Standing};

/// Every app that does not simply stand open.
#[derive(Debug)]
pub(crate) struct Standings {
    by_app: RefCell<HashMap<String, Closed>>,
    supervisor: Rc<Supervisor>,
}

/// How a closed app is closed.
#[derive(Debug, Clone)]
enum Closed {
    Paused,
    Maintenance(Rc<Maintenance>),
}

impl Standings {
    pub(crate) fn new(supervisor: Rc<Supervisor>) -> Self {
        Self { by_app: RefCell::default(), supervisor }
    }

    /// The name of how the app stands.
    pub(crate) fn name_of(&self, app: &str) -> &'static str {
        match self.of(app) {
            None => Standing::OPEN,
            Some(Closed::Paused) => Standing::PAUSED,
            Some(Closed::Maintenance(_)) => Standing::MAINTENANCE,
        }
    }

    /// An administrator says it.
    pub(crate) fn set(&self, app: &str, standing: Standing) {
        info!("app {app}: {}", news(&standing));
        let order = Order::Stand { app: app.to_owned(), standing: standing.clone() };
        if let Err(why) = self.supervisor.order(&order) {
            error!("app {app}: what an administrator has said will not outlive the router: {why}");
        }
        self.recall(app.to_owned(), standing);
    }

    /// An administrator has said it to an earlier router.
    pub(crate) fn recall(&self, app: String, standing: Standing) {
        let closed = match standing {
            Standing::Open => None,
            Standing::Paused => Some(Closed::Paused),
            Standing::Maintenance(maintenance) => Some(Closed::Maintenance(Rc::new(maintenance))),
        };
        let mut by_app = self.by_app.borrow_mut();
        match closed {
            None => drop(by_app.remove(&app)),
            Some(closed) => drop(by_app.insert(app, closed)),
        }
    }

    /// To be called before a request waits for a process: whether it is refused. That of a paused app will wait.
    pub(crate) fn heed(&self, route: &Route, dispatcher: &Dispatcher) -> Option<Refused> {
        match self.of(&route.name)? {
            Closed::Paused => {
                dispatcher.set_paused(route.group, true);
                None
            }
            Closed::Maintenance(maintenance) => Some(Refused::Maintenance(maintenance)),
        }
    }

    /// Has the requests that wait for the app follow what was just said.
    pub(crate) fn put_to_work(&self, app: &str, routes: &Routes, dispatcher: &Dispatcher) {
        let Some(group) = routes.id_of(app) else { return };
        match self.of(app) {
            Some(Closed::Paused) => dispatcher.set_paused(group, true),
            Some(Closed::Maintenance(maintenance)) => {
                dispatcher.turn_away(group, &Refused::Maintenance(maintenance));
                dispatcher.set_paused(group, false);
            }
            None => dispatcher.set_paused(group, false),
        }
    }

    /// Nearly always nobody has said anything, and there is no name to look up.
    fn of(&self, app: &str) -> Option<Closed> {
        let by_app = self.by_app.borrow();
        if by_app.is_empty() { None } else { by_app.get(app).cloned() }
    }
}

fn news(standing: &Standing) -> &'static str {
    match standing {
        Standing::Open => "an administrator has opened it: its requests are served",
        Standing::Paused => "an administrator has paused it: its requests wait",
        Standing::Maintenance(_) => {
            "an administrator works on it: its visitors are shown a page that says so"
        }
    }
}
