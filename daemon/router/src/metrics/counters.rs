//! What is counted for each app: requests, waits, starts, refusals. Events come in; numbers for administrators and for
//! Prometheus go out. They begin anew with each router.

use std::cell::Cell;
use std::time::Duration;

/// Upper bounds of a histogram's buckets, in seconds; the last one has none.
pub(crate) const BOUNDS: [f64; 12] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// The figures of one app.
#[derive(Debug, Default)]
pub(crate) struct AppMetrics {
    /// How long requests have waited for a process.
    pub(crate) queue_time: Histogram,
    /// How long requests have taken, their wait included, until their app's answer began. Neither a slow client nor a
    /// stream or WebSocket that goes on for hours makes it longer.
    pub(crate) answer_time: Histogram,
    /// How long requests have taken, their wait included, until their answer had been passed on.
    pub(crate) request_time: Histogram,
    /// How long processes have taken from their start until they were ready.
    pub(crate) spawn_time: Histogram,
    /// Processes that did not start.
    pub(crate) spawns_failed: Cell<u64>,
    /// Requests turned away, as the queue was full.
    pub(crate) queue_full: Cell<u64>,
    /// Requests turned away, as they had waited too long.
    pub(crate) queued_too_long: Cell<u64>,
    /// Requests whose process did not start.
    pub(crate) without_process: Cell<u64>,
    /// Requests turned away, as an administrator works on the app.
    pub(crate) under_maintenance: Cell<u64>,
    /// Processes that ended without having been told to.
    pub(crate) crashed: Cell<u64>,
}

/// Adds one.
pub(crate) fn count(counter: &Cell<u64>) {
    counter.set(counter.get() + 1);
}

/// Spans of time by their length.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    buckets: [Cell<u64>; BOUNDS.len() + 1],
    nanoseconds: Cell<u128>,
}

impl Histogram {
    pub(crate) fn add(&self, span: Duration) {
        let seconds = span.as_secs_f64();
        let at = BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len());
        count(&self.buckets[at]);
        self.nanoseconds.set(self.nanoseconds.get() + span.as_nanos());
    }

    /// How many spans are at most as long as each bound.
    pub(crate) fn cumulative(&self) -> [u64; BOUNDS.len()] {
        let mut sum = 0;
        std::array::from_fn(|at| {
            sum += self.buckets[at].get();
            sum
        })
    }

    pub(crate) fn count(&self) -> u64 {
        self.buckets.iter().map(Cell::get).sum()
    }

    /// Of all spans, in seconds.
    pub(crate) fn sum(&self) -> f64 {
        self.nanoseconds.get() as f64 / 1e9
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_counts_in_every_bucket_that_it_fits_in() {
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
