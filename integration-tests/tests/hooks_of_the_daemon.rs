//! Hooks for events of the daemon: before and after its start, before and after its shutdown.

use std::fs;

use test_support::{DaemonBuilder, Language, ONE_APP_CONF, OneApp, TestDir, eventually};

use crate::hooks::hook;

const NAMES: [&str; 4] = [
    "before_watchdog_initialization",
    "after_watchdog_initialization",
    "before_watchdog_shutdown",
    "after_watchdog_shutdown",
];

/// Where a line of the log with this text begins.
#[track_caller]
fn place(log: &str, text: &str) -> usize {
    log.find(text).unwrap_or_else(|| panic!("no {text:?} in\n{log}"))
}

#[test]
fn hooks_run_at_each_step_of_the_daemons_life() {
    let test_dir = TestDir::new();
    let mut daemon =
        NAMES.into_iter().fold(test_dir.daemon(), |daemon, name| hook(daemon, name, &["life.sh"])).start();
    daemon.logs_eventually("hook after_watchdog_initialization: ");
    assert!(!daemon.log().contains("hook before_watchdog_shutdown: "), "it lives");
    assert!(daemon.stop().success());
    let log = daemon.log();
    let in_order = |texts: &[&str]| {
        let places: Vec<_> = texts.iter().map(|text| place(&log, text)).collect();
        assert!(places.is_sorted(), "{texts:?} are at {places:?}\n{log}");
    };
    // Programs write into the log themselves, and the daemon's own lines may come a moment later.
    let before_init = "hook before_watchdog_initialization: ";
    let before_shutdown = "hook before_watchdog_shutdown: ";
    in_order(&[
        "up and listening",
        "received SIGTERM",
        "shutting down: requests and processes",
        "the daemon has ended",
    ]);
    in_order(&[
        before_init,
        "hook after_watchdog_initialization: ",
        before_shutdown,
        "hook after_watchdog_shutdown: ",
    ]);
    in_order(&[before_init, "up and listening"]);
    in_order(&[before_shutdown, "shutting down: requests and processes"]);
    let (socket, registry) = (test_dir.socket(), test_dir.path("registry"));
    let facts = format!(": socket={} registry={} app=[]", socket.display(), registry.display());
    assert_eq!(log.matches(&facts).count(), 4, "{log}");
}

fn refused(daemon: DaemonBuilder) -> String {
    let output = daemon.output();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_failed_hook_prevents_the_start() {
    let test_dir = TestDir::new();
    let pid_file = test_dir.path("daemon.pid");
    let daemon = hook(test_dir.daemon(), "before_watchdog_initialization", &["fail.sh", "life.sh"]);
    let daemon = hook(daemon, "after_watchdog_shutdown", &["life.sh"]);
    let reported = refused(daemon.flag(&format!("--pid-file={}", pid_file.display())));
    assert!(reported.contains("the daemon cannot start: the program /"), "{reported}");
    assert!(
        reported.contains("fail.sh of the hook before_watchdog_initialization exited with status 3"),
        "{reported}"
    );
    for not in ["hook before_watchdog_initialization:", "hook after_watchdog_shutdown:", "up and listening"] {
        assert!(!reported.contains(not), "{reported}");
    }
    let left = fs::read_dir(test_dir.path("registry")).unwrap().count();
    assert!(!test_dir.socket().exists() && !pid_file.exists() && left == 0, "nothing is left");
}

#[test]
fn a_failed_hook_is_reported_to_the_caller_in_the_background() {
    let test_dir = TestDir::new();
    let log = test_dir.path("background.log");
    let daemon = hook(test_dir.daemon(), "before_watchdog_initialization", &["fail.sh"]);
    let reported = refused(daemon.flag("--daemonize").flag(&format!("--log-file={}", log.display())));
    assert!(reported.starts_with("flying-passenger: the daemon cannot start: the program /"), "{reported}");
    assert!(fs::read_to_string(log).unwrap().contains("exited with status 3"));
}

#[test]
fn a_daemon_can_be_stopped_while_it_starts() {
    let test_dir = TestDir::new();
    let daemon = hook(test_dir.daemon(), "before_watchdog_initialization", &["again.sh"]);
    let output = hook(daemon, "after_watchdog_shutdown", &["life.sh"]).output();
    let reported = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && !reported.contains("up and listening"), "{reported}");
    assert!(!reported.contains("hook after_watchdog_shutdown:"), "nothing has been begun: {reported}");
    assert!(!test_dir.socket().exists());
}

/// A daemon with an app whose end waits for a gate.
fn parting() -> OneApp {
    let test_dir = TestDir::new();
    let app = test_dir.app("app").standard(Language::Ruby);
    let daemon = test_dir.daemon().variable("GATE", test_dir.scratch("part.go"));
    let daemon = hook(daemon, "before_watchdog_shutdown", &["gate.sh"]).start();
    let nginx = test_dir.nginx(&ONE_APP_CONF.replace("%%APP%%", "")).start();
    OneApp { nginx, daemon, app, test_dir }
}

#[test]
fn requests_are_served_until_the_program_before_the_end_has_ended() {
    let mut setup = parting();
    let pid = setup.app_pid();
    setup.daemon.signal(nix::sys::signal::Signal::SIGTERM);
    setup.daemon.logs_eventually("hook before_watchdog_shutdown waits");
    assert_eq!(setup.app_pid(), pid);
    setup.daemon.kill_router();
    assert_eq!(setup.app_pid(), pid, "a router that dies meanwhile is replaced");
    setup.test_dir.expect_log_line(&setup.test_dir.socket().display().to_string());
    setup.test_dir.open_gate("part");
    assert!(setup.daemon.await_end().success());
}

#[test]
fn a_second_stop_signal_waits_for_no_hook() {
    let test_dir = TestDir::new();
    let daemon = hook(test_dir.daemon(), "before_watchdog_shutdown", &["again.sh"]);
    let mut daemon = hook(daemon, "after_watchdog_shutdown", &["life.sh"]).start();
    let status = daemon.stop();
    assert_eq!(status.code(), Some(1), "its exit status reports the interrupted shutdown");
    assert!(!daemon.log().contains("hook after_watchdog_shutdown:"), "{}", daemon.log());
}

#[test]
fn a_hook_added_by_a_reload_applies() {
    let setup = OneApp::with(Language::Ruby, "", |daemon| daemon.configured("[hooks]\n"));
    let pid = setup.app_pid();
    let file = setup.test_dir.path("daemon.toml");
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/hooks/tell.sh");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{text}detached_process = {program:?}\n")).unwrap();
    setup.daemon.signal(nix::sys::signal::Signal::SIGHUP);
    setup.daemon.logs_eventually("reading the configuration again");
    eventually("the program is run for a process that goes", || {
        let pid = setup.daemon.app_pids().into_iter().next().unwrap_or(pid);
        setup.daemon.tool("passenger-config", &["detach-process", &pid.to_string()]);
        setup.app_pid();
        setup.daemon.log().contains("hook detached_process: ")
    });
}
