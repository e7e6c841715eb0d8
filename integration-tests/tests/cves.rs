//! Attacks of Passenger's published vulnerabilities, tried by a hostile app, user or client.
//!
//! CVE-2015-7519 is `request_environment::a_header_with_an_underscore_is_not_mistaken_for_a_dash`, CVE-2018-12615
//! `user_switching::no_app_keeps_groups_of_root`.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use test_support::{App, Connection, OneApp, Request, TestDir, eventually, is_alive, is_root};

/// Who attacks, where there are users to be had.
fn hostile(app: App) -> App {
    if is_root() { app.owned_by("games") } else { app }
}

/// A file that only the daemon's user may read and no user may change, outside of everything that apps own.
fn precious(test_dir: &TestDir) -> PathBuf {
    let path = test_dir.path("precious");
    fs::write(&path, "top secret").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    path
}

fn is_untouched(path: &Path) -> bool {
    let found = fs::symlink_metadata(path).unwrap();
    let mine = nix::unistd::geteuid().as_raw();
    fs::read(path).unwrap() == b"top secret" && found.mode() & 0o7777 == 0o600 && found.uid() == mine
}

/// CVE-2012-6135: files were deleted that the app named.
#[test]
fn targets_of_an_apps_links_are_not_deleted() {
    let test_dir = TestDir::new();
    let precious = precious(&test_dir);
    let source = format!(
        r#"
import http.server, os, socket, socketserver
place = os.path.dirname(os.environ["SOCKET"])
os.symlink("{0}", place + "/link")
os.symlink("{1}", place + "/directory")
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(str(os.getpid()).encode())
    def address_string(self): return "-"
class Server(socketserver.UnixStreamServer): pass
Server(os.environ["SOCKET"], Handler).serve_forever()
"#,
        precious.display(),
        test_dir.dir().display()
    );
    let app = hostile(test_dir.app("app").file("server.py", source));
    let daemon = test_dir.daemon().start();
    let lines = "passenger_app_start_command 'python3 server.py'; passenger_app_listen socket;";
    let nginx = test_dir.nginx(&test_support::ONE_APP_CONF.replace("%%APP%%", lines)).start();
    let pid: u32 = nginx.get("/").expect(200).text().parse().unwrap();
    assert!(
        daemon.tool("passenger-config", &["restart-app", &app.dir().display().to_string()]).status.success()
    );
    eventually("the process has ended", || !is_alive(pid));
    nginx.get("/").expect(200);
    assert!(is_untouched(&precious) && test_dir.dir().is_dir());
}

/// CVE-2013-2119, CVE-2013-4136, CVE-2014-1831, CVE-2014-1832, CVE-2016-10345: what another user had created under a name
/// that could be guessed was used, and even given away.
#[test]
fn files_planted_by_another_user_are_not_used() {
    let test_dir = TestDir::new();
    let open = test_dir.path("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, Permissions::from_mode(0o777)).unwrap();
    let link = test_dir.path("link");
    symlink(&open, &link).unwrap();
    for registry in [&open, &link] {
        let output =
            test_dir.daemon().flag(&format!("--instance-registry-dir={}", registry.display())).output();
        let reported = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && reported.contains(&registry.display().to_string()), "{reported}");
    }
    if is_root() {
        let theirs = test_dir.path("theirs");
        fs::create_dir(&theirs).unwrap();
        std::os::unix::fs::chown(&theirs, Some(5), Some(60)).unwrap();
        let output =
            test_dir.daemon().flag(&format!("--instance-registry-dir={}", theirs.display())).output();
        assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(fs::metadata(&theirs).unwrap().uid(), 5, "it is not taken away either");
    }
    assert_eq!(fs::metadata(&open).unwrap().mode() & 0o777, 0o777, "nothing of it is changed");
    assert_eq!(fs::read_dir(&open).unwrap().count(), 0, "nor is anything put there");
}

/// CVE-2017-16355: root read a file of the app's, which was a link to one that the app could not read.
#[test]
fn files_of_an_app_are_read_with_its_own_rights() {
    let test_dir = TestDir::new();
    let precious = precious(&test_dir);
    let app = test_dir
        .app("app")
        .python("def application(env, start):\n    start('200 OK', [])\n    return [b'x']\n");
    fs::create_dir_all(app.path("tmp")).unwrap();
    for name in ["REVISION", "tmp/restart.txt", "tmp/always_restart.txt", ".python-version", "Passengerfile"]
    {
        symlink(&precious, app.path(name)).unwrap();
    }
    let app = hostile(app);
    let daemon = test_dir.daemon().start();
    let nginx = test_dir
        .nginx(&test_support::ONE_APP_CONF.replace("%%APP%%", "passenger_app_env development;"))
        .start();
    nginx.get("/").expect(200);
    symlink(&precious, app.path("Passengerfile.json")).unwrap();
    nginx.get("/REVISION");
    let mut reported = daemon.status() + &daemon.log();
    for show in ["xml", "json", "server", "requests"] {
        let output = daemon.tool("passenger-status", &[&format!("--show={show}")]);
        reported += &String::from_utf8_lossy(&output.stdout);
    }
    assert!(!reported.contains("top secret"), "{reported}");
    assert!(is_untouched(&precious));
}

/// CVE-2018-12026, CVE-2018-12027, CVE-2018-12028: an app controlled which process is killed and where its requests go.
#[test]
fn an_app_cannot_refer_to_other_processes_or_sockets() {
    let test_dir = TestDir::new();
    let trap = test_dir.path("trap");
    let listener = UnixListener::bind(&trap).unwrap();
    listener.set_nonblocking(true).unwrap();
    fs::set_permissions(&trap, Permissions::from_mode(0o777)).unwrap();
    let mut victim = Victim(Command::new("sleep").arg("1000").spawn().unwrap());
    let (pid, path) = (victim.0.id(), trap.display().to_string());
    let lies = [
        format!("ready {pid}\\n"),
        format!("ready\\n{pid} {path}\\n"),
        format!("{{\\\"pid\\\": {pid}, \\\"sockets\\\": [{{\\\"address\\\": \\\"unix:{path}\\\"}}]}}\\n"),
        format!("error {path}\\n{pid}\\n"),
        "x".repeat(60_000),
    ];
    let app = test_dir.app("app").python("");
    let app = hostile(app);
    let daemon = test_dir.daemon().start();
    let nginx =
        test_dir.nginx(&test_support::ONE_APP_CONF.replace("%%APP%%", "passenger_start_timeout 2;")).start();
    for (at, lie) in lies.iter().enumerate() {
        let source =
            format!("import os\nos.write(4, b\"{lie}\")\nos.write(2, b'told lie {at}\\n')\nos._exit(1)\n");
        app.write("passenger_wsgi.py", source);
        let status = nginx.get("/").status();
        assert!(status >= 500, "lie {at} is answered with {status}");
        daemon.logs_eventually(&format!("told lie {at}"));
    }
    assert!(victim.0.try_wait().unwrap().is_none(), "a process of another user was killed");
    assert!(listener.accept().is_err(), "a request went to where the app pointed");
    app.write(
        "passenger_wsgi.py",
        "def application(env, start):\n    start('200 OK', [])\n    return [b'x']\n",
    );
    eventually("a correct version serves", || nginx.get("/").status() == 200);
}

/// Ends with the test, however that ends.
struct Victim(Child);

impl Drop for Victim {
    fn drop(&mut self) {
        // One that has ended already needs no end.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// CVE-2018-12029: nginx's module, as root, gave away files by their path.
#[test]
fn nginx_cannot_change_the_instance_directory() {
    let setup = OneApp::of(test_support::Language::Python);
    let socket = setup.test_dir.socket();
    let look = || {
        [socket.as_path(), &setup.test_dir.path("registry")].map(|path| {
            let found = fs::symlink_metadata(path).unwrap();
            (found.ino(), found.mode(), found.uid(), found.gid(), found.ctime(), found.ctime_nsec())
        })
    };
    let before = look();
    setup.nginx.get("/").expect(200);
    setup.nginx.reload();
    setup.nginx.get("/").expect(200);
    assert_eq!(look(), before);
}

/// CVE-2025-26803: a request with an impossible method ended the daemon.
#[test]
fn an_unusual_method_ends_no_connection() {
    let setup = OneApp::of(test_support::Language::Ruby);
    let router = setup.daemon.router();
    let pid = setup.app_pid();
    let long = "M".repeat(4000);
    for method in ["FOO", "get", "M-SEARCH", "G\0T", "PRI", "_", "", "\u{7f}", "A B", long.as_str()] {
        let mut client: Connection = setup.nginx.connect();
        client.send(format!("{method} / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
        client.read_to_end();
        let mut chunked = setup.nginx.connect();
        let head = format!(
            "{method} / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: ,chunked\r\nConnection: close\r\n\r\n"
        );
        chunked.send(head + "0\r\n\r\n");
        chunked.read_to_end();
    }
    setup.nginx.send(Request::new("FOO", "/")).expect(200);
    assert_eq!((setup.daemon.router(), setup.app_pid()), (router, pid));
}
