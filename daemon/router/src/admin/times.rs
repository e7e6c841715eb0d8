//! Summary of an app's latencies, computed from its histograms.

use serde::Serialize;

use crate::metrics::counters::{AppMetrics, BOUNDS, Histogram};

/// Latencies of one app since this router started.
#[derive(Debug, Serialize)]
pub(super) struct Times {
    /// Time that requests waited for a process.
    pub(super) queue: DurationSummary,
    /// Time from the request to the start of its response.
    pub(super) response: DurationSummary,
    /// Time until processes became ready.
    pub(super) spawn: DurationSummary,
}

/// A summary of durations.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct DurationSummary {
    pub(super) count: u64,
    /// In milliseconds; 0 when there are no durations.
    pub(super) mean_ms: u64,
    /// 95th percentile in milliseconds, rounded up to a histogram bound; `null` above the largest bound.
    pub(super) p95_ms: Option<u64>,
}

impl Times {
    pub(super) fn of(metrics: &AppMetrics) -> Self {
        Self {
            queue: DurationSummary::of(&metrics.queue_time),
            response: DurationSummary::of(&metrics.response_time),
            spawn: DurationSummary::of(&metrics.spawn_time),
        }
    }
}

impl DurationSummary {
    fn of(histogram: &Histogram) -> Self {
        let count = histogram.count();
        let rank = (count as f64 * 0.95).ceil() as u64;
        let bound = histogram.cumulative().into_iter().zip(BOUNDS).find(|(below, _)| *below >= rank);
        let ms = |seconds: f64| (seconds * 1000.0).round() as u64;
        Self {
            count,
            mean_ms: ms(histogram.sum() / count.max(1) as f64),
            p95_ms: bound.map(|(_, bound)| ms(bound)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn summary(milliseconds: &[u64]) -> DurationSummary {
        let histogram = Histogram::default();
        milliseconds.iter().for_each(|ms| histogram.add(Duration::from_millis(*ms)));
        DurationSummary::of(&histogram)
    }

    #[test]
    fn p95_ignores_one_of_twenty() {
        let mut all = vec![4; 19];
        all.push(4_000);
        let expected = DurationSummary { count: 20, mean_ms: 204, p95_ms: Some(5) };
        assert_eq!(summary(&all), expected);
        all.push(4_000);
        assert_eq!(summary(&all).p95_ms, Some(5_000));
    }

    #[test]
    fn p95_of_nothing_and_above_the_largest_bound() {
        assert_eq!(summary(&[]), DurationSummary { count: 0, mean_ms: 0, p95_ms: Some(1) });
        assert_eq!(summary(&[600_000]).p95_ms, None);
    }
}
