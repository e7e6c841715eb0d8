//! The tools' smaller commands: the API itself, metrics, health, memory.

use std::collections::HashMap;

use test_support::{Daemon, Language, OneApp, Request};

fn call(daemon: &Daemon, arguments: &[&str]) -> (i32, String) {
    let output = daemon.tool("passenger-config", &[&["api-call"], arguments].concat());
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

/// The page's samples by name and labels.
fn samples(page: &str) -> HashMap<&str, f64> {
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(name, value)| (name, value.parse().unwrap()))
        .collect()
}

#[test]
fn the_api_can_be_called() {
    let setup = OneApp::of(Language::Ruby);
    let pid = setup.app_pid();
    assert_eq!(call(&setup.daemon, &["GET", "/healthz"]), (0, "{\"status\":\"ok\"}\n".to_owned()));
    let (status, body) = call(&setup.daemon, &["get", "/no/such/path", "--show-headers"]);
    assert!(status == 1 && body.starts_with("HTTP/1.1 404\n"), "{body}");
    assert_eq!(call(&setup.daemon, &["GET", "/nothing", "--ignore-response-code"]).0, 0);
    assert_eq!(call(&setup.daemon, &["GET", "pool.json"]).0, 1);
    assert_eq!(call(&setup.daemon, &["PATCH", "/pool.json"]).0, 1);
    let body = format!("{{\"pid\":{pid}}}");
    assert_eq!(call(&setup.daemon, &["POST", "/pool/detach_process.json", "--data", &body]).0, 0);
    assert_ne!(setup.app_pid(), pid);
}

#[test]
fn the_body_of_a_call_may_come_from_standard_input_or_a_file() {
    let setup = OneApp::of(Language::Ruby);
    let body = |pid: u32| format!("{{\"pid\": {pid}}}");
    let file = setup.test_dir.path("body.json");
    for (short, long) in [("-d", "--data"), ("-i", "--stdin"), ("-f", "--data-file")] {
        for flag in [short, long] {
            let pid = setup.app_pid();
            std::fs::write(&file, body(pid)).unwrap();
            let mut command = std::process::Command::new(test_support::binary("passenger-config"));
            command.args(["api-call", "POST", "/pool/detach_process.json", flag]);
            match short {
                "-d" => command.arg(body(pid)),
                "-f" => command.arg(&file),
                _ => &mut command,
            };
            command.stdin(std::fs::File::open(&file).unwrap()).stdout(std::process::Stdio::null());
            command.env("PASSENGER_INSTANCE_REGISTRY_DIR", setup.test_dir.path("registry"));
            assert!(command.status().unwrap().success(), "{flag}");
            assert_ne!(setup.app_pid(), pid, "{flag}: the process was detached");
        }
    }
    let no_file = call(&setup.daemon, &["POST", "/reopen_logs.json", "--data-file=/nonexistent"]);
    assert_eq!(no_file, (1, String::new()));
}

#[test]
fn removed_commands_name_their_replacement() {
    for arguments in [&["system-metrics", "--watch=1"][..], &["system-properties"]] {
        let output =
            std::process::Command::new(test_support::binary("passenger-config")).args(arguments).output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(1));
        let expected = format!("\"{}\" was removed; use top(1), uname(1) or node_exporter\n", arguments[0]);
        assert!(String::from_utf8(output.stderr).unwrap().ends_with(&expected));
    }
}

#[test]
fn a_method_that_a_path_does_not_take_is_refused_by_the_daemon() {
    let setup = OneApp::of(Language::Ruby);
    for method in ["PUT", "DELETE", "POST"] {
        let (status, body) = call(&setup.daemon, &[method, "/pool.json"]);
        assert!(status == 1 && body.contains("this path accepts only GET"), "{method}: {body}");
    }
}

#[test]
fn a_missing_process_cannot_be_detached() {
    let setup = OneApp::of(Language::Ruby);
    let detach = |more: &[&str]| {
        let output = setup.daemon.tool("passenger-config", &[&["detach-process", "4194305"], more].concat());
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (status, reported) = detach(&[]);
    assert!(status == Some(1) && reported.starts_with("passenger-config: "), "{reported}");
    let content = detach(&["--ignore-nonexistant-pid"]);
    assert_eq!(content, (Some(0), "No app process has the PID 4194305.\n".to_owned()));
}

#[test]
fn metrics_count_what_happens() {
    let lines = "passenger_max_request_queue_size 1;";
    let setup = OneApp::with(Language::Python, lines, |daemon| daemon.flag("--max-pool-size=1"));
    for _ in 0..4 {
        setup.app_pid();
    }
    let ask = || {
        let mut client = setup.nginx.connect();
        client.send(Request::get("/wait?name=gate").bytes("close"));
        client
    };
    let (_, page) = call(&setup.daemon, &["GET", "/metrics"]);
    let app = format!("app=\"{} (production)\"", setup.app.dir().display());
    let value = |page: &str, name: &str, more: &str| {
        let key = format!("flying_passenger_{name}{{{app}{more}}}");
        *samples(page).get(&*key).unwrap_or_else(|| panic!("{key} is not in\n{page}"))
    };
    assert_eq!(value(&page, "processes", ""), 1.0);
    assert_eq!(value(&page, "request_seconds_count", ""), 4.0);
    assert_eq!(value(&page, "queue_seconds_bucket", ",le=\"+Inf\""), 4.0);
    assert_eq!(value(&page, "spawn_seconds_count", ""), 1.0);
    assert_eq!(value(&page, "responses_total", ",status=\"2xx\""), 4.0);
    assert_eq!(value(&page, "evictions_total", ""), 0.0);
    assert!(value(&page, "cpu_seconds_total", "") > 0.0, "{page}");
    assert!(value(&page, "spawn_seconds_sum", "") > 0.0 && value(&page, "memory_bytes", "") > 0.0);

    let mut busy = ask();
    let state = |name: &str| value(&call(&setup.daemon, &["GET", "/metrics"]).1, name, "");
    test_support::eventually("one is served", || state("sessions") == 1.0);
    let mut waiting = ask();
    test_support::eventually("one request waits", || state("queued_requests") == 1.0);
    assert_eq!(ask().read_response().status(), 503);
    let (_, page) = call(&setup.daemon, &["GET", "/metrics"]);
    assert_eq!(value(&page, "rejections_total", ",reason=\"queue_full\""), 1.0);
    assert_eq!(value(&page, "responses_total", ",status=\"5xx\""), 1.0, "the daemon's own");
    setup.test_dir.open_gate("gate");
    busy.read_response().expect(200);
    waiting.read_response().expect(200);

    test_support::kill_9(setup.app_pid());
    test_support::eventually("the crash is counted", || state("crashes_total") == 1.0);
    setup.daemon.tool("passenger-config", &["restart-app", &setup.app.dir().display().to_string()]);
    test_support::eventually("the restart is counted", || state("restarts_total") == 1.0);
    assert_eq!(state("crashes_total"), 1.0, "a restart is no crash");
}

#[test]
fn memory_stats_show_nginx_daemon_and_apps() {
    let setup = OneApp::of(Language::Ruby);
    let pid = setup.app_pid();
    let output = setup.daemon.tool("passenger-memory-stats", &[]);
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let (nginx, ours) = text.split_once(" Passenger processes ").unwrap();
    let row = |table: &str, pid: u32| {
        let line = table.lines().find(|line| line.split_whitespace().next() == Some(&pid.to_string()));
        line.unwrap_or_else(|| panic!("{pid} is not in\n{text}")).to_owned()
    };
    assert!(row(nginx, setup.nginx.master()).contains("nginx: master process"));
    assert!(row(ours, pid).contains(" MB  ") && row(ours, setup.daemon.pid()).contains("flying-passenger"));
    assert!(row(ours, setup.daemon.router()).contains("flying-passenger router"));
    let others = setup.daemon.own_pids().split_off(2);
    let other = |name: &str| others.iter().filter(|pid| row(ours, **pid).ends_with(name)).count();
    assert_eq!((other("flying-log"), other("flying-log") + other("flying-stat")), (1, others.len()));
    assert!(other("flying-stat") > 0);
    for pid in others {
        let of_ps = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
        let of_ps = of_ps.trim_end_matches('\0');
        assert!(["flying-stat", "flying-log"].contains(&of_ps), "{of_ps} looks like a second daemon");
    }
    assert!(ours.contains("### Total private dirty RSS: ") && ours.contains("### Processes: "));
    let output = setup.daemon.tool("passenger-memory-stats", &["--no-nginx", "--no-apache"]);
    assert!(!String::from_utf8(output.stdout).unwrap().contains("Nginx processes"));
    assert_eq!(setup.daemon.tool("passenger-memory-stats", &["--nonsense"]).status.code(), Some(1));
}

/// A question at the administration socket by `user`, who is also in the group `more`; status and answer.
fn asked_as(user: &str, more: &str, socket: &str, arguments: &[&str]) -> (String, String) {
    let output = std::process::Command::new("setpriv")
        .args([&format!("--reuid={user}"), &format!("--regid={user}"), &format!("--groups={more}")])
        .args(["curl", "-sS", "-w", "\n%{http_code}", "--unix-socket", socket])
        .args(arguments)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (body, status) =
        text.rsplit_once('\n').unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    (status.to_owned(), body.to_owned())
}

#[test]
fn members_of_the_status_group_see_everything_and_change_nothing() {
    if !test_support::is_root() {
        return test_support::skipped("members_of_the_status_group_see_everything", "it switches users");
    }
    let setup = OneApp::with(Language::Ruby, "", |daemon| daemon.flag("--status-group=adm"));
    let pid = setup.app_pid();
    let root = setup.app.dir().display().to_string();
    let socket = setup.daemon.admin_socket().display().to_string();
    let ask = |group: &str, arguments: &[&str]| asked_as("games", group, &socket, arguments);

    assert!(!ask("games", &["http://x/pool.txt"]).1.contains(&root), "another user sees no app");
    assert!(ask("adm", &["http://x/pool.txt"]).1.contains(&format!("* PID: {pid}")));
    assert!(ask("adm", &["http://x/metrics"]).1.contains(&root));
    let body = format!("{{\"pid\":{pid}}}");
    assert_eq!(ask("adm", &["-d", &body, "http://x/pool/detach_process.json"]).0, "403");
    let body = format!("{{\"name\":\"{root} (production)\"}}");
    assert_eq!(ask("adm", &["-d", &body, "http://x/pool/restart_app_group.json"]).0, "403");
    assert_eq!(ask("adm", &["-d", "{}", "http://x/reopen_logs.json"]).0, "403");
    assert_eq!(setup.app_pid(), pid);
}

#[test]
fn an_unknown_status_group_is_refused() {
    let output = test_support::TestDir::new().daemon().flag("--status-group=no-such-group").output();
    assert_eq!(output.status.code(), Some(1));
    let reported = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(reported.contains("--status-group: unknown group \"no-such-group\""), "{reported}");
}

#[test]
fn json_is_indented_on_a_terminal_only() {
    let setup = OneApp::of(Language::Python);
    setup.app_pid();
    for show in ["--show=json", "--show=server"] {
        let output = setup.daemon.tool("passenger-status", &[show]).stdout;
        assert_eq!(
            output.trim_ascii_end().iter().filter(|byte| **byte == b'\n').count(),
            0,
            "one line for scripts"
        );
        let program = test_support::binary("passenger-status").display().to_string();
        let mut terminal = std::process::Command::new("script");
        terminal.args(["-qec", &format!("{program} {show}"), "/dev/null"]);
        terminal.env("PASSENGER_INSTANCE_REGISTRY_DIR", setup.test_dir.path("registry"));
        let shown = String::from_utf8(terminal.output().unwrap().stdout).unwrap();
        assert!(shown.starts_with("{\r\n  \""), "{shown}");
        let parsed: serde_json::Value = serde_json::from_str(&shown.replace('\r', "")).unwrap();
        assert_eq!(parsed["scope"], "all");
    }
}
