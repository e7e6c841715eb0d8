//! Bad nights: an app hangs. Its clients wait up to the configured limit, others do not wait, and status and log name it.

use nix::sys::signal::Signal;
use stage::{
    App, DaemonBuilder, Language, Neighbours, Response, eventually, eventually_some, is_alive, signal,
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
fn an_app_that_hangs_at_its_start_is_shown_and_given_up() {
    let scene = Neighbours::new("passenger_start_timeout 4;", usual, |app| python(app, "time.sleep(1000)"));
    let mut client = scene.ask("/bad/");
    eventually("the status shows that it starts", || {
        let status = scene.daemon.status();
        status.contains("(spawning 1 new process...)") && status.contains("Requests in queue: 1")
    });
    let shown = scene.requests();
    assert!(shown.contains(&scene.bad_name()) && shown.contains("Phase: queued"), "{shown}");
    scene.good_one_serves();
    client.read_response().expect(500);
    scene.daemon.logs_eventually("it was not ready within 4 s (passenger_start_timeout)");
    scene.good_one_serves();
    scene.bad.write("passenger_wsgi.py", python_source_that_works());
    eventually("it is repaired", || scene.nginx.get("/bad/").status() == 200);
}

fn python_source_that_works() -> &'static str {
    "def application(environ, start_response):\n    start_response('200 OK', [])\n    return [b'fine']\n"
}

#[test]
fn an_app_that_hangs_in_a_request_is_shown_and_ended_at_its_limit() {
    let lines = "passenger_max_request_time 3; passenger_max_instances 1;";
    let scene = Neighbours::new(lines, usual, |app| python(app, ""));
    let hangs = pid(scene.nginx.get("/bad/"));
    let mut first = scene.ask("/bad/hang?report=1");
    eventually("it is shown with the app", || {
        let shown = scene.requests();
        shown.contains(&format!("  * PID: {hangs} ")) && shown.contains("Phase: app for")
    });
    let mut second = scene.ask("/bad/");
    eventually("another waits", || scene.requests().contains("PID: -       Age: "));
    assert!(scene.requests().contains("GET /bad/hang?report=1"), "{}", scene.requests());
    scene.good_one_serves();
    first.read_response().expect(504);
    scene.daemon.logs_eventually(&format!(
        "app {}: process {hangs} did not answer GET /bad/hang?report=1: it exceeded passenger_max_request_time (3 s)",
        scene.bad_name()
    ));
    assert_ne!(pid(second.read_response()), hangs, "who waited is served by another process");
    eventually("it is gone", || !is_alive(hangs));
    scene.good_one_serves();
}

#[test]
fn an_app_that_hangs_at_its_end_is_killed_and_holds_no_restart_up() {
    let stays = "import atexit\natexit.register(time.sleep, 1000)";
    let scene = Neighbours::new("", |daemon| daemon.flag("--shutdown-timeout=2"), |app| python(app, stays));
    let old = pid(scene.nginx.get("/bad/"));
    scene.restart_bad_one();
    assert_ne!(pid(scene.nginx.get("/bad/")), old, "the next one does not wait for it");
    assert!(is_alive(old));
    scene.good_one_serves();
    let told = format!("app {}: process {old} did not end within 2 s: killed", scene.bad_name());
    scene.daemon.logs_eventually(&told);
    eventually("it is gone", || !is_alive(old));
    scene.good_one_serves();
}

#[test]
fn a_daemon_ends_although_an_app_does_not() {
    let stays = "import atexit\natexit.register(time.sleep, 1000)";
    let mut scene =
        Neighbours::new("", |daemon| daemon.flag("--shutdown-timeout=2"), |app| python(app, stays));
    let stuck = pid(scene.nginx.get("/bad/"));
    assert!(scene.daemon.stop().success(), "{}", scene.daemon.log());
    assert!(!is_alive(stuck));
    let log = scene.daemon.log();
    let named = |line: &str| line.contains(&format!("process {stuck} ")) && line.contains("killed");
    assert!(log.lines().any(named), "{log}");
    assert!(!log.contains("[ E "), "{log}");
    scene.stage.expect_log_line("connect() to unix:");
}

#[test]
fn a_stopped_process_costs_its_own_visitor_and_is_replaced() {
    let lines = "passenger_max_request_time 3; passenger_max_instances 1;";
    let scene = Neighbours::new(lines, usual, |app| python(app, ""));
    let stopped = pid(scene.nginx.get("/bad/"));
    signal(stopped, Signal::SIGSTOP);
    let mut client = scene.ask("/bad/");
    eventually("it is shown", || scene.requests().contains(&format!("  * PID: {stopped} ")));
    scene.good_one_serves();
    client.read_response().expect(504);
    eventually("it is gone", || !is_alive(stopped));
    assert_ne!(pid(scene.nginx.get("/bad/")), stopped);
    scene.good_one_serves();
}

#[test]
fn a_stopped_process_holds_no_restart_up() {
    let scene = Neighbours::new("", |daemon| daemon.flag("--shutdown-timeout=2"), |app| python(app, ""));
    let stopped = pid(scene.nginx.get("/bad/"));
    signal(stopped, Signal::SIGSTOP);
    scene.restart_bad_one();
    assert_ne!(pid(scene.nginx.get("/bad/")), stopped);
    scene.good_one_serves();
    scene.daemon.logs_eventually(&format!("process {stopped} did not end within 2 s: killed"));
    eventually("it is gone", || !is_alive(stopped));
}

#[test]
fn a_stopped_preloader_is_replaced_and_its_processes_serve() {
    let lines = "passenger_spawn_method smart; passenger_start_timeout 5;";
    let scene = Neighbours::new(lines, usual, |app| app.standard(Language::Ruby).file("config.ru", RUBY));
    let first = pid(scene.nginx.get("/bad/"));
    let preloader = eventually_some("there is a preloader", || {
        let shown = scene.daemon.tool("passenger-status", &["--show=json"]).stdout;
        let shown: serde_json::Value = serde_json::from_slice(&shown).unwrap();
        let groups = shown["groups"].as_array().unwrap().clone();
        let mine = groups.into_iter().find(|group| group["name"] == scene.bad_name().as_str())?;
        mine["preloader"].as_u64()
    });
    let preloader = u32::try_from(preloader).unwrap();
    signal(preloader, Signal::SIGSTOP);
    let mut busy = scene.ask("/bad/wait");
    eventually("the only process is busy", || scene.requests().contains(&format!("PID: {first} ")));
    let mut waiting = scene.ask("/bad/");
    scene.good_one_serves();
    let other = pid(waiting.read_response());
    assert_ne!(other, first, "another process was started after all");
    scene.daemon.logs_eventually("starting a process without the preloader");
    eventually("the preloader is gone", || !is_alive(preloader));
    scene.bad.write("go", "");
    busy.read_response().expect(200);
    scene.good_one_serves();
}

const RUBY: &str = "run ->(env) {
  sleep 0.02 until env['PATH_INFO'] != '/bad/wait' || File.exist?('go')
  [200, {}, [Process.pid.to_s]]
}";
