//! Cache of the last status page, and the router's uptime.
//!
//! However many clients ask, the pool is read only a few times per second. The page is rendered elsewhere.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::lock::Lock;

/// Maximum age of a cached page. The status page polls once per second.
const MAX_AGE: Duration = Duration::from_millis(400);

/// The content of a response of the daemon.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) content_type: &'static str,
    /// Additional headers, by name.
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

/// The last page.
#[derive(Debug)]
pub(crate) struct PageCache {
    started: Instant,
    cached: Lock<Option<(Instant, Arc<Document>)>>,
}

impl PageCache {
    /// Creates an empty cache.
    pub(crate) fn new() -> Self {
        Self { started: Instant::now(), cached: Lock::default() }
    }

    /// Returns the router's uptime.
    pub(crate) fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// Returns the cached page if it is fresh, else renders a new one.
    pub(crate) fn get_or_render(&self, render: impl FnOnce() -> Document) -> Arc<Document> {
        let cached = self.cached.lock().clone();
        if let Some((_, page)) = cached.filter(|(at, _)| at.elapsed() < MAX_AGE) {
            return page;
        }
        let page = Arc::new(render());
        *self.cached.lock() = Some((Instant::now(), page.clone()));
        page
    }
}
