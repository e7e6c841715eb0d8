//! Bad nights: `/tmp` or the disk of the instance directory is full, or the owner of a port is unknown. Starts that fail
//! report the reason, and everything else continues.

use std::fs;
use std::process::Command;

use stage::{App, Neighbours, SmallDisk, Stage, eventually, is_root, skipped, workspace};

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
fn a_tmp_that_takes_nothing_keeps_no_application_from_starting() {
    if !is_root() {
        return skipped(
            "a_tmp_that_takes_nothing_keeps_no_application_from_starting",
            "only root can mount over /tmp",
        );
    }
    if workspace().starts_with("/tmp") {
        return skipped(
            "a_tmp_that_takes_nothing_keeps_no_application_from_starting",
            "the program itself is below /tmp",
        );
    }
    // The test's directory is below it. There is space for that directory only; programs there cannot be executed.
    let small =
        "mount --bind \"$0\" /mnt && mount -t tmpfs -o size=4k,nr_inodes=2,noexec,mode=1777 none /tmp &&
        mkdir \"$0\" && mount --bind /mnt \"$0\" && exec \"$@\"";
    let stage = Stage::new();
    let dir = stage.dir().display().to_string();
    let through = ["unshare", "--mount", "--", "sh", "-c", small, &dir];
    let lines = format!("{COMMAND} passenger_app_listen socket;");
    let scene = Neighbours::on(stage, &lines, |daemon| daemon.through(&through), server);
    let path = scene.nginx.get("/bad/").expect(200).text().to_owned();
    assert!(path.starts_with(&format!("{dir}/registry/")), "{path}");
    scene.daemon.logs_eventually("for sockets of apps, using");
    scene.daemon.logs_eventually(": No space left on device");
    scene.good_one_restarts();
}

#[test]
fn a_full_disk_under_the_instance_directory_keeps_processes_from_starting_and_is_told() {
    if !is_root() {
        return skipped(
            "a_full_disk_under_the_instance_directory_keeps_processes_from_starting_and_is_told",
            "only root can mount a small disk",
        );
    }
    let stage = Stage::new();
    let registry = stage.path("registry");
    fs::create_dir(&registry).unwrap();
    let disk = SmallDisk::over(&registry);
    let scene = Neighbours::on(stage, "", |daemon| daemon, |app| app.python(PYTHON));
    let full = disk.fill_with_files();
    scene.nginx.get("/bad/").expect(500);
    scene.daemon.logs_eventually(&format!("cannot open a socket for the app: {}/", registry.display()));
    scene.daemon.logs_eventually("No space left on device");
    scene.good_one_serves();
    scene.daemon.kill_router();
    scene.good_one_serves();
    assert!(scene.daemon.tool("passenger-status", &[]).status.success());
    drop(full);
    eventually("it starts when there is room", || scene.nginx.get("/bad/").status() == 200);
    scene.good_one_serves();
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
fn blind(test: &str, hidden: &str) -> Option<Neighbours> {
    if !is_root() {
        skipped(test, "only root can put a library before the router's");
        return None;
    }
    let stage = Stage::new();
    let (source, library) = (stage.path("blind.c"), stage.path("blind.so"));
    fs::write(&source, BLIND).unwrap();
    let hidden = format!("-DPROC_NET=\"{hidden}\"");
    let built =
        Command::new("cc").args(["-shared", "-fPIC", &hidden, "-o"]).arg(&library).arg(&source).status();
    assert!(built.is_ok_and(|status| status.success()), "no library");
    Some(Neighbours::on(stage, COMMAND, |daemon| daemon.preloading(&library), server))
}

#[test]
fn without_netlink_the_owner_of_a_port_is_read_from_proc() {
    if let Some(scene) = blind("without_netlink_the_owner_of_a_port_is_read_from_proc", "/nowhere/") {
        assert_eq!(scene.nginx.get("/bad/").expect(200).text(), "None");
        scene.good_one_serves();
    }
}

#[test]
fn an_application_whose_port_has_an_unknown_owner_is_told_how_to_listen() {
    let name = "an_application_whose_port_has_an_unknown_owner_is_told_how_to_listen";
    let Some(scene) = blind(name, "/proc/net/") else { return };
    scene.nginx.get("/bad/").expect(500);
    scene.daemon.logs_eventually("cannot determine the owner of the port: Address family not supported");
    scene.daemon.logs_eventually("set \"passenger_app_listen socket\", which does not need to know it");
    scene.good_one_restarts();
}
