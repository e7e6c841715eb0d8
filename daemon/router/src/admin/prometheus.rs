//! Metrics in Prometheus's text format, version 0.0.4, with the app as a label.

use std::fmt::{Display, Write};
use std::sync::Arc;

use super::pool::{GroupView, Snapshot};
use crate::metrics::counters::{AppMetrics, BOUNDS, Histogram};

/// Start of the name of every metric.
const PREFIX: &str = "flying_passenger_";
/// The content type that Prometheus expects.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A metric of each app: its name after `flying_passenger_`, its type, its description, its value.
type AppMetric = (&'static str, &'static str, &'static str, fn(&GroupView, &AppMetrics) -> u64);

const APP_METRICS: [AppMetric; 9] = [
    ("queued_requests", "gauge", "Requests that wait for a process.", |group, _| group.queue as u64),
    ("processes", "gauge", "Processes that are ready or shutting down.", |group, _| {
        group.processes.len() as u64
    }),
    ("starting_processes", "gauge", "Processes that are starting.", |group, _| group.spawning as u64),
    ("sessions", "gauge", "Requests that processes handle.", |group, _| {
        group.processes.iter().map(|process| process.sessions as u64).sum()
    }),
    ("memory_bytes", "gauge", "Private memory of the processes.", |group, _| {
        group.processes.iter().map(|process| process.memory).sum()
    }),
    ("restarts_total", "counter", "Restarts of the app.", |group, _| group.restarts),
    ("spawn_failures_total", "counter", "Processes that failed to start.", |_, metrics| {
        metrics.spawns_failed.get()
    }),
    ("evictions_total", "counter", "Processes that ended to make room for other apps.", |group, _| {
        group.evictions
    }),
    ("crashes_total", "counter", "Processes that exited unexpectedly.", |_, metrics| metrics.crashed.get()),
];

/// A histogram of each app, likewise.
type AppHistogram = (&'static str, &'static str, fn(&AppMetrics) -> &Histogram);

const APP_HISTOGRAMS: [AppHistogram; 4] = [
    ("queue_seconds", "Time that requests waited for a process.", |metrics| &metrics.queue_time),
    ("response_seconds", "Time from requests to the start of their responses.", |metrics| {
        &metrics.response_time
    }),
    ("request_seconds", "Time from requests to the end of their responses.", |metrics| &metrics.request_time),
    ("spawn_seconds", "Time that processes took to become ready.", |metrics| &metrics.spawn_time),
];

/// Renders the groups of the snapshot with their metrics.
pub(super) fn render(snapshot: &Snapshot, metrics: &[Arc<AppMetrics>]) -> String {
    let mut page = Page(String::new());
    let version = [("version", snapshot.version), ("instance", snapshot.instance.as_str())];
    page.metric("info", "gauge", "Version of the daemon.", &version, 1);
    page.metric("max_pool_size", "gauge", "Maximum number of app processes.", &[], snapshot.max_pool_size);
    page.metric(
        "capacity_used",
        "gauge",
        "App processes, including those that are starting.",
        &[],
        snapshot.capacity_used,
    );
    page.metric(
        "problems",
        "gauge",
        "Current problems of the daemon itself; passenger-status lists them.",
        &[],
        snapshot.problems.len(),
    );
    let groups: Vec<_> = snapshot.groups.iter().zip(metrics).collect();
    for (name, kind, help, value) in APP_METRICS {
        page.head(name, kind, help);
        groups
            .iter()
            .for_each(|(view, metrics)| page.line(name, &[("app", &view.name)], value(view, metrics)));
    }
    page.by_label(
        &groups,
        "rejections_total",
        "Requests without a response of the app.",
        "reason",
        |metrics| metrics.rejections().to_vec(),
    );
    page.by_label(
        &groups,
        "responses_total",
        "Responses, including the daemon's own.",
        "status",
        |metrics| metrics.responses().collect(),
    );
    page.head("cpu_seconds_total", "counter", "CPU time of the processes.");
    for (view, metrics) in &groups {
        page.line("cpu_seconds_total", &[("app", &view.name)], metrics.cpu_ms.get() as f64 / 1000.0);
    }
    for (name, help, histogram) in APP_HISTOGRAMS {
        page.head(name, "histogram", help);
        groups.iter().for_each(|(view, metrics)| page.histogram(name, &view.name, histogram(metrics)));
    }
    page.0
}

struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "# HELP {PREFIX}{name} {help}\n# TYPE {PREFIX}{name} {kind}");
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let _ = write!(self.0, "{PREFIX}{name}");
        for (at, (label, text)) in labels.iter().enumerate() {
            self.0.push(if at == 0 { '{' } else { ',' });
            let _ = write!(self.0, "{label}=\"{}\"", escaped(text));
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {value}");
    }

    fn metric(&mut self, name: &str, kind: &str, help: &str, labels: &[(&str, &str)], value: impl Display) {
        self.head(name, kind, help);
        self.line(name, labels, value);
    }

    /// A counter with one more label than the app.
    fn by_label(
        &mut self,
        groups: &[(&GroupView, &Arc<AppMetrics>)],
        name: &str,
        help: &str,
        label: &str,
        counts: fn(&AppMetrics) -> Vec<(&'static str, u64)>,
    ) {
        self.head(name, "counter", help);
        for (view, metrics) in groups {
            for (reason, count) in counts(metrics) {
                self.line(name, &[("app", &view.name), (label, reason)], count);
            }
        }
    }

    fn histogram(&mut self, name: &str, app: &str, histogram: &Histogram) {
        let bucket = format!("{name}_bucket");
        for (bound, below) in BOUNDS.iter().zip(histogram.cumulative()) {
            self.line(&bucket, &[("app", app), ("le", &bound.to_string())], below);
        }
        self.line(&bucket, &[("app", app), ("le", "+Inf")], histogram.count());
        self.line(&format!("{name}_sum"), &[("app", app)], histogram.sum());
        self.line(&format!("{name}_count"), &[("app", app)], histogram.count());
    }
}

fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    // The page may be read in a terminal.
    text.replace(char::is_control, "?")
}

#[cfg(test)]
mod tests {
    use super::super::caller::Scope;
    use super::*;

    #[test]
    fn the_tools_page_lists_every_metric() {
        let page = render(&Snapshot::empty(Scope::All), &[]);
        let mut given: Vec<_> =
            page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
        let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/TOOLS.md");
        let docs = std::fs::read_to_string(docs).unwrap();
        let rows = docs.lines().filter_map(|line| line.strip_prefix("| `flying_passenger_"));
        let listed: Vec<_> =
            rows.map(|row| format!("flying_passenger_{}", row.split('`').next().unwrap())).collect();
        let mut listed: Vec<_> = listed.iter().map(String::as_str).collect();
        given.sort_unstable();
        listed.sort_unstable();
        assert_eq!(listed, given);
    }

    #[test]
    fn labels_are_escaped() {
        let mut page = Page(String::new());
        page.line("x", &[("app", "/a \"b\"\\\n"), ("le", "1")], 2);
        assert_eq!(page.0, "flying_passenger_x{app=\"/a \\\"b\\\"\\\\\\n\",le=\"1\"} 2\n");
    }
}
