//! Hooks for events of apps: programs that get the event in their environment.

use std::path::PathBuf;

use test_support::{DaemonBuilder, Language, OneApp, Request, eventually};

/// `--hook NAME=PROGRAM`, with programs from the fixtures.
pub(crate) fn hook(daemon: DaemonBuilder, name: &str, programs: &[&str]) -> DaemonBuilder {
    let directory = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/hooks"));
    let paths: Vec<_> = programs.iter().map(|name| directory.join(name).display().to_string()).collect();
    daemon.flag(&format!("--hook={name}={}", paths.join(";")))
}

fn group(setup: &OneApp) -> String {
    let root = setup.app.dir().display().to_string();
    format!("app={root} (production) root={root} ")
}

#[test]
fn hooks_run_when_a_process_starts_and_ends() {
    let setup = OneApp::with(Language::Python, "", |daemon| {
        let daemon = hook(daemon, "attached_process", &["tell.sh"]);
        hook(daemon, "detached_process", &["tell.sh"])
    });
    let pid = setup.app_pid();
    setup.daemon.logs_eventually(&format!("hook attached_process: {}pid={pid} ", group(&setup)));
    assert!(!setup.daemon.log().contains("hook detached_process"), "it still serves");
    setup.daemon.tool("passenger-config", &["restart-app", &setup.app.dir().display().to_string()]);
    setup.daemon.logs_eventually(&format!("hook detached_process: {}pid={pid} ", group(&setup)));
    let next = setup.app_pid();
    assert_ne!(pid, next);
    setup.daemon.logs_eventually(&format!("hook attached_process: {}pid={next} ", group(&setup)));
    let reported = setup.daemon.log().matches("hook detached_process: ").count();
    assert_eq!(reported, 1, "the hook runs once for each process");
}

#[test]
fn a_failed_start_runs_a_hook_with_its_error_id() {
    let setup = OneApp::custom(
        "",
        |daemon| hook(daemon, "spawn_failed", &["fail.sh", "tell.sh"]),
        |app| app.ruby("raise 'cannot load this'"),
    );
    let page = setup.nginx.get("/").expect(500).text();
    setup.daemon.logs_eventually("fail.sh of the hook spawn_failed exited with status 3");
    let begin = format!("hook spawn_failed: {}pid= error=", group(&setup));
    let mut line = String::new();
    eventually("the program receives the ID that the visitor got", || {
        let log = setup.daemon.log();
        let id = |line: &str| Some(line.split("id=").nth(1)?.split(' ').next()?.to_owned());
        let reported =
            |line: &&str| line.starts_with(&begin) && id(line).is_some_and(|id| page.contains(&id));
        line = log.lines().find(reported).unwrap_or_default().to_owned();
        !line.is_empty()
    });
    let registry = line.split("registry=").nth(1).expect("it has the registry");
    assert!(PathBuf::from(registry).is_dir(), "the tools find the daemon by it: {line}");
}

#[test]
fn a_full_queue_runs_a_hook() {
    let lines = "passenger_max_request_queue_size 1;";
    let setup = OneApp::with(Language::Ruby, lines, |daemon| {
        hook(daemon.flag("--max-pool-size=1"), "queue_full_error", &["tell.sh"])
    });
    let mut clients = Vec::new();
    for name in ["first", "second"] {
        let mut client = setup.nginx.connect();
        client.send(Request::get(&format!("/wait?name={name}")).bytes("close"));
        clients.push(client);
        if name == "first" {
            eventually("it is working", || setup.test_dir.scratch("first.arrived").exists());
        }
    }
    eventually("one request waits", || setup.daemon.status().contains("Requests in queue: 1"));
    setup.nginx.get("/").expect(503);
    setup.daemon.logs_eventually(&format!("hook queue_full_error: {}", group(&setup)));
    setup.test_dir.open_gate("first");
    setup.test_dir.open_gate("second");
    clients.into_iter().for_each(|mut client| drop(client.read_response().expect(200)));
}

/// A process that takes too long, with a program that looks at it.
fn slow(programs: &[&str]) -> (OneApp, u32) {
    let setup = OneApp::with(Language::Ruby, "passenger_max_request_time 1;", |daemon| {
        hook(daemon, "max_request_time_reached", programs)
    });
    let pid = setup.app_pid();
    setup.nginx.get("/wait?name=never&x=1").expect(504);
    (setup, pid)
}

#[test]
fn a_hook_can_inspect_a_slow_process_before_it_is_killed() {
    let (setup, pid) = slow(&["look.sh", "tell.sh"]);
    setup.daemon.logs_eventually(&format!("hook: localhost/wait?name=never&x=1 is at {pid}"));
    assert_ne!(setup.app_pid(), pid, "another process serves while the program looks at this one");
    assert!(test_support::is_alive(pid), "it is left as it is");
    // The client's response must not wait for the hook program: the kill is not reported yet.
    assert!(!setup.daemon.log().contains("hook max_request_time_reached"), "the next one waits for its turn");
    setup.app.write("go-on", "");
    eventually("it is killed", || !test_support::is_alive(pid));
    setup.daemon.logs_eventually(&format!("hook max_request_time_reached: {}pid={pid} ", group(&setup)));
    let has_no_other = setup.daemon.log().lines().any(|line| line == "0, 1, 2, 3");
    assert!(has_no_other, "ls has its own descriptor, and none of the daemon's");
}

#[test]
fn a_slow_process_is_killed_although_the_router_ended() {
    let (setup, pid) = slow(&["look.sh"]);
    setup.daemon.logs_eventually(&format!("is at {pid}"));
    setup.daemon.kill_router();
    assert_ne!(setup.app_pid(), pid, "the next router does not take it for a good one");
    setup.app.write("go-on", "");
    eventually("it is killed", || !test_support::is_alive(pid));
}

#[test]
fn hook_programs_end_with_the_daemon() {
    let setup = OneApp::custom(
        "passenger_max_request_time 1;",
        |daemon| hook(daemon.flag("--shutdown-timeout=1"), "max_request_time_reached", &["look.sh"]),
        |app| app.standard(Language::Ruby),
    );
    let mut setup = setup;
    let pid = setup.app_pid();
    setup.nginx.get("/wait?name=never").expect(504);
    setup.daemon.logs_eventually(&format!("is at {pid}"));
    setup.daemon.stop();
    assert!(!test_support::is_alive(pid), "neither is left; that no program is, every test looks for");
}
