//! The tasks of a configuration's first worker: the daemons to connect to, and what to send to them.

use std::rc::Rc;

use module_core::roster::ConfiguredApps;

use super::upstream_ref::UpstreamRef;

/// The tasks of a configuration's first worker.
#[derive(Debug, Default)]
pub(crate) struct WorkerTasks {
    /// The first bytes of each connection.
    pub(crate) greeting: Vec<u8>,
    /// The upstreams of requests, with their apps.
    pub(crate) upstreams: Vec<(UpstreamRef, Vec<Rc<ConfiguredApps>>)>,
}

impl WorkerTasks {
    /// Adds the apps of a location whose requests go to this upstream. Equal apps are added once.
    pub(crate) fn add(
        &mut self,
        upstream: UpstreamRef,
        greeting: &[u8],
        apps: ConfiguredApps,
    ) -> Rc<ConfiguredApps> {
        // All levels have the same globals, as only `http` can set them.
        self.greeting = greeting.to_vec();
        let at = self.upstreams.iter().position(|(known, _)| *known == upstream).unwrap_or_else(|| {
            self.upstreams.push((upstream, Vec::new()));
            self.upstreams.len() - 1
        });
        let all = &mut self.upstreams[at].1;
        let known = all.iter().find(|known| ***known == apps).cloned();
        known.unwrap_or_else(|| {
            all.push(Rc::new(apps));
            Rc::clone(&all[all.len() - 1])
        })
    }
}
