//! Hooks for events of the daemon: before and after its start, before and after its shutdown.

use std::fs;

use stage::{DaemonBuilder, Language, ONE_APP, Scene, Stage, eventually};

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
fn programs_run_at_each_turn_of_the_daemons_life() {
    let stage = Stage::new();
    let mut daemon =
        NAMES.into_iter().fold(stage.daemon(), |daemon, name| hook(daemon, name, &["life.sh"])).start();
    daemon.logs_eventually("hook after_watchdog_initialization: ");
    assert!(!daemon.log().contains("hook before_watchdog_shutdown: "), "it lives");
    assert!(daemon.stop().success());
    let log = daemon.log();
    let turns = [
        "hook before_watchdog_initialization: ",
        "up and listening",
        "hook after_watchdog_initialization: ",
        "received SIGTERM",
        "hook before_watchdog_shutdown: ",
        "shutting down: requests and processes have 60 seconds to end",
        "hook after_watchdog_shutdown: ",
        "the daemon has ended",
    ];
    let places = turns.map(|text| place(&log, text));
    assert!(places.is_sorted(), "{places:?}\n{log}");
    let (socket, registry) = (stage.socket(), stage.path("registry"));
    let facts = format!(": socket={} registry={} app=[]", socket.display(), registry.display());
    assert_eq!(log.matches(&facts).count(), 4, "{log}");
}

fn refused(daemon: DaemonBuilder) -> String {
    let output = daemon.output();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_program_that_fails_keeps_the_daemon_from_starting() {
    let stage = Stage::new();
    let pid_file = stage.path("daemon.pid");
    let daemon = hook(stage.daemon(), "before_watchdog_initialization", &["fail.sh", "life.sh"]);
    let daemon = hook(daemon, "after_watchdog_shutdown", &["life.sh"]);
    let told = refused(daemon.flag(&format!("--pid-file={}", pid_file.display())));
    assert!(told.contains("the daemon cannot start: the program /"), "{told}");
    assert!(
        told.contains("fail.sh of the hook before_watchdog_initialization exited with status 3"),
        "{told}"
    );
    for not in ["hook before_watchdog_initialization:", "hook after_watchdog_shutdown:", "up and listening"] {
        assert!(!told.contains(not), "{told}");
    }
    let left = fs::read_dir(stage.path("registry")).unwrap().count();
    assert!(!stage.socket().exists() && !pid_file.exists() && left == 0, "nothing is left");
}

#[test]
fn in_the_background_the_caller_is_told_what_a_program_said_no_to() {
    let stage = Stage::new();
    let log = stage.path("background.log");
    let daemon = hook(stage.daemon(), "before_watchdog_initialization", &["fail.sh"]);
    let told = refused(daemon.flag("--daemonize").flag(&format!("--log-file={}", log.display())));
    assert!(told.starts_with("flying-passenger: the daemon cannot start: the program /"), "{told}");
    assert!(fs::read_to_string(log).unwrap().contains("exited with status 3"));
}

#[test]
fn a_daemon_that_is_told_to_end_before_it_is_up_ends() {
    let stage = Stage::new();
    let daemon = hook(stage.daemon(), "before_watchdog_initialization", &["again.sh"]);
    let output = hook(daemon, "after_watchdog_shutdown", &["life.sh"]).output();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && !told.contains("up and listening"), "{told}");
    assert!(!told.contains("hook after_watchdog_shutdown:"), "nothing has been begun: {told}");
    assert!(!stage.socket().exists());
}

/// A daemon with an app whose end waits for a gate.
fn parting() -> Scene {
    let stage = Stage::new();
    let app = stage.app("app").standard(Language::Ruby);
    let daemon = stage.daemon().variable("GATE", stage.scratch("part.go"));
    let daemon = hook(daemon, "before_watchdog_shutdown", &["gate.sh"]).start();
    let nginx = stage.nginx(&ONE_APP.replace("%%APP%%", "")).start();
    Scene { nginx, daemon, app, stage }
}

#[test]
fn requests_are_served_until_the_program_before_the_end_has_ended() {
    let mut scene = parting();
    let pid = scene.app_pid();
    scene.daemon.signal(nix::sys::signal::Signal::SIGTERM);
    scene.daemon.logs_eventually("hook before_watchdog_shutdown waits");
    assert_eq!(scene.app_pid(), pid);
    scene.daemon.kill_router();
    assert_eq!(scene.app_pid(), pid, "a router that dies meanwhile is replaced");
    scene.stage.expect_log_line(&scene.stage.socket().display().to_string());
    scene.stage.open_gate("part");
    assert!(scene.daemon.await_end().success());
}

#[test]
fn asking_twice_waits_for_no_program() {
    let stage = Stage::new();
    let daemon = hook(stage.daemon(), "before_watchdog_shutdown", &["again.sh"]);
    let mut daemon = hook(daemon, "after_watchdog_shutdown", &["life.sh"]).start();
    let status = daemon.stop();
    assert_eq!(status.code(), Some(1), "it tells that the end was cut short");
    assert!(!daemon.log().contains("hook after_watchdog_shutdown:"), "{}", daemon.log());
}

#[test]
fn a_hook_that_is_added_while_the_daemon_runs_counts() {
    let scene = Scene::with(Language::Ruby, "", |daemon| daemon.configured("[hooks]\n"));
    let pid = scene.app_pid();
    let file = scene.stage.path("daemon.toml");
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/hooks/tell.sh");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{text}detached_process = {program:?}\n")).unwrap();
    scene.daemon.signal(nix::sys::signal::Signal::SIGHUP);
    scene.daemon.logs_eventually("reading the configuration again");
    eventually("the program is run for a process that goes", || {
        let pid = scene.daemon.app_pids().into_iter().next().unwrap_or(pid);
        scene.daemon.tool("passenger-config", &["detach-process", &pid.to_string()]);
        scene.app_pid();
        scene.daemon.log().contains("hook detached_process: ")
    });
}
