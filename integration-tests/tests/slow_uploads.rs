//! Unbuffered uploads: a client that sends too slowly loses its process to waiting requests.

use std::time::Duration;

use stage::{Connection, Language, Request, Scene, eventually, for_each_language, stays};

const UNBUFFERED: &str = "passenger_request_buffering off;";
/// What the daemon grants before the rate counts, and some more.
const OVER: Duration = Duration::from_secs(22);

/// One process that does one thing at a time.
fn alone(language: Language) -> Scene {
    Scene::with(language, UNBUFFERED, |daemon| daemon.flag("--max-pool-size=1"))
}

fn half_an_upload(scene: &Scene, path: &str) -> Connection {
    let mut client = scene.nginx.connect();
    client.send(format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nbegun"));
    client
}

fn visit(scene: &Scene) -> Connection {
    let mut client = scene.nginx.connect();
    client.send(Request::get("/pid").bytes("close"));
    client
}

for_each_language! {
    [ruby, python]
    fn gets_its_process_back_from_fifty_half_uploads(language) {
        let scene = alone(language);
        let pid = scene.app_pid();
        let mut slow: Vec<_> = (0..50).map(|_| half_an_upload(&scene, "/echo")).collect();
        eventually("one has the process and the others wait", || {
            scene.daemon.status().contains("Requests in queue: 49")
        });
        let mut visitor = visit(&scene);
        assert_eq!(visitor.read_response().expect(200).text(), pid.to_string());
        slow.iter_mut().for_each(|client| drop(client.read_response().expect(408)));
        assert_eq!(scene.app_pid(), pid, "the process serves on");
        let log = scene.daemon.log();
        let lines: Vec<_> = log.lines().filter(|line| line.contains("--min-upload-rate")).collect();
        assert_eq!(lines.len(), 10, "ten a minute: {log}");
        assert!(lines[0].contains("POST /echo") && lines[0].contains("passenger_buffer_upload on"), "{}", lines[0]);
    }
}

#[test]
fn an_upload_that_keeps_nobody_waiting_may_take_its_time() {
    let scene = alone(Language::Python);
    let mut slow = half_an_upload(&scene, "/first");
    eventually("the app has begun to read", || scene.stage.scratch("first").exists());
    stays("nobody waits", OVER, || scene.daemon.status().contains("Requests in queue: 0"));
    slow.send(vec![b'x'; 995]);
    assert_eq!(slow.read_response().expect(200).text(), "then 995");
    // The next one has been slow for as long when somebody comes.
    let mut slow = half_an_upload(&scene, "/echo");
    stays("nobody waits", OVER, || scene.daemon.status().contains("Requests in queue: 0"));
    visit(&scene).read_response().expect(200);
    slow.read_response().expect(408);
}

#[test]
fn a_limit_of_0_is_none() {
    let flags = ["--max-pool-size=1", "--min-upload-rate=0"];
    let scene = Scene::with(Language::Python, UNBUFFERED, |daemon| daemon.flag(flags[0]).flag(flags[1]));
    let mut slow = half_an_upload(&scene, "/first");
    eventually("the app has begun to read", || scene.stage.scratch("first").exists());
    let mut visitor = visit(&scene);
    eventually("the visitor waits", || scene.daemon.status().contains("Requests in queue: 1"));
    stays("the visitor waits", OVER, || scene.daemon.status().contains("Requests in queue: 1"));
    slow.send(vec![b'x'; 995]);
    assert_eq!(slow.read_response().expect(200).text(), "then 995");
    visitor.read_response().expect(200);
}

#[test]
fn a_request_that_is_complete_may_be_answered_late() {
    let scene = alone(Language::Python);
    let mut slow = scene.nginx.connect();
    slow.send("POST /wait?name=gate HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nwhole");
    eventually("the app works on it", || scene.stage.scratch("gate.arrived").exists());
    let mut visitor = visit(&scene);
    eventually("the visitor waits", || scene.daemon.status().contains("Requests in queue: 1"));
    stays("the visitor waits", OVER, || scene.daemon.status().contains("Requests in queue: 1"));
    std::fs::write(scene.stage.scratch("gate.go"), "").unwrap();
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

fn own_app(rate: &str) -> Scene {
    Scene::set(UNBUFFERED, |daemon| daemon.flag("--max-pool-size=1").flag(rate), |app| app.python(APP))
}

/// It takes 26 seconds for 4 MiB: far below the least rate, and not the client's doing.
#[test]
fn an_app_that_reads_slowly_gets_its_upload() {
    const SIZE: usize = 4 << 20;
    let scene = own_app("--min-upload-rate=9000000");
    scene.nginx.get("/").expect(200);
    let mut upload = scene.nginx.connect();
    upload.send(format!("POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: {SIZE}\r\n\r\n"));
    upload.send(vec![b'x'; 65536]);
    eventually("the process is busy", || scene.daemon.status().contains("Sessions: 1 "));
    let mut visitor = visit(&scene);
    eventually("the visitor waits", || scene.daemon.status().contains("Requests in queue: 1"));
    upload.send(vec![b'x'; SIZE - 65536]);
    assert_eq!(upload.read_response().expect(200).text(), SIZE.to_string());
    assert_eq!(visitor.read_response().expect(200).text(), "served");
    assert!(!scene.daemon.log().contains("--min-upload-rate"), "{}", scene.daemon.log());
}

#[test]
fn a_slow_upload_that_is_answered_already_is_cut() {
    let scene = own_app("--min-upload-rate=500");
    scene.nginx.get("/").expect(200);
    let mut slow = half_an_upload(&scene, "/early");
    let head = slow.read_head();
    assert_eq!(head.status, 200);
    slow.read_until("early");
    let mut visitor = visit(&scene);
    assert_eq!(visitor.read_response().expect(200).text(), "served");
    assert!(
        !String::from_utf8_lossy(&slow.read_to_end()).contains("0\r\n\r\n"),
        "the answer is not complete"
    );
    scene.daemon.logs_eventually("--min-upload-rate");
}
