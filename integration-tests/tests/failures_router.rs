//! Failures: the router crashes. Active responses are visibly truncated, and nothing else is lost.

use std::fs;

use nix::sys::signal::Signal;
use serde_json::json;
use test_support::{
    Connection, OneApp, Request, TestDir, eventually, for_each_language, is_alive, is_root, kill_9,
};

use crate::daemon_wide::DaemonSetup;

for_each_language! {
    fn a_router_crash_truncates_responses_and_keeps_apps(language) {
        let setup = OneApp::with(language, "passenger_min_instances 2;", |daemon| daemon);
        setup.app_pid();
        eventually("two processes are there", || setup.daemon.app_pids().len() == 2);
        let mut before = setup.daemon.app_pids();
        let mut clients: Vec<Connection> = (0..2)
            .map(|_| {
                let mut client = setup.nginx.connect();
                client.send(Request::get("/download?mb=48").bytes("close"));
                client
            })
            .collect();
        let heads: Vec<_> = clients.iter_mut().map(Connection::read_head).collect();
        setup.daemon.kill_router();
        for (client, head) in clients.iter_mut().zip(heads) {
            let mut len = 0;
            let complete = client.read_body(&head, "GET", |part| len += part.len());
            assert!(!complete.is_ok_and(|complete| complete), "{len} bytes pass for a whole answer");
        }
        for _ in 0..4 {
            setup.app_pid();
        }
        let mut after = setup.daemon.app_pids();
        before.sort_unstable();
        after.sort_unstable();
        assert_eq!(after, before, "the processes are the same, and answer");
        eventually("none of them is considered busy", || !setup.daemon.status().contains("Sessions: 1"));
    }
}

/// The caller of the daemon may ignore SIGCHLD: the kernel would reap its children, and use their PIDs again.
#[test]
fn children_are_reaped_although_sigchld_was_ignored_at_the_start() {
    let daemon = TestDir::new().daemon().through(&["env", "--ignore-signal=CHLD"]).start();
    daemon.kill_router();
    daemon.logs_eventually("was killed by signal 9 (SIGKILL); the next one takes over");
}

/// Reads bodies slowly, and says how long they are.
const SLOW_READER: &str = "import os, time
def application(environ, start_response):
    length = 0
    while True:
        piece = environ['wsgi.input'].read(16384)
        if not piece:
            break
        length += len(piece)
        open(environ['REQUEST_METHOD'], 'a').close()
        time.sleep(0.01)
    start_response('200 OK', [])
    return [f'{os.getpid()} {length}'.encode()]
";

/// nginx itself repeats what it has sent on a kept connection, but for methods that are not idempotent, as it does with
/// `proxy_pass`.
#[test]
fn a_router_crash_fails_a_post_and_nginx_repeats_a_put() {
    let setup = OneApp::app("", |app| {
        let app = app.python(SLOW_READER);
        if is_root() { app.owned_by("games") } else { app }
    });
    let pid = setup.nginx.get("/").expect(200).text().to_owned();
    let upload = |method: &str| {
        // nginx keeps its connection to the router after the first request.
        let mut client = setup.nginx.connect();
        client.send(Request::get("/").bytes("keep-alive"));
        client.read_response().expect(200);
        client.send(Request::new(method, "/").body(vec![b'x'; 4 << 20]).bytes("close"));
        eventually("the upload is active", || setup.app.path(method).exists());
        setup.daemon.kill_router();
        client.read_response()
    };
    upload("POST").expect(502);
    let whole = pid.replace(" 0", " 4194304");
    assert_eq!(upload("PUT").expect(200).text(), whole, "the same process has all of it");
    assert_eq!(setup.nginx.get("/").expect(200).text(), pid);
}

#[test]
fn a_reload_without_a_router_applies_to_the_next_one() {
    let setup = DaemonSetup::new("", |daemon| daemon.configured("max_pool_size = 4\n"));
    let pid = setup.nginx.get("/pid").text();
    let file = setup.test_dir.path("daemon.toml");
    let text = fs::read_to_string(&file).unwrap();
    for size in 5..9 {
        let router = setup.daemon.router();
        kill_9(router);
        // From the second time on there is a pause before the next one.
        eventually("it has died", || !is_alive(router));
        fs::write(&file, text.replace("= 4", &format!("= {size}"))).unwrap();
        setup.daemon.signal(Signal::SIGHUP);
        eventually("the next router has the value", || {
            let shown = setup.daemon.tool("passenger-config", &["settings", "--json"]);
            shown.status.success() && setup.option("max_pool_size") == (json!(size), "file".to_owned())
        });
        assert_eq!(setup.nginx.get("/pid").expect(200).text(), pid);
    }
    assert_eq!(setup.daemon.log().matches("reading the configuration again").count(), 4);
    assert!(setup.daemon.log().contains("the next one takes over"));
}
