//! Failures: floods of connections, output or requests. Other apps are not affected, and status and log name the cause.

use std::os::unix::net::UnixStream;
use std::time::Duration;

use test_support::{
    Language, ONE_APP_CONF, OneApp, Request, TestDir, TwoApps, eventually, eventually_within,
};

#[test]
fn a_flood_on_the_admin_socket_does_not_affect_requests() {
    let setup = OneApp::of(Language::Ruby);
    let pid = setup.app_pid();
    let path = setup.daemon.admin_socket();
    let before = test_support::open_descriptors(setup.daemon.router());
    // They say nothing, and stay.
    let mut flood: Vec<_> = (0..2000).filter_map(|_| UnixStream::connect(&path).ok()).collect();
    assert!(flood.len() > 1500, "only {} got in", flood.len());
    assert_eq!(setup.app_pid(), pid);
    eventually("the router has closed most of them", || {
        test_support::open_descriptors(setup.daemon.router()) < before + 100
    });
    assert_eq!(setup.app_pid(), pid);
    // The same user has its places back when they are free.
    flood.clear();
    eventually("tools are answered", || setup.daemon.tool("passenger-status", &[]).status.success());
}

/// Writes as fast as the daemon reads, until it has written 200 MB.
const FLOOD: &str = "import os, threading
lines = (b'x' * 999 + b'\\n') * 64
def pour():
    for _ in range(200 * 1000 // 64):
        rest = lines
        while rest:
            rest = rest[os.write(2, rest):]
    os.write(2, b'poured out\\n')
def application(environ, start_response):
    if environ['PATH_INFO'] == '/bad/pour':
        threading.Thread(target=pour).start()
    start_response('200 OK', [])
    return [b'pouring']
";

#[test]
fn a_flood_on_standard_error_does_not_affect_other_apps() {
    let unlimited = "--app-output-limit=0";
    let setup = TwoApps::new("", |daemon| daemon.flag(unlimited), |app| app.python(FLOOD));
    let log = setup.test_dir.path("daemon.log");
    let length = || std::fs::metadata(&log).unwrap().len();
    setup.nginx.get("/bad/").expect(200);
    let quiet = length();
    let mut flood = setup.ask("/bad/pour");
    flood.read_response().expect(200);
    eventually("it writes", || length() > quiet + (1 << 20));
    let (mut answers, mut most) = (0, 0);
    eventually("most of it is written", || {
        let before = length();
        setup.good_app_serves();
        most = most.max(length() - before);
        answers += 1;
        assert!(
            test_support::Memory::resident_kib(setup.daemon.router()) < 64 * 1024,
            "the router keeps none of it"
        );
        length() >= quiet + 190_000_000
    });
    // The waiting time of a client, measured by the lines logged meanwhile: about 100 MB/s.
    assert!(answers > 20 && most < 16_000_000, "{answers} answers, {most} bytes during one of them");
    setup.daemon.logs_eventually("poured out");
}

#[test]
fn output_above_the_limit_is_counted_and_not_logged() {
    let setup = TwoApps::new("", |daemon| daemon, |app| app.python(FLOOD));
    setup.nginx.get("/bad/").expect(200);
    let mut flood = setup.ask("/bad/pour");
    flood.read_response().expect(200);
    let name = setup.bad_group();
    setup.daemon.logs_eventually(&format!("app {name}: it prints more than 10000 lines in 30 s"));
    for _ in 0..20 {
        setup.good_app_serves();
    }
    let log = setup.daemon.log();
    assert!(log.len() < 20_000_000, "{} bytes of log", log.len());
    let counted = || setup.daemon.log().contains("lines of its output were not logged (--app-output-limit)");
    eventually_within("the lines that are left out are counted", Duration::from_secs(40), counted);
    assert!(!setup.daemon.log().contains("poured out"), "it was among those left out");
}

#[test]
fn a_hook_that_floods_the_log_does_not_affect_requests() {
    let setup = TwoApps::new(
        "",
        |daemon| crate::hooks::hook(daemon, "attached_process", &["flood.sh", "sign.sh"]),
        |app| app.standard(Language::Python),
    );
    let mut bad = setup.ask("/bad/");
    let mut answers = 0;
    let attached = [setup.test_dir.path("app/attached"), setup.bad.path("attached")];
    // Programs of a hook run one after the other: the flood has ended then.
    eventually("the hooks of both apps' processes have run", || {
        setup.good_app_serves();
        answers += 1;
        attached.iter().all(|sign| sign.exists())
    });
    bad.read_response();
    assert!(answers > 0 && setup.daemon.log().len() > 2 * 50_000_000, "{answers} answers");
}

#[test]
fn a_thousand_queued_requests_are_served() {
    let test_dir = TestDir::new();
    test_dir.app("app").standard(Language::Python);
    let daemon = test_dir.daemon().flag("--max-pool-size=1").start();
    let conf = ONE_APP_CONF.replace("worker_connections 512", "worker_connections 4096");
    let nginx = test_dir.nginx(&conf.replace("%%APP%%", "passenger_max_request_queue_size 0;")).start();
    nginx.get("/pid").expect(200);
    let mut first = nginx.connect();
    first.send(Request::get("/wait?name=gate").bytes("close"));
    eventually("the process is busy", || daemon.status().contains("Sessions: 1 "));
    let mut waiting: Vec<_> = (0..1000)
        .map(|_| {
            let mut client = nginx.connect();
            client.send(Request::get("/pid").bytes("close"));
            client
        })
        .collect();
    eventually("all requests wait", || daemon.status().contains("Requests in queue: 1000"));
    let shown = daemon.tool("passenger-status", &["--show=server"]).stdout;
    let shown: serde_json::Value = serde_json::from_slice(&shown).unwrap();
    assert_eq!(shown["requests"].as_array().unwrap().len(), 1001);
    test_dir.open_gate("gate");
    first.read_response().expect(200);
    for client in &mut waiting {
        client.read_response().expect(200);
    }
}
