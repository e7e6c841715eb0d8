//! Failures: writing to the log blocks, because a disk hangs or nothing reads a pipe. Starts, tools and requests
//! continue, the status reports it, and the log reports the number of lost lines.

use nix::sys::signal::Signal;
use test_support::{FrozenDisk, TestDir, TwoApps, eventually, is_root, skipped};

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

const HANGS: &str = "Problem       : the log hangs: it accepted nothing for 2 seconds (a disk that hangs, or a pipe that is not \
                     read)";
const LOST: &str = "could not be written to the log: it accepted nothing for 2 seconds";

fn setup(log: &str, through: &[&str]) -> TwoApps {
    let flags = |mut daemon: test_support::DaemonBuilder| {
        if !log.is_empty() {
            daemon = daemon.flag(&format!("--log-file={log}"));
        }
        daemon.flag("--app-output-limit=0").through(through)
    };
    TwoApps::new("passenger_max_request_time 60;", flags, |app| app.python(POUR))
}

/// More is printed than all queues hold, and everybody is served.
fn nobody_waits(setup: &TwoApps) {
    let router = setup.daemon.router();
    for _ in 0..8 {
        setup.nginx.get("/bad/pour").expect(200);
        setup.good_app_serves();
    }
    setup.good_app_restarts();
    eventually("the status shows the problem", || setup.daemon.status().contains(HANGS));
    assert_eq!(setup.daemon.router(), router, "the router was not replaced");
}

#[test]
fn an_unread_log_pipe_blocks_nothing() {
    // The reader is a child of the daemon's process, which had the shell before.
    let reader = "exec \"$@\" 2> >(exec -a log-reader cat >&2)";
    let setup = setup("", &["bash", "-c", reader, "bash"]);
    setup.nginx.get("/bad/").expect(200);
    let reader =
        test_support::descendants(setup.daemon.pid()).into_iter().find(|pid| is_reader(*pid)).unwrap();
    test_support::signal(reader, Signal::SIGSTOP);
    nobody_waits(&setup);
    test_support::signal(reader, Signal::SIGCONT);
    eventually("the status no longer shows the problem", || !setup.daemon.status().contains("Problem"));
    setup.daemon.logs_eventually(LOST);
    setup.nginx.get("/bad/").expect(200);
}

fn is_reader(pid: u32) -> bool {
    std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with(b"log-reader"))
}

/// Whether this test can have a disk to freeze; reports why not.
fn can_have_a_frozen_disk(test: &str) -> bool {
    let can = is_root() && FrozenDisk::is_supported();
    if !can {
        skipped(test, "only root can freeze a disk, where there are loop devices");
    }
    can
}

fn on(disk: &FrozenDisk) -> String {
    disk.path().join("own.log").display().to_string()
}

#[test]
fn a_hanging_log_disk_blocks_nothing() {
    if !can_have_a_frozen_disk("a_hanging_log_disk_blocks_nothing") {
        return;
    }
    let disk = FrozenDisk::mount("log");
    let log = on(&disk);
    let setup = setup(&log, &[]);
    setup.nginx.get("/bad/").expect(200);
    // As logrotate does: the next file has to be made.
    let rotated = disk.path().join("own.log.1");
    std::fs::rename(&log, &rotated).unwrap();
    let frozen = disk.freeze();
    nobody_waits(&setup);
    let reported = setup.daemon.tool("passenger-config", &["reopen-logs"]);
    let why = String::from_utf8_lossy(&reported.stderr).into_owned();
    assert_eq!(reported.status.code(), Some(1), "{reported:?}");
    assert!(
        why.contains(&format!("the log file {log} cannot be reopened, and the log continues in the old one")),
        "{why}"
    );
    assert!(why.contains("it cannot be opened within 2 seconds: the disk hangs"), "{why}");
    setup.nginx.get("/bad/").expect(200);
    drop(frozen);
    let old = || std::fs::read_to_string(&rotated).unwrap();
    eventually("the log continues", || old().contains(LOST) && old().contains("the log is written again"));
    let reported = setup.daemon.tool("passenger-config", &["reopen-logs"]);
    assert!(reported.status.success(), "{reported:?}");
    setup.daemon.logs_eventually("the log is now");
    assert!(!setup.daemon.status().contains("Problem"), "{}", setup.daemon.status());
}

#[test]
fn a_hanging_log_disk_delays_neither_upgrade_nor_shutdown() {
    if !can_have_a_frozen_disk("a_hanging_log_disk_delays_neither_upgrade_nor_shutdown") {
        return;
    }
    let disk = FrozenDisk::mount("log-end");
    let mut setup = setup(&on(&disk), &[]);
    let pid = setup.nginx.get("/bad/").expect(200).text().to_owned();
    let frozen = disk.freeze();
    let router = setup.daemon.router();
    setup.daemon.signal(Signal::SIGUSR2);
    eventually("another router is there", || setup.daemon.router() != router);
    assert_eq!(setup.nginx.get("/bad/").expect(200).text(), pid);
    setup.good_app_restarts();
    assert!(setup.daemon.stop().success());
    drop(frozen);
}

#[test]
fn a_killed_log_writer_is_replaced() {
    let setup = setup("", &[]);
    setup.nginx.get("/bad/").expect(200);
    let writer = || setup.daemon.own_pids().into_iter().find(|pid| is_writer(*pid));
    let first = writer().unwrap();
    test_support::kill_9(first);
    eventually("it is replaced", || writer().is_some_and(|next| next != first));
    setup.daemon.logs_eventually("the log writer was killed and is replaced");
    setup.good_app_restarts();
}

fn is_writer(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "flying-log\n")
}

#[test]
fn the_log_is_complete_and_in_order_after_shutdown() {
    let test_dir = TestDir::new();
    let mut daemon = test_dir.daemon().flag("--log-level=7").start();
    assert!(daemon.stop().success());
    let log = daemon.log();
    let at = |text: &str| log.find(text).unwrap_or_else(|| panic!("no {text:?} in {log}"));
    assert!(at("starts") < at("up and listening") && at("up and listening") < at("received SIGTERM"));
    assert!(log.ends_with("the daemon has ended\n"), "{log}");
}
