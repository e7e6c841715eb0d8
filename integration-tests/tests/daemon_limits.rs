//! Limits of the kernel: the backlog of the socket, open files, memory.

use std::os::fd::AsRawFd;
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, UnixAddr};
use nix::unistd::{Pid, User};
use stage::{Language, ONE_APP, Stage, eventually, is_root, skipped};

use crate::daemon_wide::Wide;

#[test]
fn the_backlog_changes_under_a_listening_socket() {
    let wide = Wide::new("passenger_socket_backlog 3;", |daemon| daemon);
    wide.daemon.logs_eventually("socket_backlog changed from 4096 to 3 by nginx's configuration");
    kill(Pid::from_raw(wide.daemon.router().cast_signed()), Signal::SIGSTOP).unwrap();
    // One more than the backlog, as Linux counts.
    assert_eq!(waiting_connections(&wide.stage.socket(), 100), 4);
    kill(Pid::from_raw(wide.daemon.router().cast_signed()), Signal::SIGCONT).unwrap();
    wide.reconfigure("passenger_socket_backlog 100000000;");
    eventually("nginx has spoken again", || {
        wide.nginx.get("/pid").expect(200);
        wide.daemon.log().contains(", not 100000000: net.core.somaxconn")
    });
    wide.nginx.get("/pid").expect(200);
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
    let wide = Wide::new("", |daemon| daemon.flag("--log-level=debug"));
    changes_the_limit_of_open_files(&wide);
}

#[test]
fn an_ordinary_users_daemon_limits_its_open_files_too() {
    if !is_root() {
        skipped("an_ordinary_users_daemon_limits_its_open_files_too", "the other test does it");
        return;
    }
    let games = User::from_name("games").unwrap().unwrap();
    let (uid, gid) = (games.uid.as_raw(), games.gid.as_raw());
    let stage = Stage::new();
    std::os::unix::fs::chown(stage.dir(), Some(uid), Some(gid)).unwrap();
    changes_the_limit_of_open_files(&Wide::on(stage, "", |daemon| daemon.as_user(uid, gid)));
}

fn changes_the_limit_of_open_files(wide: &Wide) {
    let of_app = |path: &str| open_files(wide.nginx.get(path).expect(200).text().parse().unwrap());
    let (before, own) = (of_app("/pid"), open_files(wide.daemon.pid()));
    assert_eq!(before, open_files(std::process::id()), "the app has what the daemon was started with");
    wide.reconfigure("passenger_core_file_descriptor_ulimit 1000;");
    eventually("supervisor and router have it", || {
        wide.nginx.get("/pid").expect(200);
        [wide.daemon.pid(), wide.daemon.router()].iter().all(|pid| open_files(*pid).0 == 1000)
    });
    let old = wide.daemon.app_pids();
    assert!(wide.daemon.tool("passenger-config", &["restart-app", "/"]).status.success());
    eventually("a new process answers", || {
        wide.nginx.get("/pid").expect(200);
        wide.daemon.app_pids().iter().all(|pid| !old.contains(pid))
    });
    assert_eq!(of_app("/pid"), before);
    wide.daemon.kill_router();
    assert_eq!(open_files(wide.daemon.router()).0, 1000);
    wide.reconfigure("");
    eventually("it is taken back", || {
        wide.nginx.get("/pid").expect(200);
        [wide.daemon.pid(), wide.daemon.router()].iter().all(|pid| open_files(*pid) == own)
    });
}

#[test]
fn more_open_files_than_are_allowed_is_told() {
    let wide = Wide::new("passenger_core_file_descriptor_ulimit 4000000000;", |daemon| daemon);
    wide.daemon.logs_eventually("files, not 4000000000: its hard limit, or fs.nr_open, allows no more");
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
fn when_memory_is_short_the_kernel_ends_an_app_rather_than_the_daemon() {
    let stage = Stage::new();
    stage.app("app").standard(Language::Ruby);
    let daemon = stage.daemon().through(&["choom", "-n", "200", "--"]).start();
    let nginx = stage.nginx(&ONE_APP.replace("%%APP%%", "")).start();
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
