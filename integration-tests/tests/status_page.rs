//! The status page: served by nginx and on the administration socket, complete, and read-only.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use protocol::frame::FrameType;
use serde_json::Value;
use test_support::{
    Daemon, FakeDaemon, FrameClient, Language, Nginx, ONE_APP_CONF, OneApp, Request, Response, TestDir,
};

const STATUS: &str = "location = /status { passenger_status; }";

fn data(nginx: &Nginx) -> Value {
    nginx.get("/status?data").expect(200).json()
}

/// What the tools' socket answers to this request.
fn admin(daemon: &Daemon, line: &str) -> (String, Vec<u8>) {
    let mut stream = UnixStream::connect(daemon.admin_socket()).unwrap();
    stream.write_all(format!("{line} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let at = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
    (String::from_utf8(answer[..at].to_vec()).unwrap(), answer.split_off(at + 4))
}

#[test]
fn nginx_serves_the_page_and_its_data() {
    let setup = OneApp::with(Language::Ruby, STATUS, |daemon| daemon);
    let page = setup.nginx.get("/status").expect(200);
    assert_eq!(page.header("Content-Type"), Some("text/html; charset=utf-8"));
    assert!(page.text().starts_with("<!DOCTYPE html>") && page.text().ends_with("</html>\n"));
    let policy = page.header("Content-Security-Policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'nonce-"), "{policy}");
    let shown = setup.nginx.get("/status?data").expect(200);
    assert_eq!(shown.header("Content-Type"), Some("application/json"));
    for response in [&page, &shown] {
        assert_eq!(response.header("Cache-Control"), Some("no-store"));
        assert_eq!(response.header("X-Content-Type-Options"), Some("nosniff"));
        assert_eq!(response.header("Referrer-Policy"), Some("no-referrer"));
    }
    let length = page.header("Content-Length").unwrap();
    let head = setup.nginx.send(Request::new("HEAD", "/status")).expect(200);
    assert_eq!((head.header("Content-Length"), head.body.len()), (Some(length), 0));
    assert!(setup.nginx.send(Request::new("HEAD", "/status?data")).expect(200).body.is_empty());
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW"] {
        assert_eq!(setup.nginx.send(Request::new(method, "/status")).status(), 405, "{method}");
    }
}

#[test]
fn the_admin_socket_serves_the_same_page_and_data() {
    let setup = OneApp::with(Language::Ruby, STATUS, |daemon| daemon);
    setup.app_pid();
    let (head, page) = admin(&setup.daemon, "GET /");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n"), "{head}");
    assert!(
        head.contains("\r\nContent-Security-Policy: ") && head.contains("\r\nCache-Control: no-store"),
        "{head}"
    );
    assert_eq!(page.len(), setup.nginx.get("/status").body.len());
    let own: Value = serde_json::from_slice(&admin(&setup.daemon, "GET /status.json").1).unwrap();
    let as_page: Value = serde_json::from_slice(&admin(&setup.daemon, "GET /?data").1).unwrap();
    for reported in [own, as_page] {
        assert_eq!(reported["apps"][0]["name"], data(&setup.nginx)["apps"][0]["name"]);
        assert_eq!(reported["apps"][0]["finished"], 1);
    }
    assert!(admin(&setup.daemon, "POST /").0.starts_with("HTTP/1.1 405 "));
    let socket = setup.daemon.admin_socket();
    let curl = std::process::Command::new("curl")
        .arg("-sSf")
        .arg("--unix-socket")
        .arg(socket)
        .arg("http://localhost/")
        .output();
    assert!(curl.unwrap().stdout.starts_with(b"<!DOCTYPE html>"));
}

#[test]
fn prometheus_metrics_are_in_the_same_location() {
    let setup = OneApp::with(Language::Ruby, STATUS, |daemon| daemon);
    setup.app_pid();
    for query in ["metrics", "metrics=", "a=b&metrics="] {
        let answer = setup.nginx.get(&format!("/status?{query}")).expect(200);
        assert!(answer.header("Content-Type").unwrap().starts_with("text/plain; version=0.0.4"));
        let text = answer.text();
        let count = "flying_passenger_request_seconds_count{app=\"";
        assert!(text.lines().any(|line| line.starts_with(count) && line.ends_with("} 1")), "{text}");
    }
    assert!(setup.nginx.get("/status?metric").expect(200).text().starts_with("<!DOCTYPE html>"));
}

#[test]
fn the_admin_socket_hides_apps_of_other_users() {
    if !test_support::is_root() {
        return test_support::skipped("the_admin_socket_hides_apps_of_other_users", "it switches users");
    }
    let setup = OneApp::of(Language::Ruby);
    setup.app_pid();
    let socket = setup.daemon.admin_socket();
    let output = std::process::Command::new("setpriv")
        .args([
            "--reuid=games",
            "--regid=games",
            "--clear-groups",
            "curl",
            "-sSf",
            "http://x/status.json",
            "--unix-socket",
        ])
        .arg(socket)
        .output()
        .unwrap();
    let reported: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(reported["apps"], serde_json::json!([]), "{reported}");
}

#[test]
fn nested_locations_do_not_serve_the_status_page() {
    let lines = "location /p {
            passenger_status; passenger_enabled on; passenger_request_buffering off;
            if ($arg_x) { passenger_app_env test; }
            limit_except GET { allow all; }
            location /pid { passenger_app_env production; }
        }
        location /status/ { passenger_status; }";
    let setup = OneApp::with(Language::Python, lines, |daemon| daemon);
    let is_page = |response: Response| response.expect(200).text().starts_with("<!DOCTYPE html>");
    assert!(is_page(setup.nginx.get("/p")));
    assert!(is_page(setup.nginx.get("/page?x=1")), "an if inside changes nothing");
    assert!(!is_page(setup.nginx.get("/pid")), "it is the app's");
    assert!(is_page(setup.nginx.get("/status/anything")));
    assert_eq!(setup.nginx.get("/status").status(), 301, "a final slash is added");
    // A body is of no interest, and must not be taken for the next request.
    let mut connection = setup.nginx.connect();
    for size in [0, 1, 200_000] {
        let request = Request::new("GET", "/p").header("Content-Length", &size.to_string());
        connection.send(request.bytes("keep-alive")).send(vec![b'x'; size]);
        connection.read_response().expect(200);
    }
    assert!(is_page(setup.nginx.get("/p")));
}

#[test]
fn an_unsuitable_location_is_refused_with_file_and_line() {
    let test_dir = TestDir::new();
    test_dir.expect_log_line("[emerg]");
    let printed = |location: &str, fly_with: &str| {
        let conf = format!(
            "%%GLOBALS%% # passenger\nevents {{ }}\nhttp {{\n%%HTTP%% {fly_with}\nserver {{\n\
             listen 127.0.0.1:%%PORT%%;\nlocation /status {{\n{location}\n}} }} }}"
        );
        String::from_utf8_lossy(&test_dir.nginx(&conf).test_config().stderr).into_owned()
    };
    let without = printed("passenger_status;", "");
    assert!(without.contains("nginx.conf:8, but passenger_fly_with is not configured; add"), "{without}");
    let other = printed("passenger_status; proxy_pass http://127.0.0.1:1;", "passenger_fly_with %%SOCKET%%;");
    assert!(other.contains("nginx.conf:8, but another directive serves this location"), "{other}");
    let within_if = printed("if ($arg_x) { passenger_status; }", "passenger_fly_with %%SOCKET%%;");
    assert!(within_if.contains("\"passenger_status\" directive is not allowed here"), "{within_if}");
}

#[test]
fn without_a_daemon_the_page_is_an_error_with_a_logged_remedy() {
    let mut setup = OneApp::with(Language::Ruby, STATUS, |daemon| daemon);
    setup.test_dir.expect_log_line("fly.sock failed");
    setup.nginx.get("/status").expect(200);
    setup.daemon.stop();
    assert_eq!(setup.nginx.get("/status").status(), 502);
    assert!(
        setup.nginx.error_log().contains("check that flying-passenger is running"),
        "{}",
        setup.nginx.error_log()
    );
    setup.daemon.start_again();
    setup.nginx.get("/status").expect(200);
}

#[test]
fn an_older_daemon_without_the_page_is_logged() {
    let test_dir = TestDir::new();
    test_dir.app("app").standard(Language::Ruby);
    let _daemon = FakeDaemon::without_status_page(&test_dir.socket());
    let nginx = test_dir.nginx(&ONE_APP_CONF.replace("%%APP%%", STATUS)).start();
    assert_eq!(nginx.get("/status").status(), 502);
    let log = nginx.error_log();
    let reported: Vec<_> =
        log.lines().filter(|line| line.contains("flying-passenger aborted the request")).collect();
    assert_eq!(reported.len(), 1, "one clear line: {log}");
    let advice =
        "frame type 0x07 is unknown; upgrade flying-passenger to a release that supports passenger_status";
    assert!(
        reported[0].contains(advice) && reported[0].contains("request: \"GET /status HTTP/1.1\""),
        "{}",
        reported[0]
    );
    assert_eq!(nginx.get("/status?data").status(), 502);
}

#[test]
fn an_invalid_question_closes_only_its_connection() {
    let setup = OneApp::with(Language::Ruby, STATUS, |daemon| daemon);
    let router = setup.daemon.router();
    for payload in [&b""[..], &[9, 9], &[0; 16], &[0xff; 16]] {
        let mut client = FrameClient::connect(&setup.test_dir.socket());
        client.send_frame(FrameType::Status, payload);
        let aborted = client.answer().aborted.expect("it is refused");
        assert!(aborted.contains("question for the status page"), "{aborted}");
        assert!(client.is_closed());
    }
    let mut client = FrameClient::connect(&setup.test_dir.socket());
    client.send_frame(FrameType::Status, &[1, 0]);
    assert_eq!(client.answer().status, 200);
    assert_eq!(setup.daemon.router(), router);
}
