//! How many orders of a router can be outstanding, and what the supervisor does meanwhile.

use std::path::{Path, PathBuf};
use std::process::Command;

use common::link::{Notice, Order, ProcessRecord, StopHow, Ticket};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::daemon::{Daemon, as_user, generic, process_name, status, until_gone};
use crate::scripted_router::Ask;
use crate::{Test, as_root, test};

pub(crate) const TESTS: &[Test] = &[
    test("a_flood_of_orders_holds_nothing_else_up", a_flood_of_orders_holds_nothing_else_up),
    test("measurements_hold_nothing_else_up", measurements_hold_nothing_else_up),
    test("messages_without_end_that_are_none_are_logged_now_and_then", refusals_are_logged_now_and_then),
    test("what_a_router_leaves_behind_cannot_write_to_the_log_for_ever", old_writers_do_not_fill_the_log),
    as_root("starts_that_wait_take_little_memory_and_none_is_refused", starts_that_wait_take_little_memory),
    as_root("few_log_files_of_apps_are_opened_at_a_time", few_log_files_are_opened_at_a_time),
];

fn sleeping(daemon: &mut Daemon, name: &str) -> ProcessRecord {
    let root = daemon.app(name);
    let (record, _) = daemon.spawn_reported(generic(&root, "sleep 1000"));
    record
}

/// Asserts that the supervisor notices the end of a process that was not announced to it.
#[track_caller]
fn notices_an_end(daemon: &mut Daemon, record: &ProcessRecord) {
    kill(Pid::from_raw(record.pid), Signal::SIGKILL).unwrap();
    assert_eq!(daemon.exited(record.process), "was killed by signal 9 (SIGKILL)");
}

fn a_flood_of_orders_holds_nothing_else_up() {
    let mut daemon = Daemon::start();
    let record = sleeping(&mut daemon, "app");
    let log = daemon.dir().join("app.log");
    for order in [
        Order::Stop(common::link::ProcessId(4711), StopHow::Kill),
        Order::CheckRestartFiles { ticket: Ticket(1), dir: "/".into() },
        Order::OpenAppLog { ticket: Ticket(2), process: record.process, path: log },
        Order::ReopenLog { ticket: Ticket(3) },
        Order::Pong,
    ] {
        daemon.ask(&Ask::Flood(Box::new(order), 3000));
    }
    notices_an_end(&mut daemon, &record);
    daemon.signal(Signal::SIGTERM);
    daemon.notice(|notice| matches!(notice, Notice::ShutDown { .. }).then_some(()));
}

fn measurements_hold_nothing_else_up() {
    let mut daemon = Daemon::start();
    let (one, other) = (sleeping(&mut daemon, "one"), sleeping(&mut daemon, "other"));
    let processes = vec![one.process; 30_000];
    daemon.ask(&Ask::Flood(Box::new(Order::Measure { ticket: Ticket(5), processes }), 40));
    notices_an_end(&mut daemon, &other);
    for _ in 0..40 {
        let held = daemon.notice(|notice| match notice {
            Notice::Measured { held, .. } => Some(held.clone()),
            _ => None,
        });
        assert_eq!((held.len(), held[0].0), (1, one.process));
    }
}

fn refusals_are_logged_now_and_then() {
    let mut daemon = Daemon::start();
    (0..1000).for_each(|_| daemon.ask(&Ask::Nonsense));
    daemon.try_spawn(generic("relative".as_ref(), "true")).unwrap_err();
    daemon.logs("invalid message from the router");
    let lines = daemon.log().matches("invalid message from the router").count();
    assert!((1..50).contains(&lines), "{lines} lines");
}

fn old_writers_do_not_fill_the_log() {
    let mut daemon = Daemon::start();
    let router = daemon.router_pid();
    daemon.ask(&Ask::LeaveWriters(150));
    until_gone(router);
    daemon.connect();
    daemon.try_spawn(generic("relative".as_ref(), "true")).unwrap_err();
    let length = std::fs::metadata(daemon.dir().join("log")).unwrap().len();
    assert!(length < 100_000_000, "{length} bytes of a router that has ended");
}

/// A library that delays the lookup of a user's groups while a file exists.
struct SlowGroups {
    library: PathBuf,
    waits: PathBuf,
}

impl SlowGroups {
    fn new() -> Self {
        let dir = std::env::temp_dir().join(format!("fp-slow-groups-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let (library, waits) = (dir.join("slow_groups.so"), dir.join("waits"));
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/supervisor/slow_groups.c");
        let compiled = Command::new("gcc")
            .args(["-O1", "-Wall", "-Werror", "-shared", "-fPIC"])
            .arg(format!("-DWAITS=\"{}\"", waits.display()))
            .arg("-o")
            .args([&library, &source])
            .status();
        assert!(compiled.is_ok_and(|status| status.success()), "the library cannot be compiled");
        Self { library, waits }
    }

    fn wait(&self) {
        std::fs::write(&self.waits, "").unwrap();
    }

    fn go_on(&self) {
        std::fs::remove_file(&self.waits).unwrap();
    }
}

impl Drop for SlowGroups {
    fn drop(&mut self) {
        // It may have been removed already.
        let _ = std::fs::remove_dir_all(self.library.parent().unwrap());
    }
}

fn starts_that_wait_take_little_memory() {
    let slow = SlowGroups::new();
    let mut daemon = Daemon::start_preloading(&slow.library);
    let record = sleeping(&mut daemon, "other");
    let root = daemon.app("app");
    let mut spec = as_user("games", generic(&root, "sleep 1000"));
    spec.handover_data = vec![b'x'; 150_000];
    // After the check, the start fails because of this.
    spec.settings.env_var = vec![("A=B".into(), String::new())];
    slow.wait();
    const STARTS: u32 = 2000;
    daemon.ask(&Ask::Flood(Box::new(Order::Spawn { ticket: Ticket(7777), spec: Box::new(spec) }), STARTS));
    notices_an_end(&mut daemon, &record);
    daemon.logs("no more orders are read");
    slow.go_on();
    for _ in 0..STARTS {
        let why = daemon.notice(|notice| match notice {
            Notice::NotStarted { ticket: Ticket(7777), reason } => Some(reason.clone()),
            _ => None,
        });
        assert!(why.contains("has an invalid name or value"), "{why}");
    }
    let peak: u64 = status(daemon.pid(), "VmHWM")[0].parse().unwrap();
    assert!(peak < 150_000, "{peak} KiB");
}

fn few_log_files_are_opened_at_a_time() {
    let slow = SlowGroups::new();
    let mut daemon = Daemon::start_preloading(&slow.library);
    let record = sleeping(&mut daemon, "app");
    let path = daemon.dir().join("app.log");
    slow.wait();
    const FILES: u32 = 300;
    let order = Order::OpenAppLog { ticket: Ticket(8), process: record.process, path };
    daemon.ask(&Ask::Flood(Box::new(order), FILES));
    // The order after them is carried out.
    daemon.try_spawn(generic("relative".as_ref(), "true")).unwrap_err();
    let openers = children(&daemon).len();
    assert!((1..=40).contains(&openers), "{openers} processes");
    slow.go_on();
    for _ in 0..FILES {
        daemon.notice(|notice| matches!(notice, Notice::AppLog { ticket: Ticket(8) }).then_some(()));
    }
}

/// Returns the PIDs of the supervisor's copies.
fn children(daemon: &Daemon) -> Vec<i32> {
    let children = format!("/proc/{0}/task/{0}/children", daemon.pid());
    let pids = std::fs::read_to_string(children).unwrap();
    let pids = pids.split_whitespace().map(|pid| pid.parse().unwrap());
    let own = process_name(daemon.pid());
    pids.filter(|pid| process_name(*pid) == own).collect()
}
