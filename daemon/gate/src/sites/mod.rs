//! Which application serves a host and a path.

mod site;

use std::sync::Arc;

use common::config::gate::GateApp;
use module_core::base_uri;
use module_core::host::{NameMatch, match_name};

pub(crate) use site::{DISK_TIMEOUT, Located, Site};

/// The applications of a configuration, those with the longest path first.
#[derive(Debug)]
pub(crate) struct Sites {
    all: Vec<Arc<Site>>,
}

impl Sites {
    /// Returns the applications of a configuration.
    ///
    /// # Errors
    ///
    /// A message when the settings of one are too long.
    pub(crate) fn new(apps: &[GateApp]) -> Result<Arc<Self>, String> {
        let mut all = apps.iter().map(|app| Site::new(app).map(Arc::new)).collect::<Result<Vec<_>, _>>()?;
        all.sort_by_key(|site| std::cmp::Reverse(site.base_uri.len()));
        Ok(Arc::new(Self { all }))
    }

    /// Returns all of them.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Site> {
        self.all.iter().map(|site| &**site)
    }

    /// Returns the application for a host and a decoded path: of those whose path matches, the one with the best match
    /// of the host, then the longest path. An application without hosts serves those that no other names.
    pub(crate) fn find(&self, host: &[u8], path: &[u8]) -> Option<Arc<Site>> {
        let mut best: Option<(Option<NameMatch>, &Arc<Site>)> = None;
        for site in &self.all {
            let is_below = site.base_uri.is_empty()
                || base_uri::matching(std::slice::from_ref(&site.base_uri), path).is_some();
            let Some(matched) = site.matches(host).filter(|_| is_below) else { continue };
            if best.is_none_or(|(known, _)| matched > known) {
                best = Some((matched, site));
            }
        }
        best.map(|(_, site)| Arc::clone(site))
    }
}

impl Site {
    /// Returns how the host is named; `Some(None)` where every host is served.
    fn matches(&self, host: &[u8]) -> Option<Option<NameMatch>> {
        if self.hosts.is_empty() {
            return Some(None);
        }
        self.hosts.iter().filter_map(|name| match_name(name.as_bytes(), host)).max().map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(hosts: &[&str], path: &str, root: &str) -> GateApp {
        GateApp {
            hosts: hosts.iter().map(ToString::to_string).collect(),
            base_uri: path.trim_end_matches('/').to_owned(),
            root: root.into(),
            ..GateApp::default()
        }
    }

    #[test]
    fn the_best_match_of_host_and_then_path_serves() {
        let sites = Sites::new(&[
            app(&[], "/", "/srv/default"),
            app(&["example.org", "*.example.org"], "/", "/srv/example"),
            app(&["example.org"], "/blog", "/srv/blog"),
            app(&["www.example.org"], "/", "/srv/www"),
            app(&[], "/status", "/srv/status"),
        ]);
        let sites = sites.unwrap();
        let root = |host: &str, path: &str| {
            sites.find(host.as_bytes(), path.as_bytes()).map(|site| site.root_name())
        };
        for (host, path, wanted) in [
            ("example.org", "/", "/srv/example"),
            ("EXAMPLE.org", "/blogs", "/srv/example"),
            ("example.org", "/blog", "/srv/blog"),
            ("example.org", "/blog/1", "/srv/blog"),
            ("a.example.org", "/blog/1", "/srv/example"),
            ("www.example.org", "/", "/srv/www"),
            ("other.net", "/", "/srv/default"),
            ("", "/status/x", "/srv/status"),
            ("example.org", "/status", "/srv/example"),
        ] {
            assert_eq!(root(host, path).as_deref(), Some(wanted), "{host}{path}");
        }
    }

    #[test]
    fn a_host_that_no_application_names_has_none() {
        let sites = Sites::new(&[app(&["example.org"], "/", "/srv/example")]).unwrap();
        assert!(sites.find(b"other.org", b"/").is_none());
        assert!(sites.find(b"", b"/").is_none());
    }
}
