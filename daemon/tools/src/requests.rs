//! Text of `passenger-status --show=requests`: the active requests, with one paragraph per app.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value;

use super::{list, own_apps_only, printable, text};

/// Renders the requests of `/requests.json` by app, oldest first.
pub(super) fn render(requests: &Value) -> String {
    let mut by_app: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for request in list(requests, "requests") {
        by_app.entry(text(request, "app")).or_default().push(request);
    }
    let mut out = String::new();
    if by_app.is_empty() {
        out.push_str("There are no active requests.\n");
    }
    if let Some(note) = own_apps_only(requests) {
        let _ = writeln!(out, "Shown: {note}\n");
    }
    for (app, of_app) in by_app {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{}:", printable(app));
        write_times(&mut out, requests, app);
        for request in of_app {
            write_request(&mut out, request);
        }
        out.push('\n');
    }
    out
}

/// Writes the app's latencies, if the daemon sent them.
fn write_times(out: &mut String, requests: &Value, app: &str) {
    let Some(known) = list(requests, "apps").iter().find(|each| text(each, "name") == app) else { return };
    let times = [("Queue", "queue"), ("Response", "response"), ("Start", "spawn")];
    let times = times.map(|(title, key)| format!("{title}: {}", spans(&known["times"][key])));
    let _ = writeln!(out, "  {}", times.join("   "));
}

/// Returns the mean and the 95th percentile, because a mean hides a few slow requests.
fn spans(spans: &Value) -> String {
    let number = |key: &str| spans[key].as_u64();
    match (number("count"), number("mean_ms"), number("p95_ms")) {
        (None | Some(0), ..) => "-".to_owned(),
        (_, mean, Some(p95)) => format!("{} ms (95 % within {p95} ms)", mean.unwrap_or_default()),
        (_, mean, None) => format!("{} ms", mean.unwrap_or_default()),
    }
}

fn write_request(out: &mut String, request: &Value) {
    let pid = request["pid"].as_i64().map_or_else(|| "-".to_owned(), |pid| pid.to_string());
    let (phase, age) = (text(request, "phase"), seconds(&request["age_ms"]));
    let since = seconds(&request["phase_ms"]);
    let client = printable(text(request, "client"));
    let line = format!("{} {}", text(request, "method"), text(request, "path"));
    let _ = writeln!(out, "  * PID: {pid:<7} Age: {age:<9} Phase: {phase} for {since}   Client: {client}");
    let _ = writeln!(out, "    {}", printable(&line));
}

fn seconds(milliseconds: &Value) -> String {
    let milliseconds = milliseconds.as_u64().unwrap_or_default();
    format!("{}.{}s", milliseconds / 1000, milliseconds % 1000 / 100)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_app_has_its_requests() {
        let request = json!({
            "app": "/webapps/foo (production)", "pid": 4711, "method": "GET", "path": "/report?y=1\u{1b}[2J",
            "client": "203.0.113.7", "phase": "app", "age_ms": 12_345, "phase_ms": 12_300,
        });
        let waiting = json!({
            "app": "/webapps/foo (production)", "pid": null, "method": "POST", "path": "/", "client": "::1",
            "phase": "queued", "age_ms": 40, "phase_ms": 40,
        });
        let expected = "\
/webapps/foo (production):
  * PID: 4711    Age: 12.3s     Phase: app for 12.3s   Client: 203.0.113.7
    GET /report?y=1?[2J
  * PID: -       Age: 0.0s      Phase: queued for 0.0s   Client: ::1
    POST /

";
        assert_eq!(render(&json!({ "requests": [request.clone(), waiting] })), expected);
        let spans = json!({ "count": 9, "mean_ms": 3, "p95_ms": 10 });
        let none = json!({ "count": 0, "mean_ms": 0, "p95_ms": 1 });
        let long = json!({ "count": 1, "mean_ms": 90_000, "p95_ms": null });
        let times = json!({ "queue": spans, "response": none, "spawn": long });
        let apps = json!([{ "name": "/webapps/foo (production)", "times": times }]);
        let text = render(&json!({ "requests": [request], "apps": apps }));
        let line = "(production):\n  Queue: 3 ms (95 % within 10 ms)   Response: -   Start: 90000 ms\n  * PID: 4711 ";
        assert!(text.contains(line), "{text}");
        assert_eq!(render(&json!({ "requests": [] })), "There are no active requests.\n");
        let own = render(&json!({ "scope": "own", "requests": [] }));
        assert!(own.contains("Shown: only the apps that run as this user; "), "{own}");
    }
}
