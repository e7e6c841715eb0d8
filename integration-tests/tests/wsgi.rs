//! WSGI as PEP 3333 specifies it, and extensions of ASGI, through nginx and the daemon.

use test_support::{FrameClient, Language, OneApp, Request, TestDir};

const PATHS: &str = r#"
def application(env, start):
    start("200 OK", [("Content-Type", "text/plain")])
    return [" ".join((env["SCRIPT_NAME"], env["PATH_INFO"], env["REQUEST_URI"])).encode("latin-1")]
"#;

#[test]
fn the_path_is_decoded_unless_a_directive_keeps_it() {
    for (lines, path) in [
        ("", "/a/b/\u{e9}/c d;e"),
        ("passenger_spawn_method smart;", "/a/b/\u{e9}/c d;e"),
        ("passenger_wsgi_encoded_path off;", "/a/b/\u{e9}/c d;e"),
        ("passenger_wsgi_encoded_path on;", "/a%2Fb/%C3%A9/c%20d;e"),
        ("passenger_wsgi_encoded_path on; passenger_spawn_method smart;", "/a%2Fb/%C3%A9/c%20d;e"),
    ] {
        let setup = OneApp::app(lines, |app| app.python(PATHS));
        let text = setup.nginx.get("/a%2Fb/%C3%A9/c%20d;e?f").expect(200).text();
        assert_eq!(text, format!(" {path} /a%2Fb/%C3%A9/c%20d;e?f"), "{lines}");
    }
}

#[test]
fn a_base_uri_may_have_characters_that_clients_encode() {
    let setup = OneApp::app("passenger_base_uri '/my caf\u{e9}';", |app| app.python(PATHS));
    std::os::unix::fs::symlink(setup.app.path("public"), setup.app.path("public/my caf\u{e9}")).unwrap();
    for uri in ["/my%20caf%C3%A9/x%20y", "/%6Dy%20caf%c3%a9/x%20y"] {
        assert_eq!(setup.nginx.get(uri).expect(200).text(), format!("/my caf\u{e9} /x y {uri}"));
    }
}

#[test]
fn early_hints_of_both_interfaces_reach_nginx() {
    let wsgi = r#"
def application(env, start):
    env["wsgi.early_hints"]([("Link", "</a.css>; rel=preload")])
    start("200 OK", [("Content-Type", "text/plain")])
    return [b"done"]
"#;
    let asgi = r#"
async def application(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload"]})
    await send({"type": "http.response.body", "body": b"done"})
"#;
    for app in [wsgi, asgi] {
        let test_dir = TestDir::new();
        let app = test_dir.app("app").python(app);
        let _daemon = test_dir.daemon().start();
        let mut nginx = FrameClient::connect(&test_dir.socket());
        let answer = nginx.get(app.dir(), Language::Python, "/");
        assert_eq!((&answer.interim[..], answer.text().as_str()), (&[103][..], "done"));
    }
}

#[test]
fn a_host_with_an_odd_port_does_not_end_the_connection_of_asgi() {
    let app = r#"
async def application(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": repr(scope["server"]).encode()})
"#;
    let setup = OneApp::app("", |dir| dir.python(app));
    let mut client = setup.nginx.connect();
    client.send("GET / HTTP/1.1\r\nHost: shop.test:odd\r\nConnection: close\r\n\r\n");
    assert_eq!(client.read_response().expect(200).text(), "('shop.test', 80)");
}

#[test]
fn lines_of_a_body_arrive_one_by_one() {
    let app = r#"
def application(env, start):
    start("200 OK", [("Content-Type", "text/plain")])
    return (b"<" + line.strip() + b">" for line in env["wsgi.input"])
"#;
    let setup =
        OneApp::app("passenger_request_buffering off; passenger_buffer_response off;", |dir| dir.python(app));
    let mut client = setup.nginx.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n");
    client.send("4\r\none\n\r\n");
    client.read_until("<one>");
    client.send("4\r\ntwo\n\r\n");
    client.read_until("<two>");
    client.send("5\r\nthree\r\n0\r\n\r\n");
    client.read_until("<three>");
}

#[test]
fn a_file_of_python_is_sent_whole_and_with_its_length() {
    let wsgi = r#"
def application(env, start):
    start("200 OK", [("Content-Type", "text/plain")])
    return env["wsgi.file_wrapper"](open("data.bin", "rb"))
"#;
    let asgi = r#"
import os
async def application(scope, receive, send):
    assert scope["type"] == "http"
    length = b"%d" % os.path.getsize("data.bin")
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
    await send({"type": "http.response.pathsend", "path": os.path.abspath("data.bin")})
"#;
    let data: Vec<u8> = (0..5_000_000u32).map(|number| (number * 7 % 251) as u8).collect();
    for app in [wsgi, asgi] {
        let setup = OneApp::app("", |dir| dir.python(app).file("data.bin", &data));
        let response = setup.nginx.get("/").expect(200);
        assert_eq!(response.header("Content-Length"), Some("5000000"));
        assert!(response.body == data, "another body");
        assert_eq!(setup.nginx.send(Request::new("HEAD", "/")).header("Content-Length"), Some("5000000"));
    }
}

#[test]
fn a_startup_file_may_choose_its_interpreter() {
    let app = r#"
import os, sys
INTERPRETER = os.path.join(os.getcwd(), "interpreter")
if sys.executable != INTERPRETER:
    os.execl(INTERPRETER, INTERPRETER, *sys.argv)
def application(env, start):
    start("200 OK", [("Content-Type", "text/plain")])
    return [sys.executable.encode()]
"#;
    for lines in ["", "passenger_spawn_method smart;"] {
        let setup = OneApp::app(lines, |dir| dir.python(app));
        let interpreter = setup.app.path("interpreter");
        std::os::unix::fs::symlink("/usr/bin/python3", &interpreter).unwrap();
        assert_eq!(setup.nginx.get("/").expect(200).text(), interpreter.display().to_string(), "{lines}");
    }
}
