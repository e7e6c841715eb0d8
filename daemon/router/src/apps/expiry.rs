//! Limit on the routes that visitors can create: if `root` contains a variable, each of its values is another app. The
//! least recently used ones expire first, but none that is in a roster of nginx, has a process or a request.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tracing::info;

use super::super::dispatch::Dispatcher;
use super::super::pool::GroupId;
use super::registry::Registry;
use crate::app::route::Route;

/// Number of routes at which some expire.
const MAX_ROUTES: usize = 4096;
/// Number of routes that remain, if enough can expire.
const REMAINING: usize = MAX_ROUTES * 3 / 4;

/// The routes of one group.
#[derive(Default)]
struct Used {
    last: u64,
    routes: Vec<Arc<Route>>,
}

impl Registry {
    /// Removes routes if there are too many.
    pub(super) fn expire(&mut self, dispatcher: &Dispatcher) {
        let before = self.count;
        if before < self.expiry_threshold.max(MAX_ROUTES) {
            return;
        }
        let mut by_group: HashMap<GroupId, Used> = HashMap::new();
        for route in self.by_digest.values().flat_map(HashMap::values) {
            let used = by_group.entry(route.group).or_default();
            used.last = used.last.max(route.used.load(Ordering::Relaxed));
            used.routes.push(route.clone());
        }
        let mut all: Vec<_> = by_group.into_iter().collect();
        all.sort_by_key(|(_, used)| used.last);
        let mut remaining = before;
        let mut groups: HashMap<GroupId, String> = HashMap::new();
        for (group, used) in all {
            let name = used.routes.first().map(|route| route.name.clone()).unwrap_or_default();
            if remaining > REMAINING && self.can_expire(group, &name, &used.routes, dispatcher) {
                remaining -= used.routes.len();
                groups.insert(group, name);
            }
        }
        let mut routes = self.unused(&groups, dispatcher);
        routes.truncate(remaining.saturating_sub(REMAINING));
        let routes: HashSet<*const Route> = routes.into_iter().map(|(_, route)| route).collect();
        self.retain_routes(|r| !groups.contains_key(&r.group) && !routes.contains(&Arc::as_ptr(r)));
        for (group, name) in &groups {
            self.remove_group(name, *group, dispatcher);
        }
        let count = self.count;
        // If many cannot be removed, this is not tried again for each new route.
        self.expiry_threshold = MAX_ROUTES.max(count + MAX_ROUTES - REMAINING);
        if count < before {
            let (removed, apps) = (before - count, groups.len());
            info!("removed the {removed} least recently used of {before} routes, and {apps} apps");
        }
    }

    /// Whether the group has no process and no request, no roster of nginx contains it, and no request uses its routes.
    fn can_expire(&self, group: GroupId, name: &str, routes: &[Arc<Route>], dispatcher: &Dispatcher) -> bool {
        let free = |route: &Arc<Route>| Arc::strong_count(route) == self.holders(route, dispatcher) + 1;
        dispatcher.inspect(|pool, _| pool.is_unused(group))
            && !self.is_in_roster(name)
            && routes.iter().all(free)
    }

    /// Returns the number of references to a route that no request uses.
    fn holders(&self, route: &Arc<Route>, dispatcher: &Dispatcher) -> usize {
        let active = self.active_routes.get(&route.group).is_some_and(|active| active.is_current(route));
        let next = dispatcher.route(route.group).is_some_and(|next| Arc::ptr_eq(&next, route));
        1 + usize::from(active) + usize::from(next)
    }

    /// Returns routes of other groups that start no process and that no request uses, the least recently used first.
    fn unused(&self, groups: &HashMap<GroupId, String>, dispatcher: &Dispatcher) -> Vec<(u64, *const Route)> {
        let routes = &self.by_digest;
        let all =
            routes.values().flat_map(HashMap::values).filter(|route| !groups.contains_key(&route.group));
        let free = all.filter(|route| Arc::strong_count(route) == 1 && self.holders(route, dispatcher) == 1);
        let mut unused: Vec<_> =
            free.map(|route| (route.used.load(Ordering::Relaxed), Arc::as_ptr(route))).collect();
        unused.sort_unstable();
        unused
    }
}
