//! The shutdown of a daemon: graceful, cut short, or killed. Nothing is left behind.

use std::fs;

use common::link::{Notice, Order};
use nix::sys::signal::Signal;

use crate::daemon::{Daemon, generic, until_gone, with_loader};
use crate::scripted_router::Ask;
use crate::{Test, test};

pub(crate) const TESTS: &[Test] = &[
    test("an_orderly_end_leaves_nothing_behind", an_orderly_end_leaves_nothing_behind),
    test("a_router_that_finishes_without_stopping_is_no_obstacle", router_finishes_without_stopping),
    test("no_app_is_started_once_the_end_has_begun", no_app_is_started_once_the_end_has_begun),
    test("what_does_not_end_is_killed_and_named", what_does_not_end_is_killed_and_named),
    test("a_router_that_never_finishes_is_killed", a_router_that_never_finishes_is_killed),
    test("asking_twice_ends_everything_at_once", asking_twice_ends_everything_at_once),
    test("a_killed_supervisor_takes_everything_with_it", a_killed_supervisor_takes_everything_with_it),
    test("a_hangup_ends_nothing", a_hangup_ends_nothing),
    test("a_second_daemon_does_not_take_the_socket", a_second_daemon_does_not_take_the_socket),
];

fn until_stopped(daemon: &mut Daemon) {
    daemon.notice(|notice| matches!(notice, Notice::ShutDown { .. }).then_some(()));
}

fn assert_nothing_is_left(daemon: &Daemon) {
    for name in ["socket", "socket.lock"] {
        assert!(!daemon.dir().join(name).exists(), "{name} is left");
    }
    let left: Vec<_> = fs::read_dir(daemon.dir().join("registry")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

fn an_orderly_end_leaves_nothing_behind() {
    let mut daemon = Daemon::start();
    let root = daemon.app("app");
    let spec = with_loader(&daemon, &root, "echo up; read x; echo finished");
    let record = daemon.spawn(spec);
    assert_eq!(daemon.output(record.process), "up");
    daemon.signal(Signal::SIGTERM);
    until_stopped(&mut daemon);
    daemon.stop(record.process, common::link::StopHow::Gracefully);
    assert_eq!(daemon.exited(record.process), "exited with status 0");
    daemon.order(Order::Finished);
    daemon.ask(&Ask::Exit(0));
    assert_eq!(daemon.wait().code(), Some(0));
    assert_nothing_is_left(&daemon);
}

fn router_finishes_without_stopping() {
    let mut daemon = Daemon::start();
    let root = daemon.app("app");
    let record = daemon.spawn(generic(&root, "sleep 1000"));
    daemon.signal(Signal::SIGINT);
    until_stopped(&mut daemon);
    daemon.order(Order::Finished);
    assert_eq!(daemon.wait().code(), Some(0));
    until_gone(record.pid);
    assert_nothing_is_left(&daemon);
}

fn no_app_is_started_once_the_end_has_begun() {
    let mut daemon = Daemon::start();
    let root = daemon.app("app");
    daemon.signal(Signal::SIGTERM);
    until_stopped(&mut daemon);
    let refused = daemon.try_spawn(generic(&root, "sleep 1000")).unwrap_err();
    assert_eq!(refused, "the daemon is shutting down");
}

fn what_does_not_end_is_killed_and_named() {
    let mut daemon = Daemon::start_with(&["--shutdown-timeout=1"]);
    let root = daemon.app("app");
    let record = daemon.spawn(generic(&root, "trap '' TERM; echo up; while :; do sleep 1; done"));
    assert_eq!(daemon.output(record.process), "up");
    daemon.order(Order::MarkReady {
        process: record.process,
        max_concurrent: None,
        revision: None,
        native: None,
    });
    daemon.signal(Signal::SIGTERM);
    until_stopped(&mut daemon);
    daemon.ask(&Ask::Exit(0));
    assert_eq!(daemon.wait().code(), Some(0));
    let named = format!("process {} of test (production) has not ended in time and is killed", record.pid);
    daemon.logs(&named);
    assert_nothing_is_left(&daemon);
}

fn a_router_that_never_finishes_is_killed() {
    let mut daemon = Daemon::start_with(&["--shutdown-timeout=1"]);
    let router = daemon.router_pid();
    daemon.signal(Signal::SIGTERM);
    assert_eq!(daemon.wait().code(), Some(0));
    until_gone(router);
    assert_nothing_is_left(&daemon);
}

fn asking_twice_ends_everything_at_once() {
    let mut daemon = Daemon::start();
    let root = daemon.app("app");
    let record = daemon.spawn(generic(&root, "trap '' TERM; echo up; while :; do sleep 1; done"));
    assert_eq!(daemon.output(record.process), "up");
    daemon.signal(Signal::SIGTERM);
    until_stopped(&mut daemon);
    daemon.signal(Signal::SIGTERM);
    assert_eq!(daemon.wait().code(), Some(1));
    until_gone(record.pid);
    assert_nothing_is_left(&daemon);
}

fn a_killed_supervisor_takes_everything_with_it() {
    let mut daemon = Daemon::start();
    let root = daemon.app("app");
    let generic = daemon.spawn(generic(&root, "sleep 1000"));
    let spec = with_loader(&daemon, &root, "echo up; read x");
    let loader = daemon.spawn(spec);
    assert_eq!(daemon.output(loader.process), "up");
    let spec = with_loader(&daemon, &root, "echo up; exec sleep 1000");
    let deaf = daemon.spawn(spec);
    assert_eq!(daemon.output(deaf.process), "up");
    let router = daemon.router_pid();
    daemon.report(generic.process);
    daemon.signal(Signal::SIGKILL);
    daemon.wait();
    for pid in [router, generic.pid, loader.pid, deaf.pid] {
        until_gone(pid);
    }
}

fn a_hangup_ends_nothing() {
    let mut daemon = Daemon::start();
    let root = daemon.app("app");
    daemon.signal(Signal::SIGHUP);
    daemon.spawn(generic(&root, "sleep 1000"));
}

fn a_second_daemon_does_not_take_the_socket() {
    let first = Daemon::start();
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .arg("supervisor")
        .arg(format!("--socket-file={}", first.dir().join("socket").display()))
        .arg(format!("--instance-registry-dir={}", first.dir().join("registry").display()))
        .arg(format!("--loaders-dir={}", first.dir().display()))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let printed = String::from_utf8(output.stderr).unwrap();
    let expected = format!("the process with PID {} is already listening on", first.pid());
    assert!(printed.contains(&expected), "{printed}");
    let instances = fs::read_dir(first.dir().join("registry")).unwrap().count();
    assert_eq!(instances, 1, "the second has cleaned up");
}
