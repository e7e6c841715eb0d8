//! Rosters, which name the apps that each nginx has configured, and detection of apps that are no longer configured.
//!
//! An app is removed when the nginx that named it last has a current roster, and no current roster names it. While an
//! nginx is not connected, its apps are kept: it may be restarting. This module does not use the pool.

use std::collections::{BTreeMap, HashMap, HashSet};

/// Maximum number of removed apps that are remembered, so that a late request does not restore them permanently.
const MAX_REMOVED: usize = 4096;

/// A roster, which is kept for as long as its connection is open.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Roster {
    /// The configuration file of the nginx; the same after a restart, and possibly that of another nginx in a
    /// container.
    pub(crate) instance: Vec<u8>,
    /// The random name of its master; another one after a restart. Empty from an older module.
    pub(crate) name: String,
    /// nginx's master process.
    pub(crate) master: u32,
    /// When nginx read this configuration, in milliseconds since 1970.
    pub(crate) configured_ms: u64,
    /// Whether it names every app that requests may lead to.
    pub(crate) is_complete: bool,
    /// The names of process groups.
    pub(crate) apps: HashSet<String>,
}

/// Identifies a roster during the life of the router.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RosterId(u64);

/// An nginx that has named an app: configuration file and name.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Owner {
    instance: Vec<u8>,
    name: String,
}

impl Owner {
    fn of(roster: &Roster) -> Self {
        Self { instance: roster.instance.clone(), name: roster.name.clone() }
    }

    /// Whether the roster may come from this nginx: an older module does not name itself.
    fn is(&self, roster: &Roster) -> bool {
        self.instance == roster.instance && (self.name.is_empty() || self.name == roster.name)
    }
}

/// All rosters, and what follows from them.
#[derive(Debug, Default)]
pub(crate) struct Rosters {
    last: u64,
    live: BTreeMap<RosterId, Roster>,
    /// The nginx whose roster named an app last.
    owners: HashMap<String, Owner>,
    /// Apps that were removed, with the time of the configuration that lacked them.
    removed: HashMap<String, u64>,
}

/// The apps that are affected when a roster is added or removed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Apps that are no longer configured, in order.
    pub(crate) removed: Vec<String>,
    /// Apps that were removed and are configured again, in order.
    pub(crate) restored: Vec<String>,
}

impl Rosters {
    /// Adds the roster of an nginx.
    pub(crate) fn add(&mut self, roster: Roster) -> (RosterId, Changes) {
        self.last += 1;
        let id = RosterId(self.last);
        self.transfer_apps(&roster);
        for app in &roster.apps {
            self.owners.insert(app.clone(), Owner::of(&roster));
        }
        let mut restored: Vec<_> =
            roster.apps.iter().filter(|app| self.removed.remove(*app).is_some()).cloned().collect();
        restored.sort();
        self.live.insert(id, roster);
        (id, Changes { removed: self.record_removed(), restored })
    }

    /// Removes a roster whose connection has ended.
    pub(crate) fn remove(&mut self, id: RosterId) -> Changes {
        self.live.remove(&id);
        // It may have been a forged one that replaced another.
        let named: HashSet<&String> = self.current().flat_map(|roster| &roster.apps).collect();
        let mut restored: Vec<_> = self.removed.keys().filter(|app| named.contains(app)).cloned().collect();
        restored.sort();
        for app in &restored {
            self.removed.remove(app);
            let by = self.current().find(|roster| roster.apps.contains(app)).map(Owner::of);
            self.owners.extend(by.map(|by| (app.clone(), by)));
        }
        Changes { removed: self.record_removed(), restored }
    }

    /// Records a request for an app, under a configuration that nginx read at `configured_ms`. Returns true if no newer
    /// configuration lacks the app.
    pub(crate) fn observe_request(&mut self, app: &str, configured_ms: u64) -> bool {
        match self.removed.get(app) {
            Some(since) if configured_ms < *since => false,
            Some(_) => {
                self.removed.remove(app);
                true
            }
            None => true,
        }
    }

    /// Whether any roster contains this app.
    pub(crate) fn contains_app(&self, app: &str) -> bool {
        self.live.values().any(|roster| roster.apps.contains(app))
    }

    /// Returns when the oldest configuration that has a roster was read.
    pub(crate) fn oldest(&self) -> Option<u64> {
        self.live.values().map(|roster| roster.configured_ms).min()
    }

    /// Removes the owners of apps that no roster contains, unless the app is in use: nothing ends when it is removed.
    pub(crate) fn retain_owners(&mut self, is_used: impl Fn(&str) -> bool) {
        let live = &self.live;
        let named: HashSet<&String> = live.values().flat_map(|roster| &roster.apps).collect();
        self.owners.retain(|app, _| named.contains(app) || is_used(app));
        self.owners.shrink_to(2 * self.owners.len());
    }

    fn record_removed(&mut self) -> Vec<String> {
        let current: Vec<&Roster> = self.current().collect();
        let named: HashSet<&String> = current.iter().flat_map(|roster| &roster.apps).collect();
        let unnamed = self.owners.iter().filter(|(app, _)| !named.contains(app));
        let mut since_by_app: Vec<(String, u64)> =
            unnamed.filter_map(|(app, by)| Some((app.clone(), removed_since(&current, by)?))).collect();
        since_by_app.sort();
        if self.removed.len() + since_by_app.len() > MAX_REMOVED {
            self.removed.clear();
        }
        for (app, since) in &since_by_app {
            self.owners.remove(app);
            self.removed.insert(app.clone(), *since);
        }
        since_by_app.into_iter().map(|(app, _)| app).collect()
    }

    /// Assigns the apps of a disconnected nginx to one that starts with the same configuration file: a likely restart.
    fn transfer_apps(&mut self, roster: &Roster) {
        let is_known = self.live.values().any(|other| other.name == roster.name)
            || self.owners.values().any(|by| by.name == roster.name);
        if roster.name.is_empty() || is_known {
            return;
        }
        let live = &self.live;
        let removed = |by: &Owner| !live.values().any(|other| by.is(other));
        for by in self.owners.values_mut().filter(|by| by.instance == roster.instance && removed(by)) {
            by.name.clone_from(&roster.name);
        }
    }

    /// Returns the current rosters.
    fn current(&self) -> impl Iterator<Item = &Roster> {
        self.live.iter().filter(|(id, roster)| self.is_current(**id, roster)).map(|(_, roster)| roster)
    }

    /// Whether there is no newer roster of the same master. Another master may be another nginx with the same
    /// configuration, or the successor of the same nginx during an upgrade.
    fn is_current(&self, id: RosterId, roster: &Roster) -> bool {
        !self.live.iter().any(|(other_id, other)| {
            other.instance == roster.instance
                && other.name == roster.name
                && other.master == roster.master
                && (other.configured_ms, *other_id) > (roster.configured_ms, id)
        })
    }
}

/// Returns the time of this nginx's newest configuration, if its rosters are complete. They are not where only a
/// request determines the app.
fn removed_since(current: &[&Roster], by: &Owner) -> Option<u64> {
    let mine = current.iter().filter(|roster| by.is(roster));
    let (since, all_complete) =
        mine.fold((None, true), |(since, all), r| (since.max(Some(r.configured_ms)), all && r.is_complete));
    since.filter(|_| all_complete)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIN: &str = "/etc/nginx/nginx.conf";

    fn roster(instance: &str, master: u32, configured_ms: u64, apps: &[&str]) -> Roster {
        Roster {
            instance: instance.into(),
            name: String::new(),
            master,
            configured_ms,
            is_complete: true,
            apps: apps.iter().map(ToString::to_string).collect(),
        }
    }

    fn removed(apps: &[&str]) -> Changes {
        Changes { removed: apps.iter().map(ToString::to_string).collect(), restored: Vec::new() }
    }

    #[test]
    fn an_app_missing_after_a_reload_is_removed() {
        let mut rosters = Rosters::default();
        let (old, _) = rosters.add(roster(MAIN, 7, 1, &["blog", "shop"]));
        // Before the old worker has closed its connection.
        let (_, changes) = rosters.add(roster(MAIN, 7, 2, &["shop"]));
        assert_eq!(changes, removed(&["blog"]));
        assert_eq!(rosters.remove(old), removed(&[]), "once is enough");
    }

    #[test]
    fn an_app_that_is_configured_again_is_restored() {
        let mut rosters = Rosters::default();
        rosters.add(roster(MAIN, 7, 1, &["blog", "shop"]));
        rosters.add(roster(MAIN, 7, 2, &["shop"]));
        let (_, changes) = rosters.add(roster(MAIN, 7, 3, &["blog", "shop"]));
        assert_eq!(changes, Changes { removed: vec![], restored: vec!["blog".into()] });
        assert_eq!(rosters.add(roster(MAIN, 7, 4, &["shop"])).1, removed(&["blog"]));
    }

    #[test]
    fn no_app_is_removed_when_nginx_disconnects() {
        let mut rosters = Rosters::default();
        let (only, _) = rosters.add(roster(MAIN, 7, 1, &["blog", "shop"]));
        assert_eq!(rosters.remove(only), removed(&[]));
        let (_, changes) = rosters.add(roster(MAIN, 8, 2, &["shop"]));
        assert_eq!(changes, removed(&["blog"]), "but when it connects again without the app");
    }

    #[test]
    fn each_nginx_has_its_own_apps() {
        let mut rosters = Rosters::default();
        let (main, _) = rosters.add(roster(MAIN, 7, 1, &["blog"]));
        assert_eq!(rosters.add(roster("/other.conf", 9, 2, &["shop"])).1, removed(&[]));
        assert_eq!(
            rosters.remove(main),
            removed(&[]),
            "a stopped nginx keeps its apps, whichever others are connected"
        );
        assert_eq!(rosters.add(roster("/other.conf", 9, 3, &["news"])).1, removed(&["shop"]));
    }

    #[test]
    fn an_app_that_another_nginx_has_too_stays() {
        let mut rosters = Rosters::default();
        rosters.add(roster(MAIN, 7, 1, &["blog"]));
        rosters.add(roster("/other.conf", 9, 2, &["blog"]));
        assert_eq!(rosters.add(roster("/other.conf", 9, 3, &[])).1, removed(&[]));
    }

    #[test]
    fn containers_with_the_same_configuration_file_are_independent() {
        let mut rosters = Rosters::default();
        rosters.add(roster(MAIN, 7, 1, &["blog"]));
        assert_eq!(rosters.add(roster(MAIN, 9, 2, &["shop"])).1, removed(&[]));
    }

    /// A roster of the first process in a container.
    fn contained(name: &str, configured_ms: u64, apps: &[&str]) -> Roster {
        Roster { name: name.into(), ..roster(MAIN, 1, configured_ms, apps) }
    }

    #[test]
    fn containers_with_the_same_file_and_process_id_are_independent() {
        let mut rosters = Rosters::default();
        let (blog, _) = rosters.add(contained("a", 1, &["blog"]));
        let (shop, changes) = rosters.add(contained("b", 2, &["shop"]));
        assert_eq!(changes, removed(&[]));
        assert_eq!(rosters.remove(blog), removed(&[]), "it may connect again");
        let (blog, _) = rosters.add(contained("a", 1, &["blog"]));
        assert_eq!(rosters.add(contained("a", 3, &["news"])).1, removed(&["blog"]), "a reload");
        assert_eq!(rosters.remove(blog), removed(&[]));
        assert_eq!(rosters.remove(shop), removed(&[]));
        assert_eq!(rosters.add(contained("c", 4, &[])).1, removed(&["shop"]), "one of them restarted");
    }

    #[test]
    fn an_upgrade_to_a_module_that_sends_a_name_keeps_the_rules() {
        let mut rosters = Rosters::default();
        let (old, _) = rosters.add(roster(MAIN, 7, 1, &["blog", "shop"]));
        let upgraded = Roster { name: "a".into(), ..roster(MAIN, 8, 2, &["shop"]) };
        assert_eq!(rosters.add(upgraded).1, removed(&[]));
        assert_eq!(rosters.remove(old), removed(&["blog"]));
    }

    #[test]
    fn during_an_upgrade_the_old_nginx_keeps_its_apps() {
        let mut rosters = Rosters::default();
        let (old, _) = rosters.add(roster(MAIN, 7, 1, &["blog", "shop"]));
        assert_eq!(rosters.add(roster(MAIN, 8, 2, &["shop"])).1, removed(&[]));
        assert_eq!(rosters.remove(old), removed(&["blog"]));
    }

    #[test]
    fn apps_removed_by_a_forged_roster_return_when_it_disconnects() {
        let mut rosters = Rosters::default();
        rosters.add(roster(MAIN, 7, 1, &["blog"]));
        let (forged, changes) = rosters.add(roster(MAIN, 7, 5, &[]));
        assert_eq!(changes, removed(&["blog"]));
        assert_eq!(rosters.remove(forged), Changes { removed: vec![], restored: vec!["blog".into()] });
        assert!(rosters.observe_request("blog", 1));
        assert_eq!(rosters.add(roster(MAIN, 7, 6, &[])).1, removed(&["blog"]), "and it can be removed again");
    }

    #[test]
    fn an_incomplete_roster_removes_nothing() {
        let mut rosters = Rosters::default();
        rosters.add(roster(MAIN, 7, 1, &["blog"]));
        let incomplete = Roster { is_complete: false, ..roster(MAIN, 7, 2, &[]) };
        assert_eq!(rosters.add(incomplete).1, removed(&[]));
        assert_eq!(rosters.add(roster(MAIN, 7, 3, &[])).1, removed(&["blog"]));
    }

    #[test]
    fn a_removed_app_returns_with_a_newer_configuration_only() {
        let mut rosters = Rosters::default();
        assert!(rosters.observe_request("blog", 0), "there is no roster");
        rosters.add(roster(MAIN, 7, 1, &["blog"]));
        rosters.add(roster(MAIN, 7, 5, &[]));
        assert!(!rosters.observe_request("blog", 1));
        assert!(rosters.observe_request("blog", 6), "from an nginx that sends no roster");
        assert!(rosters.observe_request("blog", 1), "which takes precedence from then on");
        assert_eq!(rosters.add(roster(MAIN, 7, 7, &[])).1, removed(&[]));
    }

    #[test]
    fn oldest_is_the_time_of_the_oldest_configuration() {
        let mut rosters = Rosters::default();
        assert_eq!(rosters.oldest(), None);
        let (old, _) = rosters.add(roster(MAIN, 7, 3, &[]));
        rosters.add(roster("/other.conf", 9, 5, &[]));
        assert_eq!(rosters.oldest(), Some(3));
        rosters.remove(old);
        assert_eq!(rosters.oldest(), Some(5));
    }
}
