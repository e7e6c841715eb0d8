//! Bad nights: writing to the log blocks, because a disk hangs or nothing reads a pipe. Starts, tools and requests
//! continue, the status reports it, and the log counts the lost lines.

use nix::sys::signal::Signal;
use stage::{FrozenDisk, Neighbours, Stage, eventually, is_root, skipped};

/// Writes 2 MB to its standard error for each request for `/bad/pour`, in short lines, as a test that fails prints them.
const POUR: &str = "import os
lines = (b'x' * 99 + b'\\n') * 500
def application(environ, start_response):
    if environ['PATH_INFO'] == '/bad/pour':
        for _ in range(40):
            rest = lines
            while rest:
                rest = rest[os.write(2, rest):]
    start_response('200 OK', [])
    return [str(os.getpid()).encode()]
";

const HANGS: &str = "Trouble       : the log hangs: it accepted nothing for 2 seconds (a disk that hangs, or a pipe that is not \
                     read)";
const LOST: &str = "could not be written to the log: it accepted nothing for 2 seconds";

fn scene(log: &str, through: &[&str]) -> Neighbours {
    let flags = |mut daemon: stage::DaemonBuilder| {
        if !log.is_empty() {
            daemon = daemon.flag(&format!("--log-file={log}"));
        }
        daemon.flag("--app-output-limit=0").through(through)
    };
    Neighbours::new("passenger_max_request_time 60;", flags, |app| app.python(POUR))
}

/// More is printed than all queues hold, and everybody is served.
fn nobody_waits(scene: &Neighbours) {
    let router = scene.daemon.router();
    for _ in 0..8 {
        scene.nginx.get("/bad/pour").expect(200);
        scene.good_one_serves();
    }
    scene.good_one_restarts();
    eventually("the status tells", || scene.daemon.status().contains(HANGS));
    assert_eq!(scene.daemon.router(), router, "the router was not replaced");
}

#[test]
fn a_log_pipe_that_nobody_reads_holds_nobody_up() {
    // The reader is a child of the daemon's process, which had the shell before.
    let reader = "exec \"$@\" 2> >(exec -a log-reader cat >&2)";
    let scene = scene("", &["bash", "-c", reader, "bash"]);
    scene.nginx.get("/bad/").expect(200);
    let reader = stage::descendants(scene.daemon.pid()).into_iter().find(|pid| is_reader(*pid)).unwrap();
    stage::signal(reader, Signal::SIGSTOP);
    nobody_waits(&scene);
    stage::signal(reader, Signal::SIGCONT);
    eventually("the status tells no more", || !scene.daemon.status().contains("Trouble"));
    scene.daemon.logs_eventually(LOST);
    scene.nginx.get("/bad/").expect(200);
}

fn is_reader(pid: u32) -> bool {
    std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with(b"log-reader"))
}

/// Whether this test can have a disk to freeze; tells why not.
fn can_have_a_frozen_disk(test: &str) -> bool {
    let can = is_root() && FrozenDisk::can_be();
    if !can {
        skipped(test, "only root can freeze a disk, where there are loop devices");
    }
    can
}

fn on(disk: &FrozenDisk) -> String {
    disk.path().join("own.log").display().to_string()
}

#[test]
fn a_log_disk_that_hangs_holds_nobody_up() {
    if !can_have_a_frozen_disk("a_log_disk_that_hangs_holds_nobody_up") {
        return;
    }
    let disk = FrozenDisk::mount("log");
    let log = on(&disk);
    let scene = scene(&log, &[]);
    scene.nginx.get("/bad/").expect(200);
    // As logrotate does: the next file has to be made.
    let rotated = disk.path().join("own.log.1");
    std::fs::rename(&log, &rotated).unwrap();
    let frozen = disk.freeze();
    nobody_waits(&scene);
    let told = scene.daemon.tool("passenger-config", &["reopen-logs"]);
    let why = String::from_utf8_lossy(&told.stderr).into_owned();
    assert_eq!(told.status.code(), Some(1), "{told:?}");
    assert!(
        why.contains(&format!("the log file {log} cannot be reopened, and the log continues in the old one")),
        "{why}"
    );
    assert!(why.contains("it cannot be opened within 2 seconds: the disk hangs"), "{why}");
    scene.nginx.get("/bad/").expect(200);
    drop(frozen);
    let old = || std::fs::read_to_string(&rotated).unwrap();
    eventually("the log goes on", || old().contains(LOST) && old().contains("the log is written again"));
    let told = scene.daemon.tool("passenger-config", &["reopen-logs"]);
    assert!(told.status.success(), "{told:?}");
    scene.daemon.logs_eventually("the log is now");
    assert!(!scene.daemon.status().contains("Trouble"), "{}", scene.daemon.status());
}

#[test]
fn a_log_disk_that_hangs_holds_up_neither_an_upgrade_nor_the_end() {
    if !can_have_a_frozen_disk("a_log_disk_that_hangs_holds_up_neither_an_upgrade_nor_the_end") {
        return;
    }
    let disk = FrozenDisk::mount("log-end");
    let mut scene = scene(&on(&disk), &[]);
    let pid = scene.nginx.get("/bad/").expect(200).text().to_owned();
    let frozen = disk.freeze();
    let router = scene.daemon.router();
    scene.daemon.signal(Signal::SIGUSR2);
    eventually("another router is there", || scene.daemon.router() != router);
    assert_eq!(scene.nginx.get("/bad/").expect(200).text(), pid);
    scene.good_one_restarts();
    assert!(scene.daemon.stop().success());
    drop(frozen);
}

#[test]
fn a_writer_of_the_log_that_is_killed_is_replaced() {
    let scene = scene("", &[]);
    scene.nginx.get("/bad/").expect(200);
    let writer = || scene.daemon.own_pids().into_iter().find(|pid| is_writer(*pid));
    let first = writer().unwrap();
    stage::kill_9(first);
    eventually("it is replaced", || writer().is_some_and(|next| next != first));
    scene.daemon.logs_eventually("the log writer was killed and is replaced");
    scene.good_one_restarts();
}

fn is_writer(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "flying-log\n")
}

#[test]
fn all_lines_are_in_the_log_at_the_end_and_in_their_order() {
    let stage = Stage::new();
    let mut daemon = stage.daemon().flag("--log-level=7").start();
    assert!(daemon.stop().success());
    let log = daemon.log();
    let at = |text: &str| log.find(text).unwrap_or_else(|| panic!("no {text:?} in {log}"));
    assert!(at("starts") < at("up and listening") && at("up and listening") < at("received SIGTERM"));
    assert!(log.ends_with("the daemon has ended\n"), "{log}");
}
