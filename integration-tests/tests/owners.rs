//! Apps of three owners on one machine: each runs as its owner, and none has access to another or to the daemon.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use nix::unistd::User;
use test_support::{Daemon, Nginx, Request, TestDir, is_root, owner_uid};

const OWNERS: [&str; 3] = ["games", "mail", "news"];

const CONF: &str = r#"
    %%GLOBALS%%
    events {}
    http {
        %%HTTP%%
        passenger_fly_with %%SOCKET%%;
        passenger_python python3;
        passenger_env_var SECRET_OF_THE_APP sesame;
        %%SERVERS%%
    }
"#;

/// Tries what its path says and answers with the name of the error, or with `done`.
const HOSTILE: &str = r#"
import errno, os, signal, socket

def read(path):
    with open(path, "rb") as file:
        file.read(1)

def connect(path):
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)

def end(path):
    os.kill(int(path.strip("/")), signal.SIGTERM)

def list_dir(path):
    os.listdir(path)

TRICKS = {"read": read, "connect": connect, "end": end, "list": list_dir}

def ask(admin_socket, request):
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(admin_socket)
        client.sendall(request.encode())
        return b"".join(iter(lambda: client.recv(65536), b"")).decode()

def attempt(name, target):
    if name == "pool":
        return ask(target, "GET /pool.txt HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    if name == "reopen":
        return ask(target, "POST /reopen_logs.json HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    if name == "ask":
        pid, socket_path = target.strip("/").split("/", 1)
        body = '{"pid": %s, "method": "GET", "uri": "/pid/", "headers": []}' % pid
        head = "POST /pool/ask_process.json HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
        return ask("/" + socket_path, head % len(body) + body)
    if name == "pid":
        return "%d %d %d" % (os.getpid(), os.getuid(), os.getgid())
    try:
        TRICKS[name](target)
    except OSError as error:
        return errno.errorcode[error.errno]
    return "done"

def application(environ, start_response):
    _, name, target = environ["PATH_INFO"].split("/", 2)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [attempt(name, "/" + target).encode()]
"#;

struct Setup {
    nginx: Nginx,
    daemon: Daemon,
    test_dir: TestDir,
}

impl Setup {
    fn set() -> Self {
        let test_dir = TestDir::new();
        for owner in OWNERS {
            let app = test_dir.app(owner).python(HOSTILE).file("private.txt", "of its owner alone");
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(app.path("private.txt"), fs::Permissions::from_mode(0o600)).unwrap();
            if is_root() {
                let _ = app.owned_by(owner);
            }
        }
        let daemon = test_dir.daemon().start();
        let nginx = test_dir.nginx(&CONF.replace("%%SERVERS%%", &OWNERS.map(server).concat())).start();
        Self { nginx, daemon, test_dir }
    }

    /// What the app of `owner` says about its attempt.
    fn attempt(&self, owner: &str, what: &str, target: &str) -> String {
        let path = format!("/{what}/{}", target.trim_start_matches('/'));
        let request = Request::get(&path).header("Host", &format!("{owner}.example"));
        self.nginx.send(request).expect(200).text()
    }

    /// PID, user and group of the app's process.
    fn identity(&self, owner: &str) -> (u32, u32, u32) {
        let printed = self.attempt(owner, "pid", "");
        let numbers: Vec<u32> = printed.split(' ').map(|each| each.parse().unwrap()).collect();
        (numbers[0], numbers[1], numbers[2])
    }

    /// The socket that is open to everybody, as the daemon asks the kernel who calls.
    fn admin_socket(&self) -> String {
        self.daemon.admin_socket().display().to_string()
    }

    /// The sockets that only nginx and the daemon's router may connect to.
    fn sockets(&self) -> Vec<PathBuf> {
        let mut found = vec![self.test_dir.socket()];
        collect_sockets(&self.test_dir.path("registry"), &mut found);
        found.retain(|path| !path.ends_with("admin.sock"));
        found
    }
}

fn server(owner: &str) -> String {
    format!(
        "server {{ listen 127.0.0.1:%%PORT%%; server_name {owner}.example; root %%DIR%%/{owner}/public;
                   passenger_enabled on; }}"
    )
}

fn collect_sockets(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => collect_sockets(&entry.path(), found),
            kind if kind.is_socket() => found.push(entry.path()),
            _ => {}
        }
    }
}

#[test]
fn apps_of_three_owners_run_as_three_users_and_cannot_reach_each_other() {
    if !is_root() {
        test_support::skipped(
            "apps_of_three_owners_run_as_three_users_and_cannot_reach_each_other",
            "users are switched by root only",
        );
        return;
    }
    let setup = Setup::set();
    let pids = OWNERS.map(|owner| {
        let (pid, uid, gid) = setup.identity(owner);
        let user = User::from_name(owner).unwrap().unwrap();
        assert_eq!((uid, gid), (user.uid.as_raw(), user.gid.as_raw()), "{owner}");
        assert_eq!(owner_uid(pid), uid, "{owner}");
        pid
    });
    let sockets = setup.sockets();
    assert!(sockets.len() > OWNERS.len(), "nginx's socket and one of each app: {sockets:?}");
    for (owner, own) in OWNERS.into_iter().zip(pids) {
        assert_eq!(
            setup.attempt(owner, "read", &format!("/proc/{own}/environ")),
            "done",
            "an attempt can succeed"
        );
        let strangers = pids.into_iter().filter(|pid| *pid != own);
        for pid in strangers.chain([setup.daemon.pid(), setup.daemon.router()]) {
            for file in ["environ", "mem", "fd/0"] {
                let path = format!("/proc/{pid}/{file}");
                assert_eq!(setup.attempt(owner, "read", &path), "EACCES", "{owner} reads {path}");
            }
            assert_eq!(setup.attempt(owner, "list", &format!("/proc/{pid}/fd")), "EACCES", "{owner}");
            assert_eq!(setup.attempt(owner, "end", &pid.to_string()), "EPERM", "{owner} ends {pid}");
        }
        for socket in &sockets {
            let path = socket.display().to_string();
            assert_eq!(setup.attempt(owner, "connect", &path), "EACCES", "{owner} connects to {path}");
        }
        for other in OWNERS.into_iter().filter(|other| *other != owner) {
            let path = setup.test_dir.path(other).join("private.txt").display().to_string();
            assert_eq!(setup.attempt(owner, "read", &path), "EACCES", "{owner} reads {path}");
        }
    }
    assert_eq!(OWNERS.map(|owner| setup.identity(owner).0), pids, "no process was affected");
}

#[test]
fn an_app_sees_only_apps_of_its_owner_in_the_status() {
    if !is_root() {
        test_support::skipped(
            "an_app_sees_only_apps_of_its_owner_in_the_status",
            "users are switched by root only",
        );
        return;
    }
    let setup = Setup::set();
    let pids = OWNERS.map(|owner| setup.identity(owner).0);
    let socket = setup.admin_socket();
    for (owner, own) in OWNERS.into_iter().zip(pids) {
        let pool = setup.attempt(owner, "pool", &socket);
        for pid in pids {
            assert_eq!(pool.contains(&format!("PID: {pid} ")), pid == own, "{owner} sees {pid}: {pool}");
        }
        for pid in pids.into_iter().filter(|pid| *pid != own) {
            let refusal = setup.attempt(owner, "ask", &format!("{pid}{socket}"));
            assert!(refusal.starts_with("HTTP/1.1 403 "), "{owner} asks {pid}: {refusal}");
        }
        let refusal = setup.attempt(owner, "reopen", &socket);
        assert!(refusal.starts_with("HTTP/1.1 403 "), "{owner}: {refusal}");
    }
}

#[test]
fn an_ordinary_user_runs_the_apps_of_all_owners_as_itself() {
    let test_dir = TestDir::new();
    for owner in OWNERS {
        test_dir.app(owner).python(HOSTILE);
    }
    let mut daemon = test_dir.daemon();
    let mut expected = nix::unistd::getuid().as_raw();
    if is_root() {
        let games = User::from_name("games").unwrap().unwrap();
        expected = games.uid.as_raw();
        std::os::unix::fs::chown(test_dir.dir(), Some(expected), Some(games.gid.as_raw())).unwrap();
        daemon = daemon.as_user(expected, games.gid.as_raw());
    }
    let daemon = daemon.start();
    let nginx = test_dir.nginx(&CONF.replace("%%SERVERS%%", &OWNERS.map(server).concat())).start();
    let setup = Setup { nginx, daemon, test_dir };
    for owner in OWNERS {
        assert_eq!(setup.identity(owner).1, expected, "{owner}");
    }
}
