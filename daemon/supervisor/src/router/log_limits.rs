//! Rate limits for log lines that a router can cause at will. Suppressed lines are counted, and the count is logged at
//! the end of the minute.

use std::time::{Duration, Instant};

/// Length of an interval.
const INTERVAL: Duration = Duration::from_secs(60);
/// Maximum number of lines of a topic in an interval.
const MAX_LINES: u32 = 20;

/// The subject of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Topic {
    /// Refused messages, and orders that a router has no right to give.
    Refused,
    /// Orders that wait because of too many earlier ones.
    Bounds,
    /// Error details that are not sent to the router.
    Withheld,
    /// Log files of apps.
    AppLogs,
}

/// All topics, with their descriptions.
const TOPICS: [(Topic, &str); 4] = [
    (Topic::Refused, "invalid messages and orders of the router"),
    (Topic::Bounds, "limits of the router's orders in progress"),
    (Topic::Withheld, "files of applications that are not accessible"),
    (Topic::AppLogs, "log files of applications"),
];

/// The current interval of one topic.
#[derive(Debug, Default)]
struct Interval {
    ends: Option<Instant>,
    logged: u32,
    left_out: u64,
}

/// The intervals of all topics.
#[derive(Debug, Default)]
pub(crate) struct LogLimits([Interval; TOPICS.len()]);

impl LogLimits {
    /// Whether a line about `topic` may be logged; otherwise it is counted.
    pub(crate) fn admit(&mut self, topic: Topic, now: Instant) -> bool {
        self.settle(now);
        let at = TOPICS.iter().position(|(other, _)| *other == topic).unwrap_or_default();
        let interval = &mut self.0[at];
        interval.ends.get_or_insert(now + INTERVAL);
        let admitted = interval.logged < MAX_LINES;
        if admitted {
            interval.logged += 1
        } else {
            interval.left_out += 1
        }
        admitted
    }

    /// When a count has to be logged.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.0.iter().filter(|interval| interval.left_out > 0).filter_map(|interval| interval.ends).min()
    }

    /// Closes the intervals that have ended and logs their counts.
    pub(crate) fn settle(&mut self, now: Instant) {
        for (interval, (_, what)) in self.0.iter_mut().zip(TOPICS) {
            if interval.ends.is_some_and(|ends| ends <= now) {
                let left_out = std::mem::take(interval).left_out;
                if left_out > 0 {
                    tracing::warn!(
                        "{left_out} messages were not logged (more than {MAX_LINES} a minute): {what}"
                    );
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_above_the_limit_are_counted_until_the_interval_ends() {
        let (now, mut limits) = (Instant::now(), LogLimits::default());
        let admitted = (0..MAX_LINES + 5).filter(|_| limits.admit(Topic::Refused, now)).count();
        assert_eq!(admitted, MAX_LINES as usize);
        assert!(limits.admit(Topic::AppLogs, now), "another topic has its own limit");
        assert_eq!(limits.due(), Some(now + INTERVAL));
        limits.settle(now + INTERVAL);
        assert_eq!(limits.due(), None);
        assert!(limits.admit(Topic::Refused, now + INTERVAL));
    }
}
