//! Hooks for events of apps: programs that get the event in their environment.

use std::path::PathBuf;

use stage::{DaemonBuilder, Language, Request, Scene, eventually};

/// `--hook NAME=PROGRAM`, with programs from the fixtures.
pub(crate) fn hook(daemon: DaemonBuilder, name: &str, programs: &[&str]) -> DaemonBuilder {
    let directory = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/hooks"));
    let paths: Vec<_> = programs.iter().map(|name| directory.join(name).display().to_string()).collect();
    daemon.flag(&format!("--hook={name}={}", paths.join(";")))
}

fn group(scene: &Scene) -> String {
    let root = scene.app.dir().display().to_string();
    format!("app={root} (production) root={root} ")
}

#[test]
fn a_process_comes_and_goes_with_a_hook() {
    let scene = Scene::with(Language::Python, "", |daemon| {
        let daemon = hook(daemon, "attached_process", &["tell.sh"]);
        hook(daemon, "detached_process", &["tell.sh"])
    });
    let pid = scene.app_pid();
    scene.daemon.logs_eventually(&format!("hook attached_process: {}pid={pid} ", group(&scene)));
    assert!(!scene.daemon.log().contains("hook detached_process"), "it still serves");
    scene.daemon.tool("passenger-config", &["restart-app", &scene.app.dir().display().to_string()]);
    scene.daemon.logs_eventually(&format!("hook detached_process: {}pid={pid} ", group(&scene)));
    let next = scene.app_pid();
    assert_ne!(pid, next);
    scene.daemon.logs_eventually(&format!("hook attached_process: {}pid={next} ", group(&scene)));
    let told = scene.daemon.log().matches("hook detached_process: ").count();
    assert_eq!(told, 1, "each process is told of once");
}

#[test]
fn a_start_that_fails_has_a_hook_with_its_error_id() {
    let scene = Scene::set(
        "",
        |daemon| hook(daemon, "spawn_failed", &["fail.sh", "tell.sh"]),
        |app| app.ruby("raise 'cannot load this'"),
    );
    let page = scene.nginx.get("/").expect(500).text();
    scene.daemon.logs_eventually("fail.sh of the hook spawn_failed exited with status 3");
    let begin = format!("hook spawn_failed: {}pid= error=", group(&scene));
    let mut line = String::new();
    eventually("the program is told the ID that the visitor got", || {
        let log = scene.daemon.log();
        let id = |line: &str| Some(line.split("id=").nth(1)?.split(' ').next()?.to_owned());
        let told = |line: &&str| line.starts_with(&begin) && id(line).is_some_and(|id| page.contains(&id));
        line = log.lines().find(told).unwrap_or_default().to_owned();
        !line.is_empty()
    });
    let registry = line.split("registry=").nth(1).expect("it has the registry");
    assert!(PathBuf::from(registry).is_dir(), "the tools find the daemon by it: {line}");
}

#[test]
fn a_full_queue_has_a_hook() {
    let lines = "passenger_max_request_queue_size 1;";
    let scene = Scene::with(Language::Ruby, lines, |daemon| {
        hook(daemon.flag("--max-pool-size=1"), "queue_full_error", &["tell.sh"])
    });
    let mut clients = Vec::new();
    for name in ["first", "second"] {
        let mut client = scene.nginx.connect();
        client.send(Request::get(&format!("/wait?name={name}")).bytes("close"));
        clients.push(client);
        if name == "first" {
            eventually("it is at work", || scene.stage.scratch("first.arrived").exists());
        }
    }
    eventually("one request waits", || scene.daemon.status().contains("Requests in queue: 1"));
    scene.nginx.get("/").expect(503);
    scene.daemon.logs_eventually(&format!("hook queue_full_error: {}", group(&scene)));
    scene.stage.open_gate("first");
    scene.stage.open_gate("second");
    clients.into_iter().for_each(|mut client| drop(client.read_response().expect(200)));
}

/// A process that takes too long, with a program that looks at it.
fn slow(programs: &[&str]) -> (Scene, u32) {
    let scene = Scene::with(Language::Ruby, "passenger_max_request_time 1;", |daemon| {
        hook(daemon, "max_request_time_reached", programs)
    });
    let pid = scene.app_pid();
    scene.nginx.get("/wait?name=never&x=1").expect(504);
    (scene, pid)
}

#[test]
fn a_slow_process_can_be_looked_at_before_it_is_killed() {
    let (scene, pid) = slow(&["look.sh", "tell.sh"]);
    scene.daemon.logs_eventually(&format!("hook: localhost/wait?name=never&x=1 is at {pid}"));
    assert_ne!(scene.app_pid(), pid, "another process serves while the program looks at this one");
    assert!(stage::is_alive(pid), "it is left as it is");
    // The client's response must not wait for the hook program: the kill is not reported yet.
    assert!(!scene.daemon.log().contains("hook max_request_time_reached"), "the next one waits for its turn");
    scene.app.write("go-on", "");
    eventually("it is killed", || !stage::is_alive(pid));
    scene.daemon.logs_eventually(&format!("hook max_request_time_reached: {}pid={pid} ", group(&scene)));
    let has_no_other = scene.daemon.log().lines().any(|line| line == "0, 1, 2, 3");
    assert!(has_no_other, "ls has one of its own, and none is the daemon's");
}

#[test]
fn a_router_that_ends_meanwhile_spares_no_slow_process() {
    let (scene, pid) = slow(&["look.sh"]);
    scene.daemon.logs_eventually(&format!("is at {pid}"));
    scene.daemon.kill_router();
    assert_ne!(scene.app_pid(), pid, "the next router does not take it for a good one");
    scene.app.write("go-on", "");
    eventually("it is killed", || !stage::is_alive(pid));
}

#[test]
fn a_program_ends_with_the_daemon() {
    let scene = Scene::set(
        "passenger_max_request_time 1;",
        |daemon| hook(daemon.flag("--shutdown-timeout=1"), "max_request_time_reached", &["look.sh"]),
        |app| app.standard(Language::Ruby),
    );
    let mut scene = scene;
    let pid = scene.app_pid();
    scene.nginx.get("/wait?name=never").expect(504);
    scene.daemon.logs_eventually(&format!("is at {pid}"));
    scene.daemon.stop();
    assert!(!stage::is_alive(pid), "neither is left; that no program is, every test looks for");
}
