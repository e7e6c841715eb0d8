//! Several threads of the router (`--router-threads`): one pool for all, and a router that ends when one of them hangs.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use test_support::{App, Daemon, DaemonBuilder, FrameClient, Language, TestDir, eventually, is_alive};

use crate::service::Manager;

const THREADS: &str = "--router-threads=3";

/// Stops one thread of a process by `ptrace` until its standard input ends.
const STOP_THREAD: &str = r#"
import ctypes, os, sys
ptrace = ctypes.CDLL(None, use_errno=True).ptrace
ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
thread, seize, interrupt, any_thread = int(sys.argv[1]), 0x4206, 0x4207, 0x40000000
if ptrace(seize, thread, None, None) or ptrace(interrupt, thread, None, None):
    sys.exit(os.strerror(ctypes.get_errno()))
os.waitpid(thread, any_thread)
print("stopped", flush=True)
sys.stdin.read()
"#;

fn one_app(language: Language, flags: impl FnOnce(DaemonBuilder) -> DaemonBuilder) -> (TestDir, App, Daemon) {
    let test_dir = TestDir::new();
    let app = test_dir.app("app").standard(language);
    let daemon = flags(test_dir.daemon().flag(THREADS)).start();
    (test_dir, app, daemon)
}

/// The threads of the router that serve requests, besides the main one, by name.
fn threads(router: u32) -> Vec<(String, PathBuf)> {
    let tasks = std::fs::read_dir(format!("/proc/{router}/task")).unwrap();
    let named = tasks.filter_map(|task| {
        let path = task.ok()?.path();
        let name = std::fs::read_to_string(path.join("comm")).ok()?.trim().to_owned();
        name.starts_with("router-").then_some((name, path))
    });
    let mut all: Vec<_> = named.collect();
    all.sort();
    all
}

fn names(router: u32) -> Vec<String> {
    threads(router).into_iter().map(|(name, _)| name).collect()
}

/// How often a thread has waited.
fn waits(task: &Path) -> u64 {
    let status = std::fs::read_to_string(task.join("status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    line.unwrap().trim().parse().unwrap()
}

/// A request that waits at a gate, sent.
fn waiting(test_dir: &TestDir, app: &App, language: Language, gate: &str) -> FrameClient {
    let mut client = FrameClient::connect(&test_dir.socket());
    client.ask(app.dir(), language, &format!("/wait?name={gate}"), None);
    client
}

fn has_arrived(test_dir: &TestDir, gate: &str) -> bool {
    test_dir.scratch(&format!("{gate}.arrived")).exists()
}

#[test]
fn as_many_threads_run_as_configured() {
    let (_test_dir, _app, daemon) = one_app(Language::Ruby, |daemon| daemon);
    // A thread sets its name itself.
    eventually("two run besides the main thread", || names(daemon.router()) == ["router-1", "router-2"]);
    let router = daemon.router();
    daemon.kill_router();
    eventually("another router runs", || daemon.router() != router);
    eventually("it has them, too", || names(daemon.router()).len() == 2);
}

#[test]
fn the_number_of_threads_depends_on_the_processors() {
    let test_dir = TestDir::new();
    let daemon = test_dir.daemon().flag("--router-threads=auto").start();
    let processors = std::thread::available_parallelism().unwrap().get();
    let expected = if processors < 8 { 1 } else { (processors / 4).min(4) };
    eventually("as many run", || names(daemon.router()).len() + 1 == expected);
}

#[test]
fn the_file_sets_the_number_of_threads() {
    for (value, number) in [("2", 2), ("\"2\"", 2), ("1", 1)] {
        let test_dir = TestDir::new();
        let daemon = test_dir.daemon().configured(&format!("router_threads = {value}\n")).start();
        eventually(&format!("{value}: as many run"), || names(daemon.router()).len() + 1 == number);
    }
}

#[test]
fn an_invalid_number_of_threads_is_refused() {
    let test_dir = TestDir::new();
    for value in ["0", "65", "-1", "many", "", "1.5", "99999999999999999999"] {
        let output = test_dir.daemon().flag(&format!("--router-threads={value}")).output();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{value}");
        assert!(said.contains("must be a number from 1 to 64, or \"auto\""), "{value}: {said}");
    }
}

#[test]
fn connections_are_distributed_over_all_threads() {
    let (test_dir, app, daemon) = one_app(Language::Python, |daemon| daemon);
    let mut clients: Vec<_> = (0..6).map(|_| FrameClient::connect(&test_dir.socket())).collect();
    clients.iter_mut().for_each(|client| drop(client.get(app.dir(), Language::Python, "/").text()));
    let before: Vec<u64> = threads(daemon.router()).iter().map(|(_, task)| waits(task)).collect();
    for _ in 0..20 {
        clients.iter_mut().for_each(|client| drop(client.get(app.dir(), Language::Python, "/").text()));
    }
    let after = threads(daemon.router()).into_iter().map(|(_, task)| waits(&task));
    for (before, after) in before.into_iter().zip(after) {
        assert!(after - before >= 20, "{before} to {after}: it has served two of six connections");
    }
}

#[test]
fn requests_of_all_threads_wait_in_one_queue() {
    let (test_dir, app, daemon) = one_app(Language::Ruby, |daemon| daemon.flag("--max-pool-size=1"));
    let mut clients = vec![waiting(&test_dir, &app, Language::Ruby, "0")];
    eventually("the first one is served", || has_arrived(&test_dir, "0"));
    for number in 1..9 {
        clients.push(waiting(&test_dir, &app, Language::Ruby, &number.to_string()));
        let queue = format!("Requests in queue: {number}");
        eventually("it waits", || daemon.status().contains(&queue));
    }
    for (number, client) in clients.iter_mut().enumerate() {
        eventually("its turn has come", || has_arrived(&test_dir, &number.to_string()));
        let others = (number + 1..9).filter(|other| has_arrived(&test_dir, &other.to_string()));
        assert_eq!(others.count(), 0, "they are behind {number}");
        test_dir.open_gate(&number.to_string());
        assert_eq!(client.answer().status, 200);
    }
}

#[test]
fn an_idle_process_serves_requests_of_every_thread() {
    let (test_dir, app, _daemon) = one_app(Language::Python, |daemon| daemon.flag("--max-pool-size=2"));
    let mut busy = waiting(&test_dir, &app, Language::Python, "busy");
    let mut other = waiting(&test_dir, &app, Language::Python, "other");
    eventually("both processes are busy", || {
        has_arrived(&test_dir, "busy") && has_arrived(&test_dir, "other")
    });
    test_dir.open_gate("other");
    let free = other.answer().text();
    let mut clients: Vec<_> = (0..9).map(|_| FrameClient::connect(&test_dir.socket())).collect();
    for _ in 0..5 {
        for client in &mut clients {
            let pid = client.get(app.dir(), Language::Python, "/pid").text();
            assert_eq!(pid.trim(), free.trim(), "the other one is busy");
        }
    }
    test_dir.open_gate("busy");
    assert_eq!(busy.answer().status, 200);
}

#[test]
fn requests_of_all_threads_are_counted_together() {
    let (test_dir, app, daemon) = one_app(Language::Node, |daemon| daemon);
    let clients: Vec<_> = (0..9).map(|_| FrameClient::connect(&test_dir.socket())).collect();
    let dir = app.dir();
    std::thread::scope(|scope| {
        for mut client in clients {
            scope.spawn(move || {
                (0..50).for_each(|_| assert_eq!(client.get(dir, Language::Node, "/").status, 200));
            });
        }
    });
    let shown = |text: &str| text.contains("Processed: 450") && text.contains("Sessions: 0");
    eventually("450 requests are counted", || shown(&daemon.status()));
}

#[test]
fn two_thousand_connections_are_served() {
    let (test_dir, app, daemon) = one_app(Language::Node, |daemon| daemon);
    // Its process takes any number of requests, once it runs.
    let first = FrameClient::connect(&test_dir.socket()).get(app.dir(), Language::Node, "/pid").text();
    let mut clients: Vec<_> = (0..2000).map(|_| FrameClient::connect(&test_dir.socket())).collect();
    for _ in 0..2 {
        // No more at once than the process's socket has room for.
        for some in clients.chunks_mut(200) {
            some.iter_mut().for_each(|client| client.ask(app.dir(), Language::Node, "/pid", None));
            some.iter_mut().for_each(|client| assert_eq!(client.answer().text(), first));
        }
    }
    assert_eq!(daemon.app_pids().len(), 1);
    drop(clients);
    FrameClient::connect(&test_dir.socket()).get(app.dir(), Language::Node, "/").text();
}

#[test]
fn a_router_with_a_hanging_thread_is_replaced() {
    let test_dir = TestDir::new();
    let app = test_dir.app("app").standard(Language::Python);
    let path = test_dir.path("notify");
    let _manager = Manager::at(&path);
    let daemon = test_dir.daemon().flag(THREADS).variable("NOTIFY_SOCKET", path);
    let daemon = daemon.variable("WATCHDOG_USEC", "2000000".into()).start();
    let pid = || FrameClient::connect(&test_dir.socket()).get(app.dir(), Language::Python, "/pid").text();
    let before = pid();
    let router = daemon.router();
    let mut tracer = stop(&threads(router)[1].1);
    daemon.logs_eventually(&format!("the router (PID {router}) has not answered for 1 s, and is killed"));
    eventually("it is gone", || !is_alive(router));
    drop(tracer.stdin.take());
    tracer.wait().unwrap();
    assert_eq!(pid(), before, "the process is the same");
    eventually("the next one has all threads", || names(daemon.router()).len() == 2);
}

#[test]
fn a_daemon_with_several_threads_ends_in_order() {
    let (test_dir, app, mut daemon) = one_app(Language::Ruby, |daemon| daemon);
    let mut clients: Vec<_> =
        (0..3).map(|number| waiting(&test_dir, &app, Language::Ruby, &number.to_string())).collect();
    (0..3).for_each(|number| {
        eventually("the request is served", || has_arrived(&test_dir, &number.to_string()));
    });
    daemon.signal(nix::sys::signal::Signal::SIGTERM);
    daemon.logs_eventually("shutting down: 3 requests in progress");
    (0..3).for_each(|number| test_dir.open_gate(&number.to_string()));
    clients.iter_mut().for_each(|client| assert_eq!(client.answer().status, 200));
    assert!(daemon.await_end().success());
}

/// Stops one thread.
fn stop(task: &std::path::Path) -> Child {
    let id = task.file_name().unwrap();
    let mut python = Command::new("/usr/bin/python3");
    let tracer = python.args(["-c", STOP_THREAD]).arg(id).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut tracer = tracer.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(tracer.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "stopped\n");
    tracer
}
