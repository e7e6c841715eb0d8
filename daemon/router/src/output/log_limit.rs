//! Limit of how often messages of one kind, or the output of one app, are logged. What is omitted is counted, and the
//! count is logged when the interval ends.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tracing::warn;

use crate::lock::Lock;

/// Length of an interval for messages.
const MINUTE: Duration = Duration::from_secs(60);
/// Length of an interval for lines of an app.
const OUTPUT_INTERVAL: Duration = Duration::from_secs(30);
/// Length in bytes for which a line is counted once more.
const PART: usize = 1024;

/// A limit per interval.
#[derive(Debug)]
pub(crate) struct LogLimit {
    subject: Subject,
    interval: Duration,
    max: u64,
    current: Lock<Interval>,
}

/// The current interval.
#[derive(Debug, Default)]
struct Interval {
    ends: Option<Instant>,
    used: u64,
    omitted: u64,
}

/// What is limited.
#[derive(Debug)]
enum Subject {
    /// Messages of the daemon about this.
    Messages(String),
    /// Lines that this app prints.
    Output(String),
}

impl LogLimit {
    /// Creates a limit of messages about `what`.
    pub(crate) fn new(what: impl Into<String>, per_minute: u32) -> Arc<Self> {
        Self::create(Subject::Messages(what.into()), MINUTE, per_minute.into())
    }

    fn create(subject: Subject, interval: Duration, max: u64) -> Arc<Self> {
        Arc::new(Self { subject, interval, max, current: Lock::default() })
    }

    /// Whether a message may be logged; otherwise it is counted. Must be called inside the runtime.
    pub(crate) fn admits(self: &Arc<Self>) -> bool {
        self.admits_cost(1)
    }

    /// Whether a line of this length may be logged.
    pub(super) fn admits_line(self: &Arc<Self>, len: usize) -> bool {
        self.max == 0 || self.admits_cost(1 + (len / PART) as u64)
    }

    fn admits_cost(self: &Arc<Self>, cost: u64) -> bool {
        let now = Instant::now();
        let mut current = self.current.lock();
        if current.ends.is_none_or(|end| end <= now) {
            current.ends = Some(now + self.interval);
            current.used = 0;
        }
        if current.used < self.max {
            current.used += cost;
            return true;
        }
        current.omitted += 1;
        let (is_first, end) = (current.omitted == 1, current.ends.unwrap_or(now));
        drop(current);
        if is_first {
            self.begin_omission(end);
        }
        false
    }

    fn begin_omission(self: &Arc<Self>, end: Instant) {
        if let Subject::Output(app) = &self.subject {
            let (max, seconds) = (self.max, self.interval.as_secs());
            warn!(
                "app {app}: it prints more than {max} lines in {seconds} s: the others are not logged \
                 (--app-output-limit)"
            );
        }
        let limit = self.clone();
        tokio::task::spawn_local(async move {
            sleep_until(end).await;
            let (omitted, max) = (std::mem::take(&mut limit.current.lock().omitted), limit.max);
            match &limit.subject {
                Subject::Messages(what) => {
                    warn!("{omitted} messages were not logged (more than {max} per minute): {what}");
                }
                Subject::Output(app) => {
                    warn!("app {app}: {omitted} lines of its output were not logged (--app-output-limit)");
                }
            }
        });
    }
}

/// The limits of all apps that print.
#[derive(Debug)]
pub(super) struct OutputLimits {
    /// Lines per interval; 0 for any number.
    lines: u64,
    by_app: Lock<HashMap<String, Weak<LogLimit>>>,
}

impl OutputLimits {
    pub(super) fn new(lines: u64) -> Self {
        Self { lines, by_app: Lock::default() }
    }

    /// Returns the limit that all processes of an app share.
    pub(super) fn of(&self, app: &str) -> Arc<LogLimit> {
        let mut by_app = self.by_app.lock();
        if let Some(limit) = by_app.get(app).and_then(Weak::upgrade) {
            return limit;
        }
        by_app.retain(|_, limit| limit.strong_count() > 0);
        let limit = LogLimit::create(Subject::Output(app.to_owned()), OUTPUT_INTERVAL, self.lines);
        by_app.insert(app.to_owned(), Arc::downgrade(&limit));
        limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(test: impl Future<Output = ()>) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, test);
    }

    #[test]
    fn messages_above_the_limit_are_counted_until_the_interval_ends() {
        run(async {
            let limit = LogLimit::new("starts that fail", 2);
            assert_eq!([(); 5].map(|()| limit.admits()), [true, true, false, false, false]);
            assert_eq!(limit.current.lock().omitted, 3);
            tokio::time::sleep(MINUTE + Duration::from_secs(1)).await;
            tokio::task::yield_now().await;
            assert_eq!(limit.current.lock().omitted, 0, "the count was logged");
            assert!(limit.admits());
        });
    }

    #[test]
    fn lines_above_the_limit_are_counted_until_the_interval_ends() {
        run(async {
            let limits = OutputLimits::new(3);
            let (limit, other) = (limits.of("shop"), limits.of("blog"));
            assert_eq!([(); 4].map(|()| limit.admits_line(10)), [true, true, true, false]);
            assert!(!limits.of("shop").admits_line(10), "another process of the app");
            assert_eq!(
                [(); 3].map(|()| other.admits_line(2000)),
                [true, true, false],
                "long lines count more"
            );
            assert_eq!(limit.current.lock().omitted, 2);
            tokio::time::sleep(OUTPUT_INTERVAL + Duration::from_secs(1)).await;
            tokio::task::yield_now().await;
            assert_eq!(limit.current.lock().omitted, 0, "the count was logged");
            assert!(limit.admits_line(10));
            assert!(OutputLimits::new(0).of("any").admits_line(10));
        });
    }
}
