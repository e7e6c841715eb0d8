//! The TCP port of a generic app: no other local user receives a client's request, on whatever address it listens.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use test_support::{OneApp, Request, TestDir, eventually, eventually_some, is_root, skipped};

/// A user who is neither the app's nor the router's.
const THIEF: u32 = 54_321;

/// Writes its port to a file, waits for the file `go` where there is `wait`, and listens at HOST. `/close` closes the
/// listening socket; the process lives on.
const SERVER: &str = r#"
import os, socket, threading, time
port = int(os.environ["PORT"])
with open("ports", "a") as ports:
    ports.write(f"{port}\n")
while os.path.exists("wait") and not os.path.exists("go"):
    time.sleep(0.02)
host = "HOST"
listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
OPTIONS
listener.bind((host, port))
listener.listen(16)

def serve(connection):
    head = connection.recv(65536)
    body = f"{os.getpid()}".encode()
    if head.startswith(b"GET /close"):
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
    connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    connection.close()

try:
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection,)).start()
except OSError:
    time.sleep(600)
"#;

/// Listens at an address, prints what happens, and answers every request itself.
const THIEF_SERVER: &str = r#"
import socket, sys
host, port, how = sys.argv[1], int(sys.argv[2]), sys.argv[3]
listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
if how == "reuseport":
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
try:
    listener.bind((host, port))
    listener.listen(16)
except OSError as why:
    print("refused", why, flush=True)
    sys.exit()
print("listens", flush=True)
while True:
    connection, _ = listener.accept()
    got = connection.recv(65536)
    print("got", len(got), got, flush=True)
    try:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nSTOLEN")
    except OSError:
        pass
    connection.close()
"#;

/// Another user's program at a port.
struct Thief {
    child: Child,
    output: PathBuf,
}

impl Thief {
    fn at(test_dir: &TestDir, host: &str, port: u16, how: &str) -> Self {
        let output = test_dir.path(&format!("thief-{port}"));
        let child = Command::new("/usr/bin/python3")
            .args(["-c", THIEF_SERVER, host, &port.to_string(), how])
            .uid(THIEF)
            .gid(THIEF)
            .stdin(Stdio::null())
            .stdout(File::create(&output).unwrap())
            .spawn()
            .unwrap();
        let thief = Self { child, output };
        eventually("the other user's program has tried to listen", || !thief.printed().is_empty());
        thief
    }

    fn printed(&self) -> String {
        fs::read_to_string(&self.output).unwrap()
    }

    fn assert_got_nothing(&self) {
        let printed = self.printed();
        assert!(
            !printed.lines().any(|line| line.starts_with("got") && !line.starts_with("got 0 ")),
            "{printed}"
        );
    }
}

impl Drop for Thief {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn needs_root(test: &str) -> bool {
    if !is_root() {
        skipped(test, "only root can be another user");
    }
    !is_root()
}

fn setup(host: &str, options: &str, waits: bool) -> OneApp {
    let server = SERVER.replace("HOST", host).replace("OPTIONS", options);
    OneApp::app("passenger_app_start_command 'python3 server.py';", |app| {
        let app = app.file("server.py", &server);
        let app = if is_root() { app.owned_by("games") } else { app };
        if waits { app.file("wait", "") } else { app }
    })
}

/// The ports of the processes so far.
fn ports(setup: &OneApp) -> Vec<u16> {
    let text = fs::read_to_string(setup.app.path("ports")).unwrap_or_default();
    text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')?.parse().ok()).collect()
}

fn private() -> Request {
    Request::get("/").header("Cookie", "session=secret")
}

#[test]
fn an_app_that_listens_on_ipv6_only_serves() {
    let setup = setup("::1", "", false);
    let pid: u32 = setup.nginx.get("/").expect(200).text().parse().unwrap();
    setup.daemon.kill_router();
    eventually("the next router finds it", || setup.nginx.get("/").text() == pid.to_string());
}

#[test]
fn a_listener_of_another_user_on_ipv4_gets_no_request() {
    if needs_root("a_listener_of_another_user_on_ipv4_gets_no_request") {
        return;
    }
    let setup = setup("::1", "", true);
    let mut visitor = setup.nginx.connect();
    visitor.send(private().bytes("close"));
    let port = eventually_some("the app has its port", || ports(&setup).first().copied());
    let thief = Thief::at(&setup.test_dir, "127.0.0.1", port, "plain");
    setup.app.write("go", "");
    let text = visitor.read_response().expect(200).text();
    assert!(text.parse::<u32>().is_ok(), "{text}");
    for _ in 0..20 {
        assert_eq!(setup.nginx.send(private()).expect(200).text(), text);
    }
    thief.assert_got_nothing();
    setup.daemon.logs_eventually(&format!("127.0.0.1:{port} belongs to user ID {THIEF}"));
}

#[test]
fn a_port_that_its_app_has_closed_gets_no_request() {
    if needs_root("a_port_that_its_app_has_closed_gets_no_request") {
        return;
    }
    let setup = setup("127.0.0.1", "", false);
    let first = setup.nginx.get("/close").expect(200).text();
    let port = ports(&setup)[0];
    let thief = eventually_some("the other user has the port", || {
        let thief = Thief::at(&setup.test_dir, "127.0.0.1", port, "plain");
        thief.printed().starts_with("listens").then_some(thief)
    });
    let second = setup.nginx.send(private()).expect(200).text();
    assert!(second.parse::<u32>().is_ok(), "{second}");
    assert_ne!(second, first, "another process serves");
    thief.assert_got_nothing();
    setup.daemon.logs_eventually(&format!("127.0.0.1:{port} belongs to user ID {THIEF}"));
}

#[test]
fn another_user_does_not_share_an_apps_port() {
    if needs_root("another_user_does_not_share_an_apps_port") {
        return;
    }
    let shares = "listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)";
    for host in ["0.0.0.0", "127.0.0.1", "::"] {
        let setup = setup(host, shares, false);
        let pid = setup.nginx.get("/").expect(200).text();
        let port = ports(&setup)[0];
        let thieves = ["127.0.0.1", "0.0.0.0"].map(|own| Thief::at(&setup.test_dir, own, port, "reuseport"));
        for _ in 0..20 {
            assert_eq!(setup.nginx.send(private()).expect(200).text(), pid, "{host}");
        }
        thieves.iter().for_each(Thief::assert_got_nothing);
    }
}

#[test]
fn a_port_that_all_users_can_connect_to_is_logged_once() {
    let setup = setup("127.0.0.1", "", false);
    setup.nginx.get("/close").expect(200);
    setup.nginx.get("/").expect(200);
    setup.daemon.logs_eventually("which every local user can connect to; if its program can listen");
    assert_eq!(setup.daemon.log().matches("which every local user can connect to").count(), 1);
}
