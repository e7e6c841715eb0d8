//! Deployments of an app: rolling restarts, waiting for them, and new versions that do not start.

use std::process::Output;

use test_support::{
    Daemon, DaemonBuilder, Language, Load, OneApp, Request, eventually, for_each_language, kill_9,
};

const BROKEN: &str = "raise 'a bad deployment'";

/// An app with two processes, and a look at its restart files with every request.
fn two_processes(language: Language, lines: &str) -> OneApp {
    let lines = format!("passenger_min_instances 2; {lines}");
    let flags = |daemon: DaemonBuilder| daemon.flag("--stat-throttle-rate=0").flag("--max-pool-size=2");
    let setup = OneApp::with(language, &lines, flags);
    setup.app_pid();
    eventually("two processes serve", || sorted(&setup.daemon).len() == 2);
    setup
}

fn sorted(daemon: &Daemon) -> Vec<u32> {
    let mut pids = daemon.app_pids();
    pids.sort_unstable();
    pids
}

/// `passenger-config restart-app` for everything.
fn restart(setup: &OneApp, more: &[&str]) -> Output {
    let args: Vec<&str> = ["restart-app", "/"].into_iter().chain(more.iter().copied()).collect();
    setup.daemon.tool("passenger-config", &args)
}

fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

for_each_language! {
    fn a_rolling_restart_replaces_every_process_and_loses_no_request(language) {
        let setup = two_processes(language, "passenger_rolling_restarts on;");
        let before = sorted(&setup.daemon);
        let load = Load::on(setup.nginx.port(), "/", 8);
        load.let_pass(50);
        setup.app.touch_restart_txt();
        eventually("both are replaced", || {
            let now = sorted(&setup.daemon);
            now.len() == 2 && now.iter().all(|pid| !before.contains(pid))
        });
        load.let_pass(50);
        let report = load.finish();
        assert!(report.failures.is_empty(), "{:#?} of {}", report.failures, report.answered);
        setup.daemon.logs_eventually("every process is replaced");
    }
}

#[test]
fn twenty_rolling_and_twenty_blocking_restarts_under_load_lose_no_request() {
    let setup = two_processes(Language::Ruby, "");
    let load = Load::on(setup.nginx.port(), "/", 32);
    for round in 0..40 {
        load.let_pass(20);
        let how = if round % 2 == 0 { "--rolling-restart" } else { "--blocking-restart" };
        let output = restart(&setup, &[how, "--wait"]);
        assert!(output.status.success(), "{round}: {}", printed(&output));
    }
    load.let_pass(20);
    let report = load.finish();
    assert!(report.failures.is_empty(), "{:#?} of {}", report.failures, report.answered);
}

#[test]
fn ten_deployments_that_do_not_start_under_load_lose_no_request() {
    let setup = two_processes(Language::Ruby, "passenger_resist_deployment_errors on;");
    let before = sorted(&setup.daemon);
    let good = std::fs::read_to_string(setup.app.path("config.ru")).unwrap();
    let load = Load::on(setup.nginx.port(), "/", 32);
    setup.app.write("config.ru", BROKEN);
    for round in 0..10 {
        load.let_pass(20);
        let output = restart(&setup, &["--wait"]);
        assert_eq!(output.status.code(), Some(1), "{round}: {}", printed(&output));
        assert!(printed(&output).contains("a bad deployment"), "{}", printed(&output));
    }
    assert_eq!(sorted(&setup.daemon), before, "the old version serves on");
    assert!(setup.daemon.status().contains("(resisting deployment error)"), "{}", setup.daemon.status());
    setup.app.write("config.ru", good);
    let output = restart(&setup, &["--wait"]);
    assert!(output.status.success(), "{}", printed(&output));
    let report = load.finish();
    assert!(report.failures.is_empty(), "{:#?} of {}", report.failures, report.answered);
    assert!(!sorted(&setup.daemon).iter().any(|pid| before.contains(pid)), "every process is replaced");
}

#[test]
fn killed_processes_under_load_lose_the_requests_inside_them_and_no_other() {
    const KILLS: usize = 20;
    let setup = two_processes(Language::Ruby, "");
    let load = Load::on(setup.nginx.port(), "/", 16);
    for round in 0..KILLS {
        load.let_pass(20);
        let victim = sorted(&setup.daemon)[0];
        kill_9(victim);
        eventually("it is replaced", || {
            let now = sorted(&setup.daemon);
            now.len() == 2 && !now.contains(&victim)
        });
        assert!(round < KILLS);
    }
    let report = load.finish();
    assert!(report.failures.len() <= KILLS, "one request at a time is in a process: {:#?}", report.failures);
    let others: Vec<_> = report.failures.iter().filter(|why| !why.starts_with("status 502")).collect();
    assert!(others.is_empty(), "{others:#?}");
}

#[test]
fn restart_app_follows_the_directive_unless_overridden() {
    let setup = two_processes(Language::Ruby, "passenger_rolling_restarts on;");
    assert!(restart(&setup, &["--wait"]).status.success());
    setup.daemon.logs_eventually("every process is replaced");
    let rolled = setup.daemon.log().matches("every process is replaced").count();
    assert!(restart(&setup, &["--blocking-restart", "--wait"]).status.success());
    assert_eq!(setup.daemon.log().matches("every process is replaced").count(), rolled);
}

#[test]
fn waiting_for_a_restart_starts_an_app_that_has_no_process() {
    let setup = OneApp::app("", |app| app.ruby(BROKEN));
    setup.test_dir.expect_log_line("could not be started");
    setup.test_dir.expect_log_line("fails again");
    setup.nginx.get("/").expect(500);
    let output = restart(&setup, &["--wait"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(printed(&output).contains("passenger-config spawn-error "), "{output:?}");
    setup.app.write("config.ru", "run ->(_) { [200, {}, ['it starts']] }");
    let output = restart(&setup, &["--wait"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(sorted(&setup.daemon).len(), 1, "without a request");
}

#[test]
fn waiting_for_a_restart_reports_its_outcome() {
    let setup = two_processes(Language::Ruby, "");
    let before = sorted(&setup.daemon);
    let output = restart(&setup, &["--wait"]);
    assert!(output.status.success() && printed(&output).contains("Restarted "), "{}", printed(&output));
    assert!(!sorted(&setup.daemon).iter().any(|pid| before.contains(pid)), "it came back too early");

    let mut busy = setup.nginx.connect();
    busy.send(Request::get("/wait?name=busy").bytes("close"));
    eventually("one is busy", || setup.test_dir.scratch("busy.arrived").exists());
    let output = restart(&setup, &["--wait", "--timeout=1"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(printed(&output).contains("the restart has not finished yet"), "{}", printed(&output));
    setup.test_dir.open_gate("busy");
    busy.read_response().expect(200);

    setup.app.write("config.ru", BROKEN);
    let output = restart(&setup, &["--wait"]);
    assert_eq!(output.status.code(), Some(1), "{}", printed(&output));
    let reported = printed(&output);
    let id =
        reported.split("spawn-error ").nth(1).and_then(|rest| rest.split(' ').next()).expect("an error ID");
    let report = setup.daemon.tool("passenger-config", &["spawn-error", id]);
    assert!(report.status.success(), "{}", printed(&report));
    for part in ["a bad deployment", "config.ru:1", id] {
        assert!(printed(&report).contains(part), "{part} is missing in {}", printed(&report));
    }
    let report = setup.daemon.tool("passenger-config", &["spawn-error", id, "--json"]);
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&report.stdout).unwrap()["id"], id);
    assert_eq!(setup.daemon.tool("passenger-config", &["spawn-error", "00000000"]).status.code(), Some(1));
}

#[test]
fn a_process_that_does_not_finish_is_ended_at_last() {
    let setup = OneApp::with(Language::Ruby, "", |daemon| daemon.flag("--drain-timeout=1"));
    let stuck = setup.app_pid();
    let mut client = setup.nginx.connect();
    client.send(Request::get("/wait?name=never").bytes("close"));
    eventually("it is busy", || setup.test_dir.scratch("never.arrived").exists());
    assert!(restart(&setup, &[]).status.success());
    assert_ne!(setup.app_pid(), stuck, "others are served meanwhile");
    setup.daemon.logs_eventually("has not finished its requests within 1 s and is stopped");
    setup.test_dir.open_gate("never");
    eventually("it has gone", || !test_support::is_alive(stuck));
    drop(client);
}

for_each_language! {
    [node, generic]
    fn a_restart_cuts_websockets(language) {
        let setup = OneApp::of(language);
        let before = setup.app_pid();
        let mut client = websocket(&setup);
        assert!(restart(&setup, &["--wait"]).status.success());
        assert!(!test_support::is_alive(before));
        drop(client.read_to_end());
    }

    [node, generic]
    fn a_restart_keeps_websockets_when_configured(language) {
        let setup = OneApp::with(language, "passenger_abort_websockets_on_process_shutdown off;", |daemon| daemon);
        let before = setup.app_pid();
        let mut client = websocket(&setup);
        assert!(restart(&setup, &[]).status.success());
        eventually("a new process serves", || setup.app_pid() != before);
        client.send([0x81, 0x82, 0, 0, 0, 0, b'h', b'i']);
        assert_eq!(client.read_exact(4), b"\x81\x02hi");
        drop(client);
        eventually("the old process has gone with it", || !test_support::is_alive(before));
    }
}

fn websocket(setup: &OneApp) -> test_support::Connection {
    let mut client = setup.nginx.connect();
    client.send(
        "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    );
    assert_eq!(client.read_head().status, 101);
    client
}

/// An app with one process, and a location whose requests do not wait for long.
fn hasty(lines: &str) -> OneApp {
    let location = format!("location = /hasty {{ passenger_max_request_queue_time 1; {lines} }}");
    OneApp::with(Language::Ruby, &location, |daemon| daemon.flag("--max-pool-size=1"))
}

#[test]
fn a_queue_timeout_has_the_configured_status() {
    let setup = hasty("passenger_request_queue_timeout_status_code 429;");
    setup.app_pid();
    let mut busy = setup.nginx.connect();
    busy.send(Request::get("/wait?name=busy").bytes("close"));
    eventually("the only process is busy", || setup.test_dir.scratch("busy.arrived").exists());
    assert_eq!(setup.nginx.get("/hasty").status(), 429);
    setup.test_dir.open_gate("busy");
    busy.read_response().expect(200);
}

#[test]
fn a_request_does_not_wait_longer_than_it_may() {
    let setup = hasty("");
    setup.app_pid();
    let mut busy = setup.nginx.connect();
    busy.send(Request::get("/wait?name=busy").bytes("close"));
    eventually("the only process is busy", || setup.test_dir.scratch("busy.arrived").exists());
    let refused = setup.nginx.get("/hasty");
    assert_eq!(refused.status(), 504);
    assert!(refused.text().contains("heavy load"), "{}", refused.text());
    setup.daemon.logs_eventually("it waited for 1 s (passenger_max_request_queue_time)");
    setup.test_dir.open_gate("busy");
    busy.read_response().expect(200);
    setup.nginx.get("/").expect(200);
}

for_each_language! {
    fn a_process_that_takes_too_long_is_killed(language) {
        let setup = OneApp::with(language, "passenger_max_request_time 1;", |daemon| daemon);
        let slow = setup.app_pid();
        let answer = setup.nginx.get("/wait?name=never");
        assert_eq!(answer.status(), 504);
        eventually("it is killed", || !test_support::is_alive(slow));
        setup.daemon.logs_eventually("it exceeded passenger_max_request_time (1 s) and is killed");
        setup.nginx.get("/").expect(200);
    }
}

/// The revisions that the status shows, of each process.
fn revisions(setup: &OneApp) -> Vec<Option<String>> {
    let pool = setup.daemon.tool("passenger-status", &["--show=json"]).stdout;
    let pool: serde_json::Value = serde_json::from_slice(&pool).unwrap();
    let processes = pool["groups"][0]["processes"].as_array().unwrap().iter();
    processes.map(|process| process["code_revision"].as_str().map(str::to_owned)).collect()
}

#[test]
fn the_status_shows_the_revision_of_each_process() {
    for (language, method) in
        [(Language::Ruby, "smart"), (Language::Python, "direct"), (Language::Node, "direct")]
    {
        let lines = format!("passenger_spawn_method {method};");
        let setup = OneApp::with(language, &lines, |daemon| daemon);
        setup.app_pid();
        assert_eq!(revisions(&setup), [None], "{language:?}");
        setup.app.write("REVISION", "9d0b2a1\n");
        let root = setup.app.dir().display().to_string();
        let restart = ["restart-app", &root, "--wait"];
        assert!(setup.daemon.tool("passenger-config", &restart).status.success());
        setup.app_pid();
        eventually("the new one is there", || revisions(&setup) == [Some("9d0b2a1".to_owned())]);
        setup.app.write("REVISION", "a77c001\n");
        assert_eq!(revisions(&setup), [Some("9d0b2a1".to_owned())], "it runs what it was started with");
        setup.daemon.kill_router();
        setup.app_pid();
        assert_eq!(revisions(&setup), [Some("9d0b2a1".to_owned())], "the next router knows it");
        assert!(setup.daemon.status().contains("    Code revision: 9d0b2a1\n"));
        setup.app.write("REVISION", "root:x:0:0:root\n");
        assert!(setup.daemon.tool("passenger-config", &restart).status.success());
        setup.app_pid();
        eventually("an invalid word is not a revision", || revisions(&setup) == [None]);
    }
}

#[test]
fn a_restart_is_complete_with_as_many_processes_as_the_limits_allow() {
    let limits = "passenger_min_instances 2; passenger_max_instances 1;";
    let setup = OneApp::with(Language::Python, limits, |daemon| daemon);
    let before = setup.app_pid();
    let root = setup.app.dir().display().to_string();
    let restart = ["restart-app", &root, "--wait", "--timeout", "60"];
    let restarted = setup.daemon.tool("passenger-config", &restart);
    assert!(restarted.status.success(), "{restarted:?}");
    assert_ne!(setup.app_pid(), before);
}
