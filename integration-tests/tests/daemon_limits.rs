//! Limits of the kernel: the backlog of the socket, open files, memory.

use std::os::fd::AsRawFd;
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, UnixAddr};
use nix::unistd::{Pid, User};
use test_support::{Language, ONE_APP_CONF, TestDir, eventually, is_root, skipped};

use crate::daemon_wide::DaemonSetup;

#[test]
fn the_backlog_changes_under_a_listening_socket() {
    let setup = DaemonSetup::new("passenger_socket_backlog 3;", |daemon| daemon);
    setup.daemon.logs_eventually("socket_backlog changed from 4096 to 3 by nginx's configuration");
    kill(Pid::from_raw(setup.daemon.router().cast_signed()), Signal::SIGSTOP).unwrap();
    // One more than the backlog, as in Linux.
    assert_eq!(waiting_connections(&setup.test_dir.socket(), 100), 4);
    kill(Pid::from_raw(setup.daemon.router().cast_signed()), Signal::SIGCONT).unwrap();
    setup.reconfigure("passenger_socket_backlog 100000000;");
    eventually("nginx has connected again", || {
        setup.nginx.get("/pid").expect(200);
        setup.daemon.log().contains(", not 100000000: net.core.somaxconn")
    });
    setup.nginx.get("/pid").expect(200);
}

/// How many connections a socket takes whose owner accepts none.
fn waiting_connections(path: &Path, most: usize) -> usize {
    let address = UnixAddr::new(path).unwrap();
    let connections = (0..most).map_while(|_| {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket::socket(AddressFamily::Unix, SockType::Stream, flags, None).unwrap();
        socket::connect(socket.as_raw_fd(), &address).is_ok().then_some(socket)
    });
    connections.collect::<Vec<_>>().len()
}

#[test]
fn the_daemons_limit_of_open_files_is_not_its_apps() {
    let setup = DaemonSetup::new("", |daemon| daemon.flag("--log-level=debug"));
    changes_the_limit_of_open_files(&setup);
}

#[test]
fn an_ordinary_users_daemon_limits_its_open_files_too() {
    if !is_root() {
        skipped("an_ordinary_users_daemon_limits_its_open_files_too", "the other test does it");
        return;
    }
    let games = User::from_name("games").unwrap().unwrap();
    let (uid, gid) = (games.uid.as_raw(), games.gid.as_raw());
    let test_dir = TestDir::new();
    std::os::unix::fs::chown(test_dir.dir(), Some(uid), Some(gid)).unwrap();
    changes_the_limit_of_open_files(&DaemonSetup::on(test_dir, "", |daemon| daemon.as_user(uid, gid)));
}

fn changes_the_limit_of_open_files(setup: &DaemonSetup) {
    let of_app = |path: &str| open_files(setup.nginx.get(path).expect(200).text().parse().unwrap());
    let (before, own) = (of_app("/pid"), open_files(setup.daemon.pid()));
    assert_eq!(before, open_files(std::process::id()), "the app has what the daemon was started with");
    setup.reconfigure("passenger_core_file_descriptor_ulimit 1000;");
    eventually("supervisor and router have the value", || {
        setup.nginx.get("/pid").expect(200);
        [setup.daemon.pid(), setup.daemon.router()].iter().all(|pid| open_files(*pid).0 == 1000)
    });
    let old = setup.daemon.app_pids();
    assert!(setup.daemon.tool("passenger-config", &["restart-app", "/"]).status.success());
    eventually("a new process answers", || {
        setup.nginx.get("/pid").expect(200);
        setup.daemon.app_pids().iter().all(|pid| !old.contains(pid))
    });
    assert_eq!(of_app("/pid"), before);
    setup.daemon.kill_router();
    assert_eq!(open_files(setup.daemon.router()).0, 1000);
    setup.reconfigure("");
    eventually("it is taken back", || {
        setup.nginx.get("/pid").expect(200);
        [setup.daemon.pid(), setup.daemon.router()].iter().all(|pid| open_files(*pid) == own)
    });
}

#[test]
fn an_impossible_limit_of_open_files_is_reported() {
    let setup = DaemonSetup::new("passenger_core_file_descriptor_ulimit 4000000000;", |daemon| daemon);
    setup.daemon.logs_eventually("files, not 4000000000: its hard limit, or fs.nr_open, allows no more");
}

/// A process's soft and hard limit of open files.
fn open_files(pid: u32) -> (u64, u64) {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let mut numbers = line.unwrap_or_default().split_whitespace().map_while(|word| word.parse().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// What the kernel adds to a process's badness when memory is short.
fn oom_score(pid: u32) -> i32 {
    std::fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap().trim().parse().unwrap()
}

#[test]
fn the_kernel_kills_apps_before_the_daemon_when_out_of_memory() {
    let test_dir = TestDir::new();
    test_dir.app("app").standard(Language::Ruby);
    let daemon = test_dir.daemon().through(&["choom", "-n", "200", "--"]).start();
    let nginx = test_dir.nginx(&ONE_APP_CONF.replace("%%APP%%", "")).start();
    let app: u32 = nginx.get("/pid").expect(200).text().trim().parse().unwrap();
    let (supervisor, router) = (oom_score(daemon.pid()), oom_score(daemon.router()));
    assert_eq!((oom_score(app), router), (200, 200), "apps and router have what the daemon was started with");
    // Without the right to, it says so and stays as it is.
    let forbidden = "the kernel may kill the daemon when memory is short";
    assert!(
        !is_root() || supervisor == -1000 || daemon.log().contains(forbidden),
        "{supervisor}: {}",
        daemon.log()
    );
}
