//! What the status page has shown last, for the next who asks in the same moment, and since when this router counts.
//!
//! However many look, the pool is looked at a few times a second only. What is shown is made elsewhere.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How old what is told may be. The page asks once a second.
const FRESH: Duration = Duration::from_millis(400);

/// Something to be shown by a browser.
#[derive(Debug)]
pub(crate) struct CachedPage {
    pub(crate) content_type: &'static str,
    /// What browsers may do with it, by the header's name.
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

/// What was told last.
#[derive(Debug)]
pub(crate) struct PageCache {
    began: Instant,
    cached: RefCell<Option<(Instant, Rc<CachedPage>)>>,
}

impl PageCache {
    /// Nothing was told yet.
    pub(crate) fn new() -> Self {
        Self { began: Instant::now(), cached: RefCell::default() }
    }

    /// How long this router has been there.
    pub(crate) fn age(&self) -> Duration {
        self.began.elapsed()
    }

    /// What was told a moment ago, or else what a look finds now.
    pub(crate) fn get_or_render(&self, render: impl FnOnce() -> CachedPage) -> Rc<CachedPage> {
        let mut cached = self.cached.borrow_mut();
        if let Some((_, shown)) = cached.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            return shown.clone();
        }
        let shown = Rc::new(render());
        *cached = Some((Instant::now(), shown.clone()));
        shown
    }
}
