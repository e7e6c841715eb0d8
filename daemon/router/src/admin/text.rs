//! The pool as text, in the layout that scripts for Passenger parse.

use super::caller::Scope;
use super::pool::{GroupView, ProcessView, Snapshot};
use common::instance::OWN_APPS_ONLY;
use common::link::AppMode;

/// Renders the snapshot; headings are yellow on blue with `color`. `verbose` adds the address of each process and the
/// app of each request that waits while its app has no process.
pub(super) fn render(snapshot: &Snapshot, color: bool, verbose: bool) -> String {
    let mut out = String::new();
    let without_process = || snapshot.groups.iter().filter(|group| group.processes.is_empty());
    let queued: usize = without_process().map(|group| group.queue).sum();
    out.push_str(&bar("General information", color));
    line(&mut out, format_args!("Max pool size : {}", snapshot.max_pool_size));
    line(&mut out, format_args!("App groups    : {}", snapshot.groups.len()));
    line(&mut out, format_args!("Processes     : {}", snapshot.process_count()));
    line(&mut out, format_args!("Requests in top-level queue : {queued}"));
    if verbose {
        let waiting = without_process().flat_map(|group| std::iter::repeat_n(&group.name, group.queue));
        for (at, name) in waiting.enumerate() {
            line(&mut out, format_args!("  {}: {name}", at + 1));
        }
    }
    if snapshot.scope == Scope::Own {
        line(&mut out, format_args!("Shown         : {}", OWN_APPS_ONLY));
    }
    for problem in &snapshot.problems {
        line(&mut out, format_args!("Problem       : {} (for {})", problem.what, duration(problem.seconds)));
    }
    out.push('\n');
    out.push_str(&bar("Application groups", color));
    for group in &snapshot.groups {
        render_group(&mut out, group, verbose);
    }
    out
}

fn render_group(out: &mut String, group: &GroupView, verbose: bool) {
    line(out, format_args!("{}:", group.name));
    line(out, format_args!("  App root: {}", group.app_root));
    match group.mode {
        AppMode::PAUSED => line(out, format_args!("  (paused: requests wait)")),
        AppMode::MAINTENANCE => line(out, format_args!("  (maintenance: requests are refused)")),
        _ => {}
    }
    match group.deployment {
        "rolling" => line(out, format_args!("  (restarting...)")),
        "resisting" => line(out, format_args!("  (resisting deployment error)")),
        _ => {}
    }
    if let failed @ 1.. = group.failing_starts {
        let times = if failed == 1 { "time" } else { "times" };
        let root = &group.app_root;
        line(out, format_args!("  (cannot start, failed {failed} {times}: passenger-config doctor {root})"));
    }
    match group.spawning {
        0 => {}
        1 => line(out, format_args!("  (spawning 1 new process...)")),
        n => line(out, format_args!("  (spawning {n} new processes...)")),
    }
    if let (1.., Some(last)) = (group.evictions, group.last_eviction) {
        let (count, ended) = (group.evictions, if group.evictions == 1 { "process" } else { "processes" });
        let last = duration(last);
        line(
            out,
            format_args!(
                "  ({count} {ended} ended to make room for other apps, the last {last} ago: see Max pool size)"
            ),
        );
    }
    line(out, format_args!("  Requests in queue: {}", group.queue));
    for process in &group.processes {
        render_process(out, process);
        if verbose {
            line(out, format_args!("    URL     : {}", process.url));
            if let Some(native) = &process.native_support {
                line(out, format_args!("    Native  : {native}"));
            }
        }
        if group.deployment == "rolling" && process.outdated && process.state == "serving" {
            line(out, format_args!("    Rolling restarting..."));
        }
    }
    out.push('\n');
}

fn render_process(out: &mut String, process: &ProcessView) {
    let ProcessView { pid, sessions, processed, cpu, .. } = process;
    let uptime = duration(process.uptime);
    line(
        out,
        format_args!(
            "  * PID: {pid:<5}   Sessions: {sessions:<2}      Processed: {processed:<5}   Uptime: {uptime}"
        ),
    );
    let cpu = format!("{cpu}%");
    let memory = format!("{}M", (process.memory + 512 * 1024) / (1024 * 1024));
    let last_used = duration(process.last_used);
    line(out, format_args!("    CPU: {cpu:<5}   Memory  : {memory:<5}   Last used: {last_used} ago"));
    if let Some(revision) = &process.code_revision {
        line(out, format_args!("    Code revision: {revision}"));
    }
    match process.state {
        "draining" | "stopping" => line(out, format_args!("    Shutting down...")),
        _ => {}
    }
}

fn bar(title: &str, color: bool) -> String {
    let bar = format!("----------- {title} -----------");
    if color { format!("\x1b[44m\x1b[33m\x1b[1m{bar}\x1b[0m\n") } else { format!("{bar}\n") }
}

/// Replaces control characters, which app names may contain and a terminal would interpret.
fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    let text = text.to_string();
    out.extend(text.chars().map(|char| if char.is_control() { '?' } else { char }));
    out.push('\n');
}

/// Formats seconds as `1h 2m 3s`, without leading zeros.
fn duration(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m {seconds}s"),
        _ => format!("{hours}h {minutes}m {seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::times::Times;
    use super::*;
    use crate::metrics::counters::AppMetrics;

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let mut out = String::new();
        line(&mut out, format_args!("{}:", "a\u{1b}]0;x\u{7}\nb\u{9b}1m"));
        assert_eq!(out, "a?]0;x??b?1m:\n");
    }

    #[test]
    fn the_layout_is_passengers() {
        let process = ProcessView {
            pid: 4711,
            state: "serving",
            outdated: false,
            user: "www".into(),
            code_revision: None,
            native_support: None,
            sessions: 1,
            concurrency: Some(1),
            processed: 42,
            uptime: 187,
            last_used: 8,
            cpu: 5,
            cpu_ms: 9350,
            memory: 64 << 20,
            url: "http://127.0.0.1:5000".into(),
        };
        let group = GroupView {
            name: "/webapps/foo (production)".into(),
            app_root: "/webapps/foo".into(),
            app_type: "ruby",
            start_command: String::new(),
            environment: "production".into(),
            queue: 0,
            spawning: 0,
            min_instances: 1,
            max_request_queue_size: 100,
            restarts: 0,
            failing_starts: 0,
            evictions: 0,
            last_eviction: None,
            deployment: "settled",
            mode: AppMode::OPEN,
            times: Times::of(&AppMetrics::default()),
            preloader: None,
            settings: None,
            processes: vec![process],
        };
        let mut snapshot = Snapshot {
            max_pool_size: 6,
            capacity_used: 1,
            groups: vec![group],
            ..Snapshot::empty(Scope::All)
        };
        let expected = "\
----------- General information -----------
Max pool size : 6
App groups    : 1
Processes     : 1
Requests in top-level queue : 0

----------- Application groups -----------
/webapps/foo (production):
  App root: /webapps/foo
  Requests in queue: 0
  * PID: 4711    Sessions: 1       Processed: 42      Uptime: 3m 7s
    CPU: 5%      Memory  : 64M     Last used: 8s ago

";
        assert_eq!(render(&snapshot, false, false), expected);
        let last_used = "Last used: 8s ago\n";
        let verbose =
            expected.replace(last_used, &format!("{last_used}    URL     : http://127.0.0.1:5000\n"));
        assert_eq!(render(&snapshot, false, true), verbose);
        snapshot.groups[0].failing_starts = 2;
        let failing = "  App root: /webapps/foo\n  (cannot start, failed 2 times: passenger-config doctor /webapps/foo)\n";
        assert_eq!(render(&snapshot, false, false), expected.replace("  App root: /webapps/foo\n", failing));
    }

    #[test]
    fn a_list_of_the_callers_apps_says_so() {
        let mut snapshot = Snapshot::empty(Scope::Own);
        assert!(
            render(&snapshot, false, false)
                .contains("\nShown         : only the apps that run as this user; ")
        );
        snapshot.scope = Scope::All;
        assert!(!render(&snapshot, false, false).contains("Shown"));
    }

    #[test]
    fn durations_have_no_leading_zeros() {
        assert_eq!(duration(59), "59s");
        assert_eq!(duration(3600), "1h 0m 0s");
    }
}
