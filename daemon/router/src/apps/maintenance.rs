//! Per-app maintenance state set by administrators.
//!
//! A state is in effect until an administrator changes it: the supervisor keeps it for the next router. An app may be
//! named before its first request.

use std::collections::HashMap;
use std::sync::Arc;

use tracing::{error, info};

use super::Routes;
use crate::app::route::Route;
use crate::dispatch::{Dispatcher, Refused};
use crate::lock::Lock;
use crate::supervisor_link::Supervisor;
use common::link::{AppMode, Maintenance, Order};

/// Every app that is not open.
#[derive(Debug)]
pub(crate) struct AppModes {
    by_app: Lock<HashMap<String, Restriction>>,
    supervisor: Arc<Supervisor>,
}

/// How an app that is not open is restricted.
#[derive(Debug, Clone)]
enum Restriction {
    Paused,
    Maintenance(Arc<Maintenance>),
}

impl AppModes {
    pub(crate) fn new(supervisor: Arc<Supervisor>) -> Self {
        Self { by_app: Lock::default(), supervisor }
    }

    /// Returns the name of the app's mode.
    pub(crate) fn name_of(&self, app: &str) -> &'static str {
        match self.of(app) {
            None => AppMode::OPEN,
            Some(Restriction::Paused) => AppMode::PAUSED,
            Some(Restriction::Maintenance(_)) => AppMode::MAINTENANCE,
        }
    }

    /// Sets the app's mode for an administrator.
    pub(crate) fn set(&self, app: &str, mode: AppMode) {
        info!("app {app}: {}", describe(&mode));
        let order = Order::SetAppMode { app: app.to_owned(), mode: mode.clone() };
        if let Err(why) = self.supervisor.order(&order) {
            error!("app {app}: its mode will be lost when the router restarts: {why}");
        }
        self.restore(app.to_owned(), mode);
    }

    /// Restores a mode that an administrator set under an earlier router.
    pub(crate) fn restore(&self, app: String, mode: AppMode) {
        let mut by_app = self.by_app.lock();
        match mode {
            AppMode::Open => by_app.remove(&app),
            AppMode::Paused => by_app.insert(app, Restriction::Paused),
            AppMode::Maintenance(mode) => by_app.insert(app, Restriction::Maintenance(Arc::new(mode))),
        };
    }

    /// Checks, before a request waits for a process, whether it is refused. A request for a paused app waits.
    pub(crate) fn check(&self, route: &Route, dispatcher: &Dispatcher) -> Option<Refused> {
        let by_app = self.by_app.lock();
        // In nearly all cases every app is open, and no name is looked up.
        if by_app.is_empty() {
            return None;
        }
        match by_app.get(&route.name)? {
            Restriction::Paused => {
                // Under the lock, so that the app is not paused after it was opened.
                dispatcher.update(|pool, now| pool.set_paused(route.group, true, now));
                None
            }
            Restriction::Maintenance(maintenance) => Some(Refused::Maintenance(maintenance.clone())),
        }
    }

    /// Applies the app's mode to the requests that wait for it.
    pub(crate) fn apply_to_waiting(&self, app: &str, routes: &Routes, dispatcher: &Dispatcher) {
        let Some(group) = routes.id_of(app) else { return };
        let by_app = self.by_app.lock();
        let restriction = by_app.get(app);
        let is_paused = matches!(restriction, Some(Restriction::Paused));
        if let Some(Restriction::Maintenance(maintenance)) = restriction {
            dispatcher.reject_waiting(group, &Refused::Maintenance(maintenance.clone()));
        }
        dispatcher.update(|pool, now| pool.set_paused(group, is_paused, now));
    }

    fn of(&self, app: &str) -> Option<Restriction> {
        self.by_app.lock().get(app).cloned()
    }
}

fn describe(mode: &AppMode) -> &'static str {
    match mode {
        AppMode::Open => "opened by an administrator; its requests are served",
        AppMode::Paused => "paused by an administrator; its requests wait",
        AppMode::Maintenance(_) => {
            "put under maintenance by an administrator; visitors get the maintenance page"
        }
    }
}
