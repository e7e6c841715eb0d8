//! The status page: served by nginx and on the administration socket, complete, and read-only.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use protocol::frame::FrameType;
use serde_json::Value;
use stage::{Daemon, FakeDaemon, FrameClient, Language, Nginx, ONE_APP, Request, Response, Scene, Stage};

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
fn nginx_serves_the_page_and_what_it_shows() {
    let scene = Scene::with(Language::Ruby, STATUS, |daemon| daemon);
    let page = scene.nginx.get("/status").expect(200);
    assert_eq!(page.header("Content-Type"), Some("text/html; charset=utf-8"));
    assert!(page.text().starts_with("<!DOCTYPE html>") && page.text().ends_with("</html>\n"));
    let policy = page.header("Content-Security-Policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'nonce-"), "{policy}");
    let shown = scene.nginx.get("/status?data").expect(200);
    assert_eq!(shown.header("Content-Type"), Some("application/json"));
    for response in [&page, &shown] {
        assert_eq!(response.header("Cache-Control"), Some("no-store"));
        assert_eq!(response.header("X-Content-Type-Options"), Some("nosniff"));
        assert_eq!(response.header("Referrer-Policy"), Some("no-referrer"));
    }
    let length = page.header("Content-Length").unwrap();
    let head = scene.nginx.send(Request::new("HEAD", "/status")).expect(200);
    assert_eq!((head.header("Content-Length"), head.body.len()), (Some(length), 0));
    assert!(scene.nginx.send(Request::new("HEAD", "/status?data")).expect(200).body.is_empty());
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW"] {
        assert_eq!(scene.nginx.send(Request::new(method, "/status")).status(), 405, "{method}");
    }
}

#[test]
fn the_tools_socket_has_the_same_page_and_the_same_data() {
    let scene = Scene::with(Language::Ruby, STATUS, |daemon| daemon);
    scene.app_pid();
    let (head, page) = admin(&scene.daemon, "GET /");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n"), "{head}");
    assert!(
        head.contains("\r\nContent-Security-Policy: ") && head.contains("\r\nCache-Control: no-store"),
        "{head}"
    );
    assert_eq!(page.len(), scene.nginx.get("/status").body.len());
    let own: Value = serde_json::from_slice(&admin(&scene.daemon, "GET /status.json").1).unwrap();
    let as_page: Value = serde_json::from_slice(&admin(&scene.daemon, "GET /?data").1).unwrap();
    for told in [own, as_page] {
        assert_eq!(told["apps"][0]["name"], data(&scene.nginx)["apps"][0]["name"]);
        assert_eq!(told["apps"][0]["finished"], 1);
    }
    assert!(admin(&scene.daemon, "POST /").0.starts_with("HTTP/1.1 405 "));
    let socket = scene.daemon.admin_socket();
    let curl = std::process::Command::new("curl")
        .arg("-sSf")
        .arg("--unix-socket")
        .arg(socket)
        .arg("http://localhost/")
        .output();
    assert!(curl.unwrap().stdout.starts_with(b"<!DOCTYPE html>"));
}

#[test]
fn prometheus_gets_its_figures_in_the_same_location() {
    let scene = Scene::with(Language::Ruby, STATUS, |daemon| daemon);
    scene.app_pid();
    for query in ["metrics", "metrics=", "a=b&metrics="] {
        let answer = scene.nginx.get(&format!("/status?{query}")).expect(200);
        assert!(answer.header("Content-Type").unwrap().starts_with("text/plain; version=0.0.4"));
        let text = answer.text();
        let count = "flying_passenger_request_seconds_count{app=\"";
        assert!(text.lines().any(|line| line.starts_with(count) && line.ends_with("} 1")), "{text}");
    }
    assert!(scene.nginx.get("/status?metric").expect(200).text().starts_with("<!DOCTYPE html>"));
}

#[test]
fn at_the_tools_socket_a_stranger_sees_no_app_of_others() {
    if !stage::is_root() {
        return stage::skipped("at_the_tools_socket_a_stranger_sees_no_app_of_others", "it switches users");
    }
    let scene = Scene::of(Language::Ruby);
    scene.app_pid();
    let socket = scene.daemon.admin_socket();
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
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["apps"], serde_json::json!([]), "{told}");
}

#[test]
fn the_location_is_the_pages_alone_and_what_is_nested_in_it_is_not() {
    let lines = "location /p {
            passenger_status; passenger_enabled on; passenger_request_buffering off;
            if ($arg_x) { passenger_app_env test; }
            limit_except GET { allow all; }
            location /pid { passenger_app_env production; }
        }
        location /status/ { passenger_status; }";
    let scene = Scene::with(Language::Python, lines, |daemon| daemon);
    let is_page = |response: Response| response.expect(200).text().starts_with("<!DOCTYPE html>");
    assert!(is_page(scene.nginx.get("/p")));
    assert!(is_page(scene.nginx.get("/page?x=1")), "an if inside changes nothing");
    assert!(!is_page(scene.nginx.get("/pid")), "it is the app's");
    assert!(is_page(scene.nginx.get("/status/anything")));
    assert_eq!(scene.nginx.get("/status").status(), 301, "a final slash is added");
    // A body is of no interest, and must not be taken for the next request.
    let mut connection = scene.nginx.connect();
    for size in [0, 1, 200_000] {
        let request = Request::new("GET", "/p").header("Content-Length", &size.to_string());
        connection.send(request.bytes("keep-alive")).send(vec![b'x'; size]);
        connection.read_response().expect(200);
    }
    assert!(is_page(scene.nginx.get("/p")));
}

#[test]
fn a_location_that_cannot_show_it_is_refused_with_file_and_line() {
    let stage = Stage::new();
    stage.expect_log_line("[emerg]");
    let said = |location: &str, fly_with: &str| {
        let conf = format!(
            "%%GLOBALS%% # passenger\nevents {{ }}\nhttp {{\n%%HTTP%% {fly_with}\nserver {{\n\
             listen 127.0.0.1:%%PORT%%;\nlocation /status {{\n{location}\n}} }} }}"
        );
        String::from_utf8_lossy(&stage.nginx(&conf).test_config().stderr).into_owned()
    };
    let without = said("passenger_status;", "");
    assert!(without.contains("nginx.conf:8, but passenger_fly_with is not configured; add"), "{without}");
    let other = said("passenger_status; proxy_pass http://127.0.0.1:1;", "passenger_fly_with %%SOCKET%%;");
    assert!(other.contains("nginx.conf:8, but another directive serves this location"), "{other}");
    let within_if = said("if ($arg_x) { passenger_status; }", "passenger_fly_with %%SOCKET%%;");
    assert!(within_if.contains("\"passenger_status\" directive is not allowed here"), "{within_if}");
}

#[test]
fn without_a_daemon_nginx_answers_as_for_apps_and_its_log_says_what_to_do() {
    let mut scene = Scene::with(Language::Ruby, STATUS, |daemon| daemon);
    scene.stage.expect_log_line("fly.sock failed");
    scene.nginx.get("/status").expect(200);
    scene.daemon.stop();
    assert_eq!(scene.nginx.get("/status").status(), 502);
    assert!(
        scene.nginx.error_log().contains("check that flying-passenger is running"),
        "{}",
        scene.nginx.error_log()
    );
    scene.daemon.start_again();
    scene.nginx.get("/status").expect(200);
}

#[test]
fn a_daemon_from_before_the_page_is_to_be_upgraded_says_the_log() {
    let stage = Stage::new();
    stage.app("app").standard(Language::Ruby);
    let _daemon = FakeDaemon::without_status_page(&stage.socket());
    let nginx = stage.nginx(&ONE_APP.replace("%%APP%%", STATUS)).start();
    assert_eq!(nginx.get("/status").status(), 502);
    let log = nginx.error_log();
    let told: Vec<_> =
        log.lines().filter(|line| line.contains("flying-passenger aborted the request")).collect();
    assert_eq!(told.len(), 1, "one clear line: {log}");
    let advice =
        "frame type 0x07 is unknown; upgrade flying-passenger to a release that supports passenger_status";
    assert!(told[0].contains(advice) && told[0].contains("request: \"GET /status HTTP/1.1\""), "{}", told[0]);
    assert_eq!(nginx.get("/status?data").status(), 502);
}

#[test]
fn a_question_that_is_none_ends_its_connection_and_nothing_else() {
    let scene = Scene::with(Language::Ruby, STATUS, |daemon| daemon);
    let router = scene.daemon.router();
    for payload in [&b""[..], &[9, 9], &[0; 16], &[0xff; 16]] {
        let mut client = FrameClient::connect(&scene.stage.socket());
        client.send_frame(FrameType::Status, payload);
        let aborted = client.answer().aborted.expect("it is refused");
        assert!(aborted.contains("question for the status page"), "{aborted}");
        assert!(client.is_closed());
    }
    let mut client = FrameClient::connect(&scene.stage.socket());
    client.send_frame(FrameType::Status, &[1, 0]);
    assert_eq!(client.answer().status, 200);
    assert_eq!(scene.daemon.router(), router);
}
