//! Failures: `/tmp` or the disk of the instance directory is full, or the owner of a port is unknown. Starts that fail
//! report the reason, and everything else continues.

use std::fs;
use std::process::Command;

use test_support::{App, SmallDisk, TestDir, TwoApps, eventually, is_root, skipped, workspace};

/// Listens at `$SOCKET`, or at `$PORT`, and answers with its path.
const SERVER: &str = r#"
import os, socket
path = os.environ.get("SOCKET")
listener = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
listener.bind(path or ("127.0.0.1", int(os.environ["PORT"])))
listener.listen(16)
while True:
    connection, _ = listener.accept()
    if connection.recv(65536):
        body = str(path).encode()
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    connection.close()
"#;

const PYTHON: &str = "def application(environ, start_response):
    start_response('200 OK', [])
    return []
";

const COMMAND: &str = "passenger_app_start_command 'python3 server.py'; passenger_start_timeout 3;";

fn server(app: App) -> App {
    app.file("server.py", SERVER).owned_by("games")
}

#[test]
fn apps_start_although_tmp_is_full() {
    if !is_root() {
        return skipped("apps_start_although_tmp_is_full", "only root can mount over /tmp");
    }
    if workspace().starts_with("/tmp") {
        return skipped("apps_start_although_tmp_is_full", "the program itself is below /tmp");
    }
    // The test's directory is below it. There is space for that directory only; programs there cannot be executed.
    let small =
        "mount --bind \"$0\" /mnt && mount -t tmpfs -o size=4k,nr_inodes=2,noexec,mode=1777 none /tmp &&
        mkdir \"$0\" && mount --bind /mnt \"$0\" && exec \"$@\"";
    let test_dir = TestDir::new();
    let dir = test_dir.dir().display().to_string();
    let through = ["unshare", "--mount", "--", "sh", "-c", small, &dir];
    let lines = format!("{COMMAND} passenger_app_listen socket;");
    let setup = TwoApps::on(test_dir, &lines, |daemon| daemon.through(&through), server);
    let path = setup.nginx.get("/bad/").expect(200).text().to_owned();
    assert!(path.starts_with(&format!("{dir}/registry/")), "{path}");
    setup.daemon.logs_eventually("for sockets of apps, using");
    setup.daemon.logs_eventually(": No space left on device");
    setup.good_app_restarts();
}

#[test]
fn a_full_instance_directory_fails_starts_and_is_reported() {
    if !is_root() {
        return skipped(
            "a_full_instance_directory_fails_starts_and_is_reported",
            "only root can mount a small disk",
        );
    }
    let test_dir = TestDir::new();
    let registry = test_dir.path("registry");
    fs::create_dir(&registry).unwrap();
    let disk = SmallDisk::over(&registry);
    let setup = TwoApps::on(test_dir, "", |daemon| daemon, |app| app.python(PYTHON));
    let full = disk.fill_with_files();
    setup.nginx.get("/bad/").expect(500);
    setup.daemon.logs_eventually(&format!("cannot open a socket for the app: {}/", registry.display()));
    setup.daemon.logs_eventually("No space left on device");
    setup.good_app_serves();
    setup.daemon.kill_router();
    setup.good_app_serves();
    assert!(setup.daemon.tool("passenger-status", &[]).status.success());
    drop(full);
    eventually("it starts when the pool has a free place", || setup.nginx.get("/bad/").status() == 200);
    setup.good_app_serves();
    // Before the test's directory is removed.
    drop(disk);
}

/// Refuses netlink sockets and `/proc/net`, as a sandbox does.
const BLIND: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>

int socket(int family, int type, int protocol) {
    int (*next)(int, int, int) = dlsym(RTLD_NEXT, "socket");
    if (family == AF_NETLINK) { errno = EAFNOSUPPORT; return -1; }
    return next(family, type, protocol);
}

int open64(const char *path, int flags, ...) {
    int (*next)(const char *, int, ...) = dlsym(RTLD_NEXT, "open64");
    va_list rest;
    va_start(rest, flags);
    int mode = va_arg(rest, int);
    va_end(rest);
    if (strncmp(path, PROC_NET, strlen(PROC_NET)) == 0) { errno = ENOENT; return -1; }
    return next(path, flags, mode);
}
"#;

/// A daemon that sees no netlink, and nothing whose path begins with `hidden`.
fn blind(test: &str, hidden: &str) -> Option<TwoApps> {
    if !is_root() {
        skipped(test, "only root can put a library before the router's");
        return None;
    }
    let test_dir = TestDir::new();
    let (source, library) = (test_dir.path("blind.c"), test_dir.path("blind.so"));
    fs::write(&source, BLIND).unwrap();
    let hidden = format!("-DPROC_NET=\"{hidden}\"");
    let built =
        Command::new("cc").args(["-shared", "-fPIC", &hidden, "-o"]).arg(&library).arg(&source).status();
    assert!(built.is_ok_and(|status| status.success()), "no library");
    Some(TwoApps::on(test_dir, COMMAND, |daemon| daemon.preloading(&library), server))
}

#[test]
fn without_netlink_the_owner_of_a_port_is_read_from_proc() {
    if let Some(setup) = blind("without_netlink_the_owner_of_a_port_is_read_from_proc", "/nowhere/") {
        assert_eq!(setup.nginx.get("/bad/").expect(200).text(), "None");
        setup.good_app_serves();
    }
}

#[test]
fn an_unknown_port_owner_is_reported_with_a_remedy() {
    let name = "an_unknown_port_owner_is_reported_with_a_remedy";
    let Some(setup) = blind(name, "/proc/net/") else { return };
    setup.nginx.get("/bad/").expect(500);
    setup.daemon.logs_eventually("cannot determine the owner of the port: Address family not supported");
    setup.daemon.logs_eventually("set \"passenger_app_listen socket\", which does not need to know it");
    setup.good_app_restarts();
}
