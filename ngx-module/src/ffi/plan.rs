//! What a configuration as a whole has for its first worker: which daemons there are, and what they are to be told.

use std::rc::Rc;

use module_core::announced::Announced;
use module_core::pre_start::Url;

use super::upstream_ref::UpstreamRef;

/// What the first worker of a configuration does.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// What is said first on each connection.
    pub(crate) greeting: Vec<u8>,
    /// Where requests go, and which apps they are for.
    pub(crate) upstreams: Vec<(UpstreamRef, Vec<Rc<Announced>>)>,
    /// What is visited when a daemon is there.
    pub(crate) pre_starts: Vec<Rc<Url>>,
}

impl Plan {
    /// Requests for this go there.
    pub(crate) fn add(&mut self, upstream: UpstreamRef, greeting: &[u8], app: Announced) {
        // All levels say the same to the daemon, as only `http` can.
        self.greeting = greeting.to_vec();
        let app = Rc::new(app);
        match self.upstreams.iter_mut().find(|(known, _)| *known == upstream) {
            Some((_, apps)) if apps.contains(&app) => {}
            Some((_, apps)) => apps.push(app),
            None => self.upstreams.push((upstream, vec![app])),
        }
    }

    /// This is visited when a daemon is there.
    pub(crate) fn add_pre_start(&mut self, url: Url) {
        self.pre_starts.push(Rc::new(url));
    }
}
