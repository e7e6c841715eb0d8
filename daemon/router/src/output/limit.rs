//! Limit of logged app output: a number of lines per interval for all processes of an app. Lines above it are counted,
//! and the count is logged when the interval ends.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tracing::warn;

/// Length of an interval.
const INTERVAL: Duration = Duration::from_secs(30);
/// Length in bytes for which a line counts once more.
const PART: usize = 1024;

/// The limits of all apps that print.
#[derive(Debug)]
pub(super) struct Limits {
    /// Lines per interval; 0 for any number.
    lines: u64,
    of: RefCell<HashMap<String, Weak<Limit>>>,
}

/// The limit of one app.
#[derive(Debug)]
pub(super) struct Limit {
    app: String,
    lines: u64,
    ends: Cell<Option<Instant>>,
    used: Cell<u64>,
    left_out: Cell<u64>,
}

impl Limits {
    pub(super) fn new(lines: u64) -> Self {
        Self { lines, of: RefCell::default() }
    }

    /// Returns the limit that all processes of an app share.
    pub(super) fn of(&self, app: &str) -> Rc<Limit> {
        let mut of = self.of.borrow_mut();
        if let Some(limit) = of.get(app).and_then(Weak::upgrade) {
            return limit;
        }
        of.retain(|_, limit| limit.strong_count() > 0);
        let (ends, used, left_out) = (Cell::new(None), Cell::new(0), Cell::new(0));
        let limit = Rc::new(Limit { app: app.to_owned(), lines: self.lines, ends, used, left_out });
        of.insert(app.to_owned(), Rc::downgrade(&limit));
        limit
    }
}

impl Limit {
    /// Whether a line of this length may be logged; otherwise it is counted. Must be called inside the runtime.
    pub(super) fn admits(self: &Rc<Self>, len: usize) -> bool {
        if self.lines == 0 {
            return true;
        }
        let now = Instant::now();
        if self.ends.get().is_none_or(|end| end <= now) {
            self.ends.set(Some(now + INTERVAL));
            self.used.set(0);
        }
        if self.used.get() < self.lines {
            self.used.set(self.used.get() + 1 + (len / PART) as u64);
            return true;
        }
        self.left_out.set(self.left_out.get() + 1);
        if self.left_out.get() == 1 {
            let me = self.clone();
            let end = self.ends.get().unwrap_or(now);
            warn!(
                "app {}: it prints more than {} lines in {} s: the rest of them is not logged (--app-output-limit)",
                self.app,
                self.lines,
                INTERVAL.as_secs()
            );
            tokio::task::spawn_local(async move {
                sleep_until(end).await;
                me.report();
            });
        }
        false
    }

    fn report(&self) {
        let left_out = self.left_out.take();
        warn!("app {}: {left_out} lines of its output were not logged (--app-output-limit)", self.app);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_above_the_limit_are_counted_until_the_interval_ends() {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, async {
            let limits = Limits::new(3);
            let (limit, other) = (limits.of("shop"), limits.of("blog"));
            assert_eq!([(); 4].map(|()| limit.admits(10)), [true, true, true, false]);
            assert!(!limits.of("shop").admits(10), "another process of the app");
            assert_eq!([(); 3].map(|()| other.admits(2000)), [true, true, false], "long lines count more");
            assert_eq!(limit.left_out.get(), 2);
            tokio::time::sleep(INTERVAL + Duration::from_secs(1)).await;
            tokio::task::yield_now().await;
            assert_eq!(limit.left_out.get(), 0, "the count is logged");
            assert!(limit.admits(10));
            assert!(Limits::new(0).of("any").admits(10));
        });
    }
}
