//! Unbuffered uploads: a client that sends too slowly loses its process to waiting requests.

use std::time::Duration;

use test_support::{Connection, Language, OneApp, Request, eventually, for_each_language, stays};

const UNBUFFERED: &str = "passenger_request_buffering off;";
/// The time before the rate applies, and some more.
const OVER: Duration = Duration::from_secs(22);

/// One process that does one thing at a time.
fn alone(language: Language) -> OneApp {
    OneApp::with(language, UNBUFFERED, |daemon| daemon.flag("--max-pool-size=1"))
}

fn half_an_upload(setup: &OneApp, path: &str) -> Connection {
    let mut client = setup.nginx.connect();
    client.send(format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nbegun"));
    client
}

fn visit(setup: &OneApp) -> Connection {
    let mut client = setup.nginx.connect();
    client.send(Request::get("/pid").bytes("close"));
    client
}

for_each_language! {
    [ruby, python]
    fn fifty_stalled_uploads_release_their_processes(language) {
        let setup = alone(language);
        let pid = setup.app_pid();
        let mut slow: Vec<_> = (0..50).map(|_| half_an_upload(&setup, "/echo")).collect();
        eventually("one has the process and the others wait", || {
            setup.daemon.status().contains("Requests in queue: 49")
        });
        let mut visitor = visit(&setup);
        assert_eq!(visitor.read_response().expect(200).text(), pid.to_string());
        slow.iter_mut().for_each(|client| drop(client.read_response().expect(408)));
        assert_eq!(setup.app_pid(), pid, "the process serves on");
        let log = setup.daemon.log();
        let lines: Vec<_> = log.lines().filter(|line| line.contains("--min-upload-rate")).collect();
        assert_eq!(lines.len(), 10, "ten a minute: {log}");
        assert!(lines[0].contains("POST /echo") && lines[0].contains("passenger_buffer_upload on"), "{}", lines[0]);
    }
}

#[test]
fn a_slow_upload_continues_while_nobody_waits() {
    let setup = alone(Language::Python);
    let mut slow = half_an_upload(&setup, "/first");
    eventually("the app has begun to read", || setup.test_dir.scratch("first").exists());
    stays("no request waits", OVER, || setup.daemon.status().contains("Requests in queue: 0"));
    slow.send(vec![b'x'; 995]);
    assert_eq!(slow.read_response().expect(200).text(), "then 995");
    // The next one has been slow for as long when another request arrives.
    let mut slow = half_an_upload(&setup, "/echo");
    stays("no request waits", OVER, || setup.daemon.status().contains("Requests in queue: 0"));
    visit(&setup).read_response().expect(200);
    slow.read_response().expect(408);
}

#[test]
fn a_limit_of_0_means_no_limit() {
    let flags = ["--max-pool-size=1", "--min-upload-rate=0"];
    let setup = OneApp::with(Language::Python, UNBUFFERED, |daemon| daemon.flag(flags[0]).flag(flags[1]));
    let mut slow = half_an_upload(&setup, "/first");
    eventually("the app has begun to read", || setup.test_dir.scratch("first").exists());
    let mut visitor = visit(&setup);
    eventually("the visitor waits", || setup.daemon.status().contains("Requests in queue: 1"));
    stays("the visitor waits", OVER, || setup.daemon.status().contains("Requests in queue: 1"));
    slow.send(vec![b'x'; 995]);
    assert_eq!(slow.read_response().expect(200).text(), "then 995");
    visitor.read_response().expect(200);
}

#[test]
fn a_request_that_is_complete_may_be_answered_late() {
    let setup = alone(Language::Python);
    let mut slow = setup.nginx.connect();
    slow.send("POST /wait?name=gate HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nwhole");
    eventually("the app works on it", || setup.test_dir.scratch("gate.arrived").exists());
    let mut visitor = visit(&setup);
    eventually("the visitor waits", || setup.daemon.status().contains("Requests in queue: 1"));
    stays("the visitor waits", OVER, || setup.daemon.status().contains("Requests in queue: 1"));
    std::fs::write(setup.test_dir.scratch("gate.go"), "").unwrap();
    slow.read_response().expect(200);
    visitor.read_response().expect(200);
}

const APP: &str = r#"
import time

def application(env, start_response):
    stream = env["wsgi.input"]
    if env["PATH_INFO"] == "/slow":
        start_response("200 OK", [("Content-Type", "text/plain")])
        length = 0
        while part := stream.read(65536):
            length += len(part)
            time.sleep(0.4)
        return [b"%d" % length]
    if env["PATH_INFO"] == "/early":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return early(stream)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"served"]

def early(stream):
    yield b"early"
    yield b" and %d" % len(stream.read())
"#;

fn own_app(rate: &str) -> OneApp {
    OneApp::custom(UNBUFFERED, |daemon| daemon.flag("--max-pool-size=1").flag(rate), |app| app.python(APP))
}

/// It takes 26 seconds for 4 MiB: far below the least rate, and not the client's doing.
#[test]
fn an_app_that_reads_slowly_gets_its_upload() {
    const SIZE: usize = 4 << 20;
    let setup = own_app("--min-upload-rate=9000000");
    setup.nginx.get("/").expect(200);
    let mut upload = setup.nginx.connect();
    upload.send(format!("POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: {SIZE}\r\n\r\n"));
    upload.send(vec![b'x'; 65536]);
    eventually("the process is busy", || setup.daemon.status().contains("Sessions: 1 "));
    let mut visitor = visit(&setup);
    eventually("the visitor waits", || setup.daemon.status().contains("Requests in queue: 1"));
    upload.send(vec![b'x'; SIZE - 65536]);
    assert_eq!(upload.read_response().expect(200).text(), SIZE.to_string());
    assert_eq!(visitor.read_response().expect(200).text(), "served");
    assert!(!setup.daemon.log().contains("--min-upload-rate"), "{}", setup.daemon.log());
}

#[test]
fn a_slow_upload_ends_when_it_is_answered() {
    let setup = own_app("--min-upload-rate=500");
    setup.nginx.get("/").expect(200);
    let mut slow = half_an_upload(&setup, "/early");
    let head = slow.read_head();
    assert_eq!(head.status, 200);
    slow.read_until("early");
    let mut visitor = visit(&setup);
    assert_eq!(visitor.read_response().expect(200).text(), "served");
    assert!(
        !String::from_utf8_lossy(&slow.read_to_end()).contains("0\r\n\r\n"),
        "the answer is not complete"
    );
    setup.daemon.logs_eventually("--min-upload-rate");
}
