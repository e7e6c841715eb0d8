//! The tasks of a configuration's first worker: the daemons to connect to, and what to send to them.

use std::rc::Rc;

use module_core::pre_start::Url;
use module_core::roster::ConfiguredApps;

use super::upstream_ref::UpstreamRef;

/// The tasks of a configuration's first worker.
#[derive(Debug, Default)]
pub(crate) struct WorkerTasks {
    /// The first bytes of each connection.
    pub(crate) greeting: Vec<u8>,
    /// The upstreams of requests, with their apps.
    pub(crate) upstreams: Vec<(UpstreamRef, Vec<Rc<ConfiguredApps>>)>,
    /// The URLs to request when a daemon is reachable.
    pub(crate) pre_starts: Vec<Rc<Url>>,
}

impl WorkerTasks {
    /// Adds an app whose requests go to this upstream.
    pub(crate) fn add(&mut self, upstream: UpstreamRef, greeting: &[u8], app: ConfiguredApps) {
        // All levels have the same globals, as only `http` can set them.
        self.greeting = greeting.to_vec();
        let app = Rc::new(app);
        match self.upstreams.iter_mut().find(|(known, _)| *known == upstream) {
            Some((_, apps)) if apps.contains(&app) => {}
            Some((_, apps)) => apps.push(app),
            None => self.upstreams.push((upstream, vec![app])),
        }
    }

    /// Adds a URL to request when a daemon is reachable.
    pub(crate) fn add_pre_start(&mut self, url: Url) {
        self.pre_starts.push(Rc::new(url));
    }
}
