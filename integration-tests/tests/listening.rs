//! How generic programs listen: on a port, on a unix socket, or on an inherited socket.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use test_support::{OneApp, Request, eventually};

/// Listens as configured, answers with its PID, and with 503 at `/up` until a file `up` exists.
const SERVER: &str = r#"
import http.server, os, socket, socketserver, sys, time

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        ready = self.path != "/up" or os.path.exists("up")
        body = str(os.getpid()).encode()
        self.send_response(200 if ready else 503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
    do_HEAD = do_GET
    def address_string(self):
        return "-"

class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True

def listener():
    if "LISTEN_FDS" in os.environ:
        ours = (os.environ["LISTEN_PID"], os.environ["LISTEN_FDS"], os.environ["LISTEN_FDNAMES"])
        assert ours == (str(os.getpid()), "1", "app"), ours
        assert "PORT" not in os.environ and "SOCKET" not in os.environ
        return socket.socket(fileno=3)
    if "SOCKET" in os.environ:
        assert "PORT" not in os.environ
        own = socket.socket(socket.AF_UNIX)
        own.bind(os.environ["SOCKET"])
        os.chmod(os.environ["SOCKET"], 0o700)
    else:
        own = socket.create_server(("127.0.0.1", int(os.environ["PORT"])))
    own.listen(64)
    return own

server = Server(("", 0), Handler, bind_and_activate=False)
if os.path.exists("gives-up"):
    sys.exit("it gives up")
server.socket = listener()
server.serve_forever()
"#;

const COMMAND: &str = "passenger_app_start_command 'python3 server.py';";

fn setup(lines: &str) -> OneApp {
    OneApp::app(&format!("{COMMAND} {lines}"), |app| app.file("server.py", SERVER))
}

fn pid(setup: &OneApp) -> String {
    setup.nginx.get("/").expect(200).text()
}

#[test]
fn a_program_listens_in_three_ways() {
    for way in ["port", "socket", "fd"] {
        let setup = setup(&format!("passenger_app_listen {way};"));
        let first = pid(&setup);
        assert_eq!(setup.nginx.send(Request::new("HEAD", "/")).status(), 200);
        setup.daemon.kill_router();
        eventually(&format!("the next router takes over the process that listens at its {way}"), || {
            setup.nginx.get("/").text() == first
        });
        let root = setup.app.dir().display().to_string();
        assert!(setup.daemon.tool("passenger-config", &["restart-app", &root]).status.success());
        assert_ne!(pid(&setup), first, "{way}");
        eventually("nothing of the first process is left", || places(&setup).len() <= 1);
    }
}

#[test]
fn a_variable_that_the_way_to_listen_does_not_set_is_named() {
    for (variable, way, other) in
        [("SOCKET", "port", "socket"), ("PORT", "socket", "port"), ("PORT", "fd", "port")]
    {
        let lines = format!(
            "passenger_app_start_command 'exec sleep 1000${variable}'; passenger_app_listen {way};
             passenger_start_timeout 1;"
        );
        let setup = OneApp::app(&lines, |app| app.file("README", ""));
        setup.nginx.get("/").expect(500);
        setup.daemon.logs_eventually(&format!(
            "; its start command uses ${variable}, which is set with \"passenger_app_listen {other}\" only: here it is \
             \"{way}\""
        ));
    }
}

/// The directories in which processes open their sockets.
fn places(setup: &OneApp) -> Vec<PathBuf> {
    fs::read_dir(top(setup)).into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
}

/// The directory of these directories.
fn top(setup: &OneApp) -> PathBuf {
    let instance = instance(setup);
    let name = instance.file_name().unwrap().to_str().unwrap();
    PathBuf::from(format!("/tmp/{name}.sockets"))
}

fn instance(setup: &OneApp) -> PathBuf {
    let registry = fs::read_dir(setup.test_dir.path("registry")).unwrap();
    registry.map(|entry| entry.unwrap().path()).next().expect("the daemon's")
}

#[test]
fn only_app_and_router_can_use_the_apps_socket() {
    let setup = setup("passenger_app_listen socket;");
    let pid: u32 = pid(&setup).parse().unwrap();
    let place = &places(&setup)[0];
    let owner = fs::metadata(format!("/proc/{pid}")).unwrap().uid();
    let found = fs::metadata(place).unwrap();
    assert_eq!(found.uid(), owner);
    assert_eq!(found.permissions().mode() & 0o007, 0, "no other user can enter");
    if !test_support::is_root() {
        return test_support::skipped("another user at an app's socket", "only root can be another user");
    }
    let connect =
        format!("import socket; socket.socket(socket.AF_UNIX).connect('{}/socket')", place.display());
    // The system's users `daemon` and `nobody` may be the router's and the app's.
    let stranger =
        Command::new("/usr/bin/python3").args(["-c", &connect]).uid(54_321).gid(54_321).output().unwrap();
    let complaint = String::from_utf8_lossy(&stranger.stderr);
    assert!(complaint.contains("PermissionError"), "{complaint}");
}

#[test]
fn a_program_is_ready_when_its_health_check_succeeds() {
    for lines in ["passenger_app_listen port;", "passenger_app_listen fd;"] {
        let setup = setup(&format!("{lines} passenger_app_ready_path /up;"));
        let mut visitor = setup.nginx.connect();
        visitor.send(Request::get("/").bytes("close"));
        setup.daemon.logs_eventually("\"GET /up HTTP/1.1\" 503");
        assert!(!setup.daemon.log().contains("is ready"), "the visitor waits");
        setup.app.write("up", "");
        visitor.read_response().expect(200);
        assert!(!setup.daemon.log().contains("\"GET / HTTP/1.1\" 503"));
    }
}

#[test]
fn a_failing_health_check_is_named() {
    let setup = setup("passenger_app_ready_path /up; passenger_start_timeout 5;");
    setup.nginx.get("/").expect(500);
    setup.daemon.logs_eventually(
        "it was not ready within 5 s (passenger_start_timeout): GET /up was answered with 503 \
         (passenger_app_ready_path)",
    );
}

#[test]
fn the_health_check_applies_to_node_too() {
    let source = "const fs = require('fs'); require('http').createServer((q, r) => {
        const ready = q.url != '/up' || fs.existsSync('up');
        if (!ready) console.log('not yet'); r.writeHead(ready ? 204 : 500); r.end(); }).listen();";
    let setup = OneApp::app("passenger_app_ready_path /up;", |app| app.node(source));
    let mut visitor = setup.nginx.connect();
    visitor.send(Request::get("/").bytes("close"));
    setup.daemon.logs_eventually("not yet");
    setup.app.write("up", "");
    visitor.read_response().expect(204);
}

#[test]
fn a_program_that_exits_is_a_failed_start() {
    for way in ["port", "socket", "fd"] {
        let lines = format!("{COMMAND} passenger_app_listen {way};");
        let setup = OneApp::app(&lines, |app| app.file("server.py", SERVER).file("gives-up", ""));
        setup.nginx.get("/").expect(500);
        setup.daemon.logs_eventually("it gives up");
        assert_eq!(places(&setup), Vec::<PathBuf>::new(), "{way}");
    }
}
