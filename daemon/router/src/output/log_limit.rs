//! Limit of how often a message of one kind is logged. Omitted messages are counted, and the count is logged when the
//! interval ends.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tracing::warn;

/// Length of an interval.
const INTERVAL: Duration = Duration::from_secs(60);

/// A limit of messages per minute.
#[derive(Debug)]
pub(crate) struct LogLimit {
    /// Subject of the messages.
    what: String,
    per_minute: u32,
    ends: Cell<Option<Instant>>,
    logged: Cell<u32>,
    left_out: Cell<u64>,
}

impl LogLimit {
    pub(crate) fn new(what: impl Into<String>, per_minute: u32) -> Rc<Self> {
        let (ends, logged, left_out) = (Cell::new(None), Cell::new(0), Cell::new(0));
        Rc::new(Self { what: what.into(), per_minute, ends, logged, left_out })
    }

    /// Whether the message may be logged; otherwise it is counted. Must be called inside the runtime.
    pub(crate) fn admits(self: &Rc<Self>) -> bool {
        let now = Instant::now();
        if self.ends.get().is_none_or(|end| end <= now) {
            self.ends.set(Some(now + INTERVAL));
            self.logged.set(0);
        }
        if self.logged.get() < self.per_minute {
            self.logged.set(self.logged.get() + 1);
            return true;
        }
        self.left_out.set(self.left_out.get() + 1);
        if self.left_out.get() == 1 {
            let me = self.clone();
            let end = self.ends.get().unwrap_or(now);
            tokio::task::spawn_local(async move {
                sleep_until(end).await;
                let left_out = me.left_out.take();
                let (most, what) = (me.per_minute, &me.what);
                warn!("{left_out} messages were not logged (more than {most} a minute): {what}");
            });
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_above_the_limit_are_counted_until_the_minute_is_over() {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, async {
            let limit = LogLimit::new("starts that fail", 2);
            let admitted = [(); 5].map(|()| limit.admits());
            assert_eq!(admitted, [true, true, false, false, false]);
            assert_eq!(limit.left_out.get(), 3);
            tokio::time::sleep(INTERVAL + Duration::from_secs(1)).await;
            tokio::task::yield_now().await;
            assert_eq!(limit.left_out.get(), 0, "the count was logged");
            assert!(limit.admits());
        });
    }
}
