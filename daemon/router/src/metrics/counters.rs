//! Counters and histograms of each app for administrators and Prometheus: requests, waits, starts and refusals. They
//! start at zero with each router.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::lock::Lock;

/// Upper bounds of a histogram's buckets, in seconds; the last one has none.
pub(crate) const BOUNDS: [f64; 12] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// Classes of response statuses.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// A number that every thread may raise.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }
}

/// The metrics of one app.
#[derive(Debug, Default)]
pub(crate) struct AppMetrics {
    /// How long requests waited for a process.
    pub(crate) queue_time: Histogram,
    /// How long requests took, including their wait, until their app's response began. Slow clients, streams and
    /// WebSockets do not prolong it.
    pub(crate) response_time: Histogram,
    /// How long requests took, including their wait, until their response had been relayed.
    pub(crate) request_time: Histogram,
    /// How long processes took from their start until they were ready.
    pub(crate) spawn_time: Histogram,
    /// Responses by class of their status: the app's, and the daemon's own pages.
    responses: [Counter; CLASSES.len()],
    /// CPU time of processes, in milliseconds, as far as it was read while they ran.
    pub(crate) cpu_ms: Counter,
    /// Processes that did not start.
    pub(crate) spawns_failed: Counter,
    /// Requests refused because the queue was full.
    pub(crate) queue_full: Counter,
    /// Requests refused because they had waited too long.
    pub(crate) queued_too_long: Counter,
    /// Requests whose process did not start.
    pub(crate) without_process: Counter,
    /// Requests refused because the app was under maintenance.
    pub(crate) under_maintenance: Counter,
    /// Processes that exited unexpectedly.
    pub(crate) crashed: Counter,
    /// Processes that ended to make room for other apps, and when the last one did.
    pub(crate) evicted: Counter,
    pub(crate) last_evicted: Lock<Option<Instant>>,
}

impl AppMetrics {
    /// Returns the number of requests without a response of the app, by reason.
    pub(crate) fn rejections(&self) -> [(&'static str, u64); 4] {
        [
            ("queue_full", self.queue_full.get()),
            ("queued_too_long", self.queued_too_long.get()),
            ("no_process", self.without_process.get()),
            ("maintenance", self.under_maintenance.get()),
        ]
    }
}

impl AppMetrics {
    /// Counts a response with this status.
    pub(crate) fn count_response(&self, status: u16) {
        if let Some(counter) = usize::from(status / 100).checked_sub(1).and_then(|at| self.responses.get(at))
        {
            count(counter);
        }
    }

    /// Returns the number of responses by class.
    pub(crate) fn responses(&self) -> impl Iterator<Item = (&'static str, u64)> {
        CLASSES.into_iter().zip(self.responses.iter().map(Counter::get))
    }
}

/// Adds one.
pub(crate) fn count(counter: &Counter) {
    counter.add(1);
}

/// Durations by length.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    buckets: [Counter; BOUNDS.len() + 1],
    nanoseconds: Counter,
}

impl Histogram {
    pub(crate) fn add(&self, span: Duration) {
        let seconds = span.as_secs_f64();
        let at = BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len());
        count(&self.buckets[at]);
        self.nanoseconds.add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Returns the number of durations up to each bound.
    pub(crate) fn cumulative(&self) -> [u64; BOUNDS.len()] {
        let mut sum = 0;
        std::array::from_fn(|at| {
            sum += self.buckets[at].get();
            sum
        })
    }

    pub(crate) fn count(&self) -> u64 {
        self.buckets.iter().map(Counter::get).sum()
    }

    /// Returns the sum of all durations, in seconds.
    pub(crate) fn sum(&self) -> f64 {
        self.nanoseconds.get() as f64 / 1e9
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_are_counted_by_class() {
        let metrics = AppMetrics::default();
        [101, 200, 204, 404, 599, 0, 99, 600, 999]
            .into_iter()
            .for_each(|status| metrics.count_response(status));
        let expected = [("1xx", 1), ("2xx", 2), ("3xx", 0), ("4xx", 1), ("5xx", 1)];
        assert_eq!(metrics.responses().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn buckets_are_cumulative() {
        let histogram = Histogram::default();
        for span in
            [Duration::ZERO, Duration::from_millis(1), Duration::from_millis(700), Duration::from_secs(90)]
        {
            histogram.add(span);
        }
        assert_eq!(histogram.cumulative(), [2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3]);
        assert_eq!(histogram.count(), 4);
        assert!((histogram.sum() - 90.701).abs() < 1e-9);
    }
}
