//! `passenger_health`: 200 while the daemon serves requests, 503 with a reason otherwise, and no app is needed for it.

use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use test_support::{FakeDaemon, Language, ONE_APP_CONF, OneApp, Request, TestDir, signal};

const HEALTH: &str = "location = /health { passenger_health; }";
const SILENT: &str = "flying-passenger does not answer; nginx's error log has the reason\n";

fn json(setup: &OneApp) -> test_support::Response {
    setup.nginx.send(Request::new("GET", "/health").header("Accept", "text/html, application/json;q=0.9"))
}

#[test]
fn a_serving_daemon_is_healthy_without_a_process() {
    let setup = OneApp::with(Language::Python, HEALTH, |daemon| daemon);
    let response = setup.nginx.get("/health").expect(200);
    assert_eq!(response.text(), "ok\n");
    assert_eq!(response.header("Content-Type"), Some("text/plain; charset=utf-8"));
    assert_eq!(response.header("Cache-Control"), Some("no-store"));
    assert_eq!(json(&setup).expect(200).json(), serde_json::json!({ "status": "ok" }));
    let head = setup.nginx.send(Request::new("HEAD", "/health")).expect(200);
    assert_eq!((head.text().as_str(), head.header("Content-Type")), ("", Some("text/plain; charset=utf-8")));
    assert_eq!(setup.nginx.send(Request::new("POST", "/health")).status(), 405);
    let mut connection = setup.nginx.connect();
    for _ in 0..3 {
        connection.send(Request::new("GET", "/health").bytes("keep-alive"));
        assert_eq!(connection.read_response().expect(200).text(), "ok\n");
    }
    assert_eq!(setup.daemon.app_pids(), [0; 0]);
}

#[test]
fn without_a_daemon_it_is_503_with_the_reason() {
    let mut setup = OneApp::with(Language::Python, HEALTH, |daemon| daemon);
    setup.test_dir.expect_log_line("fly.sock failed");
    setup.nginx.get("/health").expect(200);
    setup.daemon.stop();
    for _ in 0..3 {
        let response = setup.nginx.get("/health").expect(503);
        assert_eq!(response.text(), SILENT);
        assert_eq!(response.header("Content-Type"), Some("text/plain; charset=utf-8"));
        assert_eq!(response.header("Cache-Control"), Some("no-store"));
    }
    assert_eq!(json(&setup).expect(503).json()["status"], "error");
    let head = setup.nginx.send(Request::new("HEAD", "/health")).expect(503);
    assert_eq!(head.header("Content-Length"), Some(SILENT.len().to_string().as_str()));
    assert!(setup.nginx.error_log().contains("check that flying-passenger is running"));
    assert_eq!(setup.nginx.get("/").status(), 502, "the answer to visitors is as ever");
    setup.daemon.start_again();
    assert_eq!(setup.nginx.get("/health").expect(200).text(), "ok\n");
}

#[test]
fn it_is_the_same_over_http_2() {
    let test_dir = TestDir::new();
    test_dir.expect_log_line("fly.sock");
    let mut daemon = test_dir.daemon().start();
    let conf = ONE_APP_CONF.replace("127.0.0.1:%%PORT%%", "127.0.0.1:%%PORT%% http2");
    let nginx = test_dir.nginx(&conf.replace("%%APP%%", HEALTH)).start();
    let url = format!("http://127.0.0.1:{}/health", nginx.port());
    let curl = |arguments: &[&str]| {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--http2-prior-knowledge", "--write-out", "|%{http_code}"]);
        let output = curl.args(arguments).arg(&url).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(curl(&[]), "ok\n|200");
    daemon.stop();
    assert_eq!(curl(&[]), format!("{SILENT}|503"));
    assert!(curl(&["--head"]).ends_with("|503"));
}

#[test]
fn a_daemon_that_hangs_is_unhealthy_within_seconds() {
    let setup = OneApp::with(Language::Python, HEALTH, |daemon| daemon);
    setup.test_dir.expect_log_line("timed out");
    setup.nginx.get("/health").expect(200);
    signal(setup.daemon.router(), Signal::SIGSTOP);
    let started = Instant::now();
    let response = setup.nginx.get("/health");
    signal(setup.daemon.router(), Signal::SIGCONT);
    assert_eq!(response.expect(503).text(), SILENT);
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    assert_eq!(setup.nginx.get("/health").expect(200).text(), "ok\n");
}

#[test]
fn a_daemon_that_ends_is_unhealthy_while_requests_finish() {
    let slow = "def application(environ, start_response):
    import os, time
    start_response('200 OK', [])
    yield b'begun'
    while not os.path.exists('scratch/end.go'):
        time.sleep(0.01)
    yield b' ended'
";
    let mut setup = OneApp::app(HEALTH, |app| app.python(slow));
    setup.test_dir.expect_log_line("fly.sock");
    let mut keepalive = setup.nginx.connect();
    keepalive.send(Request::new("GET", "/health").bytes("keep-alive"));
    keepalive.read_response().expect(200);
    let mut visitor = setup.nginx.connect();
    visitor.send(Request::new("GET", "/").bytes("close"));
    visitor.read_until("begun");
    signal(setup.daemon.pid(), Signal::SIGTERM);
    setup.daemon.logs_eventually("received SIGTERM");
    test_support::eventually("it is unhealthy", || setup.nginx.get("/health").status() == 503);
    setup.test_dir.open_gate("end");
    visitor.read_until(" ended");
    assert!(setup.daemon.await_end().success());
}

#[test]
fn an_older_daemon_is_unhealthy_and_the_log_says_why() {
    let test_dir = TestDir::new();
    test_dir.app("app").standard(Language::Ruby);
    let _daemon = FakeDaemon::without_status_page(&test_dir.socket());
    let nginx = test_dir.nginx(&ONE_APP_CONF.replace("%%APP%%", HEALTH)).start();
    assert_eq!(nginx.get("/health").expect(503).text(), SILENT);
    let advice = "upgrade flying-passenger to a release that supports passenger_health";
    assert!(nginx.error_log().contains(advice), "{}", nginx.error_log());
}

#[test]
fn an_unsuitable_location_is_refused() {
    let test_dir = TestDir::new();
    test_dir.expect_log_line("[emerg]");
    let printed = |location: &str, fly_with: &str| {
        let conf = format!(
            "%%GLOBALS%% # passenger\nevents {{ }}\nhttp {{\n%%HTTP%% {fly_with}\nserver {{\n\
             listen 127.0.0.1:%%PORT%%;\nlocation /health {{\n{location}\n}} }} }}"
        );
        String::from_utf8_lossy(&test_dir.nginx(&conf).test_config().stderr).into_owned()
    };
    let without = printed("passenger_health;", "");
    assert!(without.contains("passenger_health is set in"), "{without}");
    let both = printed("passenger_health;\npassenger_status;", "passenger_fly_with %%SOCKET%%;");
    assert!(both.contains("nginx.conf:9"), "{both}");
    let argument = printed("passenger_health on;", "passenger_fly_with %%SOCKET%%;");
    assert!(argument.contains("invalid number of arguments in \"passenger_health\""), "{argument}");
}
