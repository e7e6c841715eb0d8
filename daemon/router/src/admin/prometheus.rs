//! Metrics in Prometheus's text format, version 0.0.4, with the app as a label.

use std::fmt::{Display, Write};
use std::rc::Rc;

use super::pool::Snapshot;
use crate::metrics::counters::{AppMetrics, BOUNDS, Histogram};

/// The content type that Prometheus expects.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A group of the snapshot with its metrics.
pub(super) fn render(snapshot: &Snapshot, metrics: &[Rc<AppMetrics>]) -> String {
    let mut page = Page(String::new());
    page.head("flying_passenger_info", "gauge", "The daemon's release.");
    page.line("flying_passenger_info", &[("version", snapshot.version), ("instance", &snapshot.instance)], 1);
    page.head("flying_passenger_max_pool_size", "gauge", "Most app processes at a time.");
    page.line("flying_passenger_max_pool_size", &[], snapshot.max_pool_size);
    page.head("flying_passenger_capacity_used", "gauge", "App processes, those that start included.");
    page.line("flying_passenger_capacity_used", &[], snapshot.capacity_used);
    page.head(
        "flying_passenger_troubles",
        "gauge",
        "What is wrong with the daemon itself: see passenger-status.",
    );
    page.line("flying_passenger_troubles", &[], snapshot.troubles.len());
    let groups: Vec<_> = snapshot.groups.iter().zip(metrics).collect();
    page.of_apps("queued_requests", "gauge", "Requests that wait for a process.", &groups, |(g, _)| {
        g.queue as u64
    });
    page.of_apps("processes", "gauge", "Processes that are ready or end.", &groups, |(g, _)| {
        g.processes.len() as u64
    });
    page.of_apps("starting_processes", "gauge", "Processes that start.", &groups, |(g, _)| g.spawning as u64);
    page.of_apps("sessions", "gauge", "Requests that processes work on.", &groups, |(g, _)| {
        g.processes.iter().map(|process| process.sessions as u64).sum()
    });
    page.of_apps("memory_bytes", "gauge", "Private memory of the processes.", &groups, |(g, _)| {
        g.processes.iter().map(|process| process.memory).sum()
    });
    page.of_apps("restarts_total", "counter", "Restarts of the app.", &groups, |(g, _)| g.restarts);
    page.of_apps("spawn_failures_total", "counter", "Processes that did not start.", &groups, |(_, f)| {
        f.spawns_failed.get()
    });
    page.of_apps("crashes_total", "counter", "Processes that ended untold.", &groups, |(_, f)| {
        f.crashed.get()
    });
    page.rejections(&groups);
    page.histogram("queue_seconds", "How long requests waited for a process.", &groups, |f| &f.queue_time);
    page.histogram("answer_seconds", "How long requests took until their answer began.", &groups, |f| {
        &f.response_time
    });
    page.histogram("request_seconds", "How long requests took, their wait included.", &groups, |f| {
        &f.request_time
    });
    page.histogram("spawn_seconds", "How long processes took to become ready.", &groups, |f| &f.spawn_time);
    page.0
}

type Group<'g> = (&'g super::pool::GroupView, &'g Rc<AppMetrics>);

struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (at, (label, text)) in labels.iter().enumerate() {
            self.0.push(if at == 0 { '{' } else { ',' });
            let _ = write!(self.0, "{label}=\"{}\"", escaped(text));
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {value}");
    }

    fn of_apps(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        groups: &[Group<'_>],
        value: impl Fn(Group<'_>) -> u64,
    ) {
        let name = format!("flying_passenger_{name}");
        self.head(&name, kind, help);
        for group in groups {
            self.line(&name, &[("app", &group.0.name)], value(*group));
        }
    }

    fn rejections(&mut self, groups: &[Group<'_>]) {
        const NAME: &str = "flying_passenger_rejections_total";
        self.head(NAME, "counter", "Requests that no process answered.");
        for (view, metrics) in groups {
            for (reason, counter) in [
                ("queue_full", &metrics.queue_full),
                ("queued_too_long", &metrics.queued_too_long),
                ("no_process", &metrics.without_process),
                ("maintenance", &metrics.under_maintenance),
            ] {
                self.line(NAME, &[("app", &view.name), ("reason", reason)], counter.get());
            }
        }
    }

    fn histogram(
        &mut self,
        name: &str,
        help: &str,
        groups: &[Group<'_>],
        which: impl Fn(&AppMetrics) -> &Histogram,
    ) {
        let name = format!("flying_passenger_{name}");
        self.head(&name, "histogram", help);
        for (view, metrics) in groups {
            let (app, histogram) = (view.name.as_str(), which(metrics));
            let bucket = format!("{name}_bucket");
            for (bound, below) in BOUNDS.iter().zip(histogram.cumulative()) {
                self.line(&bucket, &[("app", app), ("le", &bound.to_string())], below);
            }
            self.line(&bucket, &[("app", app), ("le", "+Inf")], histogram.count());
            self.line(&format!("{name}_sum"), &[("app", app)], histogram.sum());
            self.line(&format!("{name}_count"), &[("app", app)], histogram.count());
        }
    }
}

fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    // The page may be read in a terminal.
    text.replace(char::is_control, "?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tools_page_lists_every_metric() {
        let snapshot = Snapshot {
            version: "0",
            instance: String::new(),
            max_pool_size: 6,
            capacity_used: 0,
            troubles: Vec::new(),
            options: Vec::new(),
            app_defaults: Vec::new(),
            ignored_directives: Vec::new(),
            groups: Vec::new(),
            ids: Vec::new(),
        };
        let page = render(&snapshot, &[]);
        let mut given: Vec<_> =
            page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
        let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/TOOLS.md");
        let docs = std::fs::read_to_string(docs).unwrap();
        let rows = docs.lines().filter_map(|line| line.strip_prefix("| `flying_passenger_"));
        let told: Vec<_> =
            rows.map(|row| format!("flying_passenger_{}", row.split('`').next().unwrap())).collect();
        let mut told: Vec<_> = told.iter().map(String::as_str).collect();
        given.sort_unstable();
        told.sort_unstable();
        assert_eq!(told, given);
    }

    #[test]
    fn labels_are_escaped() {
        let mut page = Page(String::new());
        page.line("x", &[("app", "/a \"b\"\\\n"), ("le", "1")], 2);
        assert_eq!(page.0, "x{app=\"/a \\\"b\\\"\\\\\\n\",le=\"1\"} 2\n");
    }
}
