//! Replacement of routers while the processes stay.

use std::collections::BTreeMap;

use common::link::{Notice, Order, ProcessId, ProcessRecord, StopHow};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::daemon::{Daemon, eventually, generic, is_alive, until_gone, with_loader};
use crate::scripted_router::Ask;
use crate::{Test, test};

pub(crate) const TESTS: &[Test] = &[
    test("the_next_router_adopts_what_serves", the_next_router_adopts_what_serves),
    test("what_was_not_ready_ends_with_its_router", what_was_not_ready_ends_with_its_router),
    test("a_process_is_not_hurt_by_printing_without_a_router", printing_without_a_router),
    test("a_message_that_is_none_is_refused_and_nothing_else", a_message_that_is_none_is_refused),
    test("orders_for_processes_that_never_were_change_nothing", orders_for_nobody_change_nothing),
    test("a_router_that_does_not_read_is_replaced", a_router_that_does_not_read_is_replaced),
    test("a_router_that_exits_is_replaced_too", a_router_that_exits_is_replaced_too),
    test("restart_files_are_looked_at", restart_files_are_looked_at),
];

fn ready(daemon: &mut Daemon, record: &ProcessRecord) {
    daemon.order(Order::MarkReady {
        process: record.process,
        max_concurrent: None,
        revision: None,
        native: None,
    });
}

fn generation(daemon: &mut Daemon) -> u32 {
    daemon.notice(|notice| match notice {
        Notice::Config(config) => Some(config.generation),
        _ => None,
    })
}

/// Removes the environment, which is for the report of a start, and this start has ended.
fn without_environment(record: &ProcessRecord) -> ProcessRecord {
    assert_eq!(record.environment.get("IN_PASSENGER").map(String::as_str), Some("1"));
    ProcessRecord { environment: BTreeMap::new(), ..record.clone() }
}

fn adopted(daemon: &mut Daemon) -> ProcessRecord {
    daemon.notice(|notice| match notice {
        Notice::Adopt(record) => Some(record.clone()),
        _ => None,
    })
}

/// Kills the router and connects to the next.
fn replace_router(daemon: &mut Daemon) {
    let before = daemon.router_pid();
    kill(Pid::from_raw(before), Signal::SIGKILL).unwrap();
    until_gone(before);
    daemon.connect();
}

/// Waits for earlier orders: they are carried out one after the other, so when this one is answered, they are done.
fn settle(daemon: &mut Daemon) {
    daemon.try_spawn(generic("relative".as_ref(), "true")).unwrap_err();
}

fn the_next_router_adopts_what_serves() {
    let mut daemon = Daemon::start();
    let root = daemon.app("app");
    let one = daemon.spawn(generic(&root, "sleep 1000"));
    let spec = with_loader(&daemon, &root, "echo up; exec sleep 1000");
    let other = daemon.spawn(spec);
    assert_eq!(generation(&mut daemon), 0);
    ready(&mut daemon, &one);
    daemon.order(Order::MarkReady {
        process: other.process,
        max_concurrent: Some(7),
        revision: None,
        native: None,
    });
    let other = ProcessRecord { max_concurrent: Some(7), ..other };
    settle(&mut daemon);

    for expected in 1..=3 {
        replace_router(&mut daemon);
        assert_eq!(generation(&mut daemon), expected);
        assert_eq!(adopted(&mut daemon), without_environment(&one));
        assert_eq!(adopted(&mut daemon), without_environment(&other));
        assert!(is_alive(one.pid) && is_alive(other.pid));
    }
    daemon.stop(one.process, StopHow::Gracefully);
    assert_eq!(daemon.exited(one.process), "was killed by signal 15 (SIGTERM)");
}

fn what_was_not_ready_ends_with_its_router() {
    let mut daemon = Daemon::start();
    let root = daemon.app("app");
    let (record, _) = daemon.spawn_reported(generic(&root, "sleep 1000"));
    replace_router(&mut daemon);
    until_gone(record.pid);
}

fn printing_without_a_router() {
    let mut daemon = Daemon::start();
    let root = daemon.app("app");
    let script = "echo up; while [ ! -e \"$PWD/go\" ]; do sleep 0.05; done; echo still here; exec sleep 1000";
    let spec = with_loader(&daemon, &root, script);
    let record = daemon.spawn(spec);
    assert_eq!(daemon.output(record.process), "up");
    ready(&mut daemon, &record);
    settle(&mut daemon);
    let router = daemon.router_pid();
    kill(Pid::from_raw(router), Signal::SIGKILL).unwrap();
    // A dying router may still consume some output.
    until_gone(router);
    std::fs::write(root.join("go"), "").unwrap();
    daemon.connect();
    assert_eq!(adopted(&mut daemon), without_environment(&record));
    assert_eq!(daemon.output(record.process), "still here");
}

fn a_message_that_is_none_is_refused() {
    let mut daemon = Daemon::start();
    let router = daemon.router_pid();
    daemon.ask(&Ask::Nonsense);
    settle(&mut daemon);
    assert!(is_alive(router));
    daemon.logs("invalid message from the router");
}

fn orders_for_nobody_change_nothing() {
    let mut daemon = Daemon::start();
    for process in [0, 1, 4711, u64::MAX].map(ProcessId) {
        daemon.order(Order::MarkReady { process, max_concurrent: None, revision: None, native: None });
        daemon.stop(process, StopHow::Kill);
        daemon.stop(process, StopHow::Gracefully);
    }
    settle(&mut daemon);
    // Finished without having been asked to: the next router takes over.
    let router = daemon.router_pid();
    daemon.order(Order::Finished);
    until_gone(router);
    daemon.connect();
    settle(&mut daemon);
}

fn a_router_that_does_not_read_is_replaced() {
    let mut daemon = Daemon::start_with(&["--max-pool-size=100"]);
    let root = daemon.app("app");
    let mut processes = Vec::new();
    for _ in 0..3 {
        let record = daemon.spawn(generic(&root, "sleep 1000"));
        ready(&mut daemon, &record);
        processes.push(record);
    }
    settle(&mut daemon);
    let router = daemon.router_pid();
    // More answers than the link can hold; few of them are read.
    let order = Order::CheckRestartFiles { ticket: common::link::Ticket(1), dir: "/".into() };
    daemon.ask(&Ask::Flood(Box::new(order), 2000));
    daemon.ask(&Ask::Sleep);
    eventually("the end of a router that does not read", || (!is_alive(router)).then_some(()));
    daemon.connect();
    assert_eq!(adopted(&mut daemon).pid, processes[0].pid);
    assert!(processes.iter().all(|record| is_alive(record.pid)));
}

fn a_router_that_exits_is_replaced_too() {
    let mut daemon = Daemon::start();
    let router = daemon.router_pid();
    daemon.ask(&Ask::Exit(3));
    until_gone(router);
    daemon.connect();
    assert_eq!(generation(&mut daemon), 1);
    daemon.logs("exited with status 3; the next one takes over");
}

fn restart_files_are_looked_at() {
    let mut daemon = Daemon::start();
    let root = daemon.app("app");
    std::fs::write(root.join("always_restart.txt"), "").unwrap();
    daemon.order(Order::CheckRestartFiles { ticket: common::link::Ticket(9), dir: root });
    let found = daemon.notice(|notice| match notice {
        Notice::RestartFiles { found, .. } => Some(*found),
        _ => None,
    });
    assert_eq!((found.restart_mtime, found.always), (None, true));
}
