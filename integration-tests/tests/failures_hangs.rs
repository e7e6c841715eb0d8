//! Failures: an app hangs. Its clients wait up to the configured limit, others do not wait, and status and log name it.

use nix::sys::signal::Signal;
use test_support::{
    App, DaemonBuilder, Language, Response, TwoApps, eventually, eventually_some, is_alive, signal,
};

fn usual(daemon: DaemonBuilder) -> DaemonBuilder {
    daemon
}

/// The PID in an answer.
#[track_caller]
fn pid(response: Response) -> u32 {
    let text = response.expect(200).text();
    text.trim().parse().unwrap_or_else(|_| panic!("not a PID: {text}"))
}

/// Answers below `/bad` with its PID; what else is in `more`.
fn python(app: App, more: &str) -> App {
    let source = format!(
        "import os, signal, sys, threading, time
{more}
def application(environ, start_response):
    if environ['PATH_INFO'] == '/bad/hang':
        time.sleep(1000)
    start_response('200 OK', [])
    return [str(os.getpid()).encode()]
"
    );
    app.python(&source)
}

#[test]
fn a_hanging_start_is_shown_and_times_out() {
    let setup = TwoApps::new("passenger_start_timeout 4;", usual, |app| python(app, "time.sleep(1000)"));
    let mut client = setup.ask("/bad/");
    eventually("the status shows that it starts", || {
        let status = setup.daemon.status();
        status.contains("(spawning 1 new process...)") && status.contains("Requests in queue: 1")
    });
    let shown = setup.requests();
    assert!(shown.contains(&setup.bad_group()) && shown.contains("Phase: queued"), "{shown}");
    setup.good_app_serves();
    client.read_response().expect(500);
    setup.daemon.logs_eventually("it was not ready within 4 s (passenger_start_timeout)");
    setup.good_app_serves();
    setup.bad.write("passenger_wsgi.py", python_source_that_works());
    eventually("it is repaired", || setup.nginx.get("/bad/").status() == 200);
}

fn python_source_that_works() -> &'static str {
    "def application(environ, start_response):\n    start_response('200 OK', [])\n    return [b'fine']\n"
}

#[test]
fn a_hanging_request_is_shown_and_ended_at_its_limit() {
    let lines = "passenger_max_request_time 3; passenger_max_instances 1;";
    let setup = TwoApps::new(lines, usual, |app| python(app, ""));
    let hangs = pid(setup.nginx.get("/bad/"));
    let mut first = setup.ask("/bad/hang?report=1");
    eventually("it is shown with the app", || {
        let shown = setup.requests();
        shown.contains(&format!("  * PID: {hangs} ")) && shown.contains("Phase: app for")
    });
    let mut second = setup.ask("/bad/");
    eventually("another request waits", || setup.requests().contains("PID: -       Age: "));
    assert!(setup.requests().contains("GET /bad/hang?report=1"), "{}", setup.requests());
    setup.good_app_serves();
    first.read_response().expect(504);
    setup.daemon.logs_eventually(&format!(
        "app {}: process {hangs} did not answer GET /bad/hang?report=1: it exceeded passenger_max_request_time (3 s)",
        setup.bad_group()
    ));
    assert_ne!(pid(second.read_response()), hangs, "who waited is served by another process");
    eventually("it is gone", || !is_alive(hangs));
    setup.good_app_serves();
}

#[test]
fn a_hanging_shutdown_is_killed_and_delays_no_restart() {
    let stays = "import atexit\natexit.register(time.sleep, 1000)";
    let setup = TwoApps::new("", |daemon| daemon.flag("--shutdown-timeout=2"), |app| python(app, stays));
    let old = pid(setup.nginx.get("/bad/"));
    setup.restart_bad_app();
    assert_ne!(pid(setup.nginx.get("/bad/")), old, "the next one does not wait for it");
    assert!(is_alive(old));
    setup.good_app_serves();
    let reported = format!("app {}: process {old} did not end within 2 s: killed", setup.bad_group());
    setup.daemon.logs_eventually(&reported);
    eventually("it is gone", || !is_alive(old));
    setup.good_app_serves();
}

#[test]
fn the_daemon_stops_although_an_app_does_not() {
    let stays = "import atexit\natexit.register(time.sleep, 1000)";
    let mut setup = TwoApps::new("", |daemon| daemon.flag("--shutdown-timeout=2"), |app| python(app, stays));
    let stuck = pid(setup.nginx.get("/bad/"));
    assert!(setup.daemon.stop().success(), "{}", setup.daemon.log());
    assert!(!is_alive(stuck));
    let log = setup.daemon.log();
    let named = |line: &str| line.contains(&format!("process {stuck} ")) && line.contains("killed");
    assert!(log.lines().any(named), "{log}");
    assert!(!log.contains("[ E "), "{log}");
    setup.test_dir.expect_log_line("connect() to unix:");
}

#[test]
fn a_stopped_process_loses_only_its_request_and_is_replaced() {
    let lines = "passenger_max_request_time 3; passenger_max_instances 1;";
    let setup = TwoApps::new(lines, usual, |app| python(app, ""));
    let stopped = pid(setup.nginx.get("/bad/"));
    signal(stopped, Signal::SIGSTOP);
    let mut client = setup.ask("/bad/");
    eventually("it is shown", || setup.requests().contains(&format!("  * PID: {stopped} ")));
    setup.good_app_serves();
    client.read_response().expect(504);
    eventually("it is gone", || !is_alive(stopped));
    assert_ne!(pid(setup.nginx.get("/bad/")), stopped);
    setup.good_app_serves();
}

#[test]
fn a_stopped_process_delays_no_restart() {
    let setup = TwoApps::new("", |daemon| daemon.flag("--shutdown-timeout=2"), |app| python(app, ""));
    let stopped = pid(setup.nginx.get("/bad/"));
    signal(stopped, Signal::SIGSTOP);
    setup.restart_bad_app();
    assert_ne!(pid(setup.nginx.get("/bad/")), stopped);
    setup.good_app_serves();
    setup.daemon.logs_eventually(&format!("process {stopped} did not end within 2 s: killed"));
    eventually("it is gone", || !is_alive(stopped));
}

#[test]
fn a_stopped_preloader_is_replaced_and_its_processes_serve() {
    let lines = "passenger_spawn_method smart; passenger_start_timeout 5;";
    let setup = TwoApps::new(lines, usual, |app| app.standard(Language::Ruby).file("config.ru", RUBY));
    let first = pid(setup.nginx.get("/bad/"));
    let preloader = eventually_some("there is a preloader", || {
        let shown = setup.daemon.tool("passenger-status", &["--show=json"]).stdout;
        let shown: serde_json::Value = serde_json::from_slice(&shown).unwrap();
        let groups = shown["groups"].as_array().unwrap().clone();
        let mine = groups.into_iter().find(|group| group["name"] == setup.bad_group().as_str())?;
        mine["preloader"].as_u64()
    });
    let preloader = u32::try_from(preloader).unwrap();
    signal(preloader, Signal::SIGSTOP);
    let mut busy = setup.ask("/bad/wait");
    eventually("the only process is busy", || setup.requests().contains(&format!("PID: {first} ")));
    let mut waiting = setup.ask("/bad/");
    setup.good_app_serves();
    let other = pid(waiting.read_response());
    assert_ne!(other, first, "another process was started after all");
    setup.daemon.logs_eventually("starting a process without the preloader");
    eventually("the preloader is gone", || !is_alive(preloader));
    setup.bad.write("go", "");
    busy.read_response().expect(200);
    setup.good_app_serves();
}

const RUBY: &str = "run ->(env) {
  sleep 0.02 until env['PATH_INFO'] != '/bad/wait' || File.exist?('go')
  [200, {}, [Process.pid.to_s]]
}";
