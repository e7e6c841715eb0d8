//! Summary of an app's latencies, computed from its histograms.

use serde::Serialize;

use crate::metrics::counters::{AppMetrics, BOUNDS, Histogram};

/// Latencies of one app since this router started.
#[derive(Debug, Serialize)]
pub(super) struct Times {
    /// Time that requests waited for a process.
    pub(super) queue: Spans,
    /// Time from the request to the start of its response.
    pub(super) answer: Spans,
    /// Time until processes became ready.
    pub(super) spawn: Spans,
}

/// A summary of durations.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Spans {
    pub(super) count: u64,
    /// In milliseconds; 0 when there are no durations.
    pub(super) mean_ms: u64,
    /// 95th percentile in milliseconds, rounded up to a histogram bound; `null` above the largest bound.
    pub(super) p95_ms: Option<u64>,
}

impl Times {
    pub(super) fn of(metrics: &AppMetrics) -> Self {
        Self {
            queue: Spans::of(&metrics.queue_time),
            answer: Spans::of(&metrics.response_time),
            spawn: Spans::of(&metrics.spawn_time),
        }
    }
}

impl Spans {
    fn of(histogram: &Histogram) -> Self {
        let count = histogram.count();
        let most = (count as f64 * 0.95).ceil() as u64;
        let within = histogram.cumulative().into_iter().zip(BOUNDS).find(|(below, _)| *below >= most);
        let ms = |seconds: f64| (seconds * 1000.0).round() as u64;
        Self {
            count,
            mean_ms: ms(histogram.sum() / count.max(1) as f64),
            p95_ms: within.map(|(_, bound)| ms(bound)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn spans(milliseconds: &[u64]) -> Spans {
        let histogram = Histogram::default();
        milliseconds.iter().for_each(|ms| histogram.add(Duration::from_millis(*ms)));
        Spans::of(&histogram)
    }

    #[test]
    fn p95_ignores_one_of_twenty() {
        let mut all = vec![4; 19];
        all.push(4_000);
        let expected = Spans { count: 20, mean_ms: 204, p95_ms: Some(5) };
        assert_eq!(spans(&all), expected);
        all.push(4_000);
        assert_eq!(spans(&all).p95_ms, Some(5_000));
    }

    #[test]
    fn p95_of_nothing_and_above_the_largest_bound() {
        assert_eq!(spans(&[]), Spans { count: 0, mean_ms: 0, p95_ms: Some(1) });
        assert_eq!(spans(&[600_000]).p95_ms, None);
    }
}
