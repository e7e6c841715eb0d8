//! Deployments of an app: rolling restarts, waiting for them, and new versions that do not start.

use std::process::Output;

use stage::{Daemon, DaemonBuilder, Language, Load, Request, Scene, eventually, for_each_language, kill_9};

const BROKEN: &str = "raise 'a bad deployment'";

/// An app with two processes, and a look at its restart files with every request.
fn two_processes(language: Language, lines: &str) -> Scene {
    let lines = format!("passenger_min_instances 2; {lines}");
    let flags = |daemon: DaemonBuilder| daemon.flag("--stat-throttle-rate=0").flag("--max-pool-size=2");
    let scene = Scene::with(language, &lines, flags);
    scene.app_pid();
    eventually("two processes serve", || sorted(&scene.daemon).len() == 2);
    scene
}

fn sorted(daemon: &Daemon) -> Vec<u32> {
    let mut pids = daemon.app_pids();
    pids.sort_unstable();
    pids
}

/// `passenger-config restart-app` for everything.
fn restart(scene: &Scene, more: &[&str]) -> Output {
    let args: Vec<&str> = ["restart-app", "/"].into_iter().chain(more.iter().copied()).collect();
    scene.daemon.tool("passenger-config", &args)
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

for_each_language! {
    fn a_rolling_restart_replaces_every_process_and_loses_no_request(language) {
        let scene = two_processes(language, "passenger_rolling_restarts on;");
        let before = sorted(&scene.daemon);
        let load = Load::on(scene.nginx.port(), "/", 8);
        load.let_pass(50);
        scene.app.touch_restart_txt();
        eventually("both are replaced", || {
            let now = sorted(&scene.daemon);
            now.len() == 2 && now.iter().all(|pid| !before.contains(pid))
        });
        load.let_pass(50);
        let report = load.finish();
        assert!(report.failures.is_empty(), "{:#?} of {}", report.failures, report.answered);
        scene.daemon.logs_eventually("every process is replaced");
    }
}

#[test]
fn twenty_rolling_and_twenty_blocking_restarts_under_load_lose_no_request() {
    let scene = two_processes(Language::Ruby, "");
    let load = Load::on(scene.nginx.port(), "/", 32);
    for round in 0..40 {
        load.let_pass(20);
        let how = if round % 2 == 0 { "--rolling-restart" } else { "--blocking-restart" };
        let output = restart(&scene, &[how, "--wait"]);
        assert!(output.status.success(), "{round}: {}", said(&output));
    }
    load.let_pass(20);
    let report = load.finish();
    assert!(report.failures.is_empty(), "{:#?} of {}", report.failures, report.answered);
}

#[test]
fn ten_deployments_that_do_not_start_under_load_lose_no_request() {
    let scene = two_processes(Language::Ruby, "passenger_resist_deployment_errors on;");
    let before = sorted(&scene.daemon);
    let good = std::fs::read_to_string(scene.app.path("config.ru")).unwrap();
    let load = Load::on(scene.nginx.port(), "/", 32);
    scene.app.write("config.ru", BROKEN);
    for round in 0..10 {
        load.let_pass(20);
        let output = restart(&scene, &["--wait"]);
        assert_eq!(output.status.code(), Some(1), "{round}: {}", said(&output));
        assert!(said(&output).contains("a bad deployment"), "{}", said(&output));
    }
    assert_eq!(sorted(&scene.daemon), before, "the old version serves on");
    assert!(scene.daemon.status().contains("(resisting deployment error)"), "{}", scene.daemon.status());
    scene.app.write("config.ru", good);
    let output = restart(&scene, &["--wait"]);
    assert!(output.status.success(), "{}", said(&output));
    let report = load.finish();
    assert!(report.failures.is_empty(), "{:#?} of {}", report.failures, report.answered);
    assert!(!sorted(&scene.daemon).iter().any(|pid| before.contains(pid)), "every process is replaced");
}

#[test]
fn killed_processes_under_load_lose_the_requests_inside_them_and_no_other() {
    const KILLS: usize = 20;
    let scene = two_processes(Language::Ruby, "");
    let load = Load::on(scene.nginx.port(), "/", 16);
    for round in 0..KILLS {
        load.let_pass(20);
        let victim = sorted(&scene.daemon)[0];
        kill_9(victim);
        eventually("it is replaced", || {
            let now = sorted(&scene.daemon);
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
fn restart_app_follows_the_directive_unless_told_otherwise() {
    let scene = two_processes(Language::Ruby, "passenger_rolling_restarts on;");
    assert!(restart(&scene, &["--wait"]).status.success());
    scene.daemon.logs_eventually("every process is replaced");
    let rolled = scene.daemon.log().matches("every process is replaced").count();
    assert!(restart(&scene, &["--blocking-restart", "--wait"]).status.success());
    assert_eq!(scene.daemon.log().matches("every process is replaced").count(), rolled);
}

#[test]
fn waiting_for_a_restart_tells_the_truth() {
    let scene = two_processes(Language::Ruby, "");
    let before = sorted(&scene.daemon);
    let output = restart(&scene, &["--wait"]);
    assert!(output.status.success() && said(&output).contains("Restarted "), "{}", said(&output));
    assert!(!sorted(&scene.daemon).iter().any(|pid| before.contains(pid)), "it came back too early");

    let mut busy = scene.nginx.connect();
    busy.send(Request::get("/wait?name=busy").bytes("close"));
    eventually("one is busy", || scene.stage.scratch("busy.arrived").exists());
    let output = restart(&scene, &["--wait", "--timeout=1"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("the restart has not finished yet"), "{}", said(&output));
    scene.stage.open_gate("busy");
    busy.read_response().expect(200);

    scene.app.write("config.ru", BROKEN);
    let output = restart(&scene, &["--wait"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let told = said(&output);
    let id = told.split("spawn-error ").nth(1).and_then(|rest| rest.split(' ').next()).expect("an error ID");
    let report = scene.daemon.tool("passenger-config", &["spawn-error", id]);
    assert!(report.status.success(), "{}", said(&report));
    for part in ["a bad deployment", "config.ru:1", id] {
        assert!(said(&report).contains(part), "{part} is missing in {}", said(&report));
    }
    let report = scene.daemon.tool("passenger-config", &["spawn-error", id, "--json"]);
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&report.stdout).unwrap()["id"], id);
    assert_eq!(scene.daemon.tool("passenger-config", &["spawn-error", "00000000"]).status.code(), Some(1));
}

#[test]
fn a_process_that_does_not_finish_is_ended_at_last() {
    let scene = Scene::with(Language::Ruby, "", |daemon| daemon.flag("--drain-timeout=1"));
    let stuck = scene.app_pid();
    let mut client = scene.nginx.connect();
    client.send(Request::get("/wait?name=never").bytes("close"));
    eventually("it is busy", || scene.stage.scratch("never.arrived").exists());
    assert!(restart(&scene, &[]).status.success());
    assert_ne!(scene.app_pid(), stuck, "others are served meanwhile");
    scene.daemon.logs_eventually("has not finished its requests within 1 s and is ended");
    scene.stage.open_gate("never");
    eventually("it has gone", || !stage::is_alive(stuck));
    drop(client);
}

for_each_language! {
    [node, generic]
    fn a_restart_cuts_websockets(language) {
        let scene = Scene::of(language);
        let before = scene.app_pid();
        let mut client = websocket(&scene);
        assert!(restart(&scene, &["--wait"]).status.success());
        assert!(!stage::is_alive(before));
        drop(client.read_to_end());
    }

    [node, generic]
    fn a_restart_keeps_websockets_where_it_is_told_to(language) {
        let scene = Scene::with(language, "passenger_abort_websockets_on_process_shutdown off;", |daemon| daemon);
        let before = scene.app_pid();
        let mut client = websocket(&scene);
        assert!(restart(&scene, &[]).status.success());
        eventually("a new process serves", || scene.app_pid() != before);
        client.send([0x81, 0x82, 0, 0, 0, 0, b'h', b'i']);
        assert_eq!(client.read_exact(4), b"\x81\x02hi");
        drop(client);
        eventually("the old process has gone with it", || !stage::is_alive(before));
    }
}

fn websocket(scene: &Scene) -> stage::Connection {
    let mut client = scene.nginx.connect();
    client.send(
        "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    );
    assert_eq!(client.read_head().status, 101);
    client
}

/// An app with one process, and a location whose requests do not wait for long.
fn hasty(lines: &str) -> Scene {
    let location = format!("location = /hasty {{ passenger_max_request_queue_time 1; {lines} }}");
    Scene::with(Language::Ruby, &location, |daemon| daemon.flag("--max-pool-size=1"))
}

#[test]
fn who_waited_too_long_gets_the_status_that_the_app_wants() {
    let scene = hasty("passenger_request_queue_timeout_status_code 429;");
    scene.app_pid();
    let mut busy = scene.nginx.connect();
    busy.send(Request::get("/wait?name=busy").bytes("close"));
    eventually("the only process is busy", || scene.stage.scratch("busy.arrived").exists());
    assert_eq!(scene.nginx.get("/hasty").status(), 429);
    scene.stage.open_gate("busy");
    busy.read_response().expect(200);
}

#[test]
fn a_request_does_not_wait_longer_than_it_may() {
    let scene = hasty("");
    scene.app_pid();
    let mut busy = scene.nginx.connect();
    busy.send(Request::get("/wait?name=busy").bytes("close"));
    eventually("the only process is busy", || scene.stage.scratch("busy.arrived").exists());
    let refused = scene.nginx.get("/hasty");
    assert_eq!(refused.status(), 504);
    assert!(refused.text().contains("heavy load"), "{}", refused.text());
    scene.daemon.logs_eventually("it waited for 1 s (passenger_max_request_queue_time)");
    scene.stage.open_gate("busy");
    busy.read_response().expect(200);
    scene.nginx.get("/").expect(200);
}

for_each_language! {
    fn a_process_that_takes_too_long_is_killed(language) {
        let scene = Scene::with(language, "passenger_max_request_time 1;", |daemon| daemon);
        let slow = scene.app_pid();
        let answer = scene.nginx.get("/wait?name=never");
        assert_eq!(answer.status(), 504);
        eventually("it is killed", || !stage::is_alive(slow));
        scene.daemon.logs_eventually("it exceeded passenger_max_request_time (1 s) and is killed");
        scene.nginx.get("/").expect(200);
    }
}

/// The revisions that the status shows, of each process.
fn revisions(scene: &Scene) -> Vec<Option<String>> {
    let pool = scene.daemon.tool("passenger-status", &["--show=json"]).stdout;
    let pool: serde_json::Value = serde_json::from_slice(&pool).unwrap();
    let processes = pool["groups"][0]["processes"].as_array().unwrap().iter();
    processes.map(|process| process["code_revision"].as_str().map(str::to_owned)).collect()
}

#[test]
fn the_status_tells_which_revision_each_process_runs() {
    for (language, method) in
        [(Language::Ruby, "smart"), (Language::Python, "direct"), (Language::Node, "direct")]
    {
        let lines = format!("passenger_spawn_method {method};");
        let scene = Scene::with(language, &lines, |daemon| daemon);
        scene.app_pid();
        assert_eq!(revisions(&scene), [None], "{language:?}");
        scene.app.write("REVISION", "9d0b2a1\n");
        let root = scene.app.dir().display().to_string();
        let restart = ["restart-app", &root, "--wait"];
        assert!(scene.daemon.tool("passenger-config", &restart).status.success());
        scene.app_pid();
        eventually("the new one is there", || revisions(&scene) == [Some("9d0b2a1".to_owned())]);
        scene.app.write("REVISION", "a77c001\n");
        assert_eq!(revisions(&scene), [Some("9d0b2a1".to_owned())], "it runs what it was started with");
        scene.daemon.kill_router();
        scene.app_pid();
        assert_eq!(revisions(&scene), [Some("9d0b2a1".to_owned())], "the next router knows it");
        assert!(scene.daemon.status().contains("    Code revision: 9d0b2a1\n"));
        scene.app.write("REVISION", "root:x:0:0:root\n");
        assert!(scene.daemon.tool("passenger-config", &restart).status.success());
        scene.app_pid();
        eventually("no word, no revision", || revisions(&scene) == [None]);
    }
}
