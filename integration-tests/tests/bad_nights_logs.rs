//! Bad nights: nothing can be logged. Requests are served, and status and tools report the reason.

use std::fs;

use nix::sys::signal::Signal;
use stage::{Language, Scene, SmallDisk, eventually, is_root, skipped};

/// A daemon that logs to a file in a separate directory.
fn logging() -> Scene {
    let stage = stage::Stage::new();
    fs::create_dir(stage.path("logs")).unwrap();
    let app = stage.app("app").standard(Language::Ruby);
    let daemon = stage.daemon().flag(&format!("--log-file={}/logs/own.log", stage.dir().display())).start();
    let nginx = stage.nginx(&stage::ONE_APP.replace("%%APP%%", "")).start();
    Scene { nginx, daemon, app, stage }
}

#[test]
fn a_log_directory_that_is_gone_stops_nobody_and_is_told() {
    let scene = logging();
    let pid = scene.app_pid();
    let (logs, elsewhere) = (scene.stage.path("logs"), scene.stage.path("elsewhere"));
    fs::rename(&logs, &elsewhere).unwrap();
    let sentence = format!(
        "the log file {}/own.log cannot be reopened, and the log continues in the old one: No such file or directory",
        logs.display()
    );
    let old = || fs::read_to_string(elsewhere.join("own.log")).unwrap();

    let told = scene.daemon.tool("passenger-config", &["reopen-logs"]);
    assert_eq!(told.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&told.stderr).contains(&sentence), "{told:?}");
    eventually("the old log has it", || old().contains(&sentence));
    assert!(
        scene.daemon.status().contains(&format!("Trouble       : {sentence}")),
        "{}",
        scene.daemon.status()
    );
    scene.daemon.signal(Signal::SIGUSR1);
    eventually("the signal is answered, too", || old().matches(&sentence).count() == 2);
    assert_eq!(scene.app_pid(), pid);

    // The next router knows as well.
    scene.daemon.kill_router();
    eventually("another router is there", || scene.daemon.tool("passenger-status", &[]).status.success());
    assert!(scene.daemon.status().contains("Trouble       : the log file"), "{}", scene.daemon.status());

    fs::create_dir(&logs).unwrap();
    let told = scene.daemon.tool("passenger-config", &["reopen-logs"]);
    assert!(told.status.success(), "{told:?}");
    scene.daemon.logs_eventually("the log is now");
    assert!(!scene.daemon.status().contains("Trouble"), "{}", scene.daemon.status());
    assert_eq!(scene.app_pid(), pid);
}

#[test]
fn a_log_that_is_deleted_comes_back() {
    let scene = logging();
    scene.app_pid();
    fs::remove_dir_all(scene.stage.path("logs")).unwrap();
    scene.app_pid();
    fs::create_dir(scene.stage.path("logs")).unwrap();
    scene.daemon.signal(Signal::SIGUSR1);
    scene.daemon.logs_eventually("the log is now");
}

#[test]
fn a_full_disk_under_the_log_stops_nobody_and_the_status_tells() {
    if !is_root() {
        return skipped(
            "a_full_disk_under_the_log_stops_nobody_and_the_status_tells",
            "only root can mount a small disk",
        );
    }
    let disk = SmallDisk::mount("log");
    let log = disk.path().join("daemon.log");
    let scene =
        Scene::with(Language::Ruby, "", |daemon| daemon.flag(&format!("--log-file={}", log.display())));
    let pid = scene.app_pid();
    disk.fill();
    let length = || fs::metadata(&log).unwrap().len();
    let full = length();
    for _ in 0..50 {
        assert_eq!(scene.app_pid(), pid);
    }
    let restart = || {
        let root = scene.app.dir().display().to_string();
        assert!(scene.daemon.tool("passenger-config", &["restart-app", &root]).status.success());
    };
    // What the last block of the file has room for is still logged.
    eventually("the status tells", || {
        restart();
        assert_ne!(scene.app_pid(), pid, "apps start and stop while nothing can be logged");
        let status = scene.daemon.status();
        let line = status.lines().find(|line| line.starts_with("Trouble       : ")).unwrap_or_default();
        line.contains(" could not be written to the log: No space left on device (os error 28)")
    });
    assert!(length() <= full.next_multiple_of(4096), "the disk was full");
    disk.free();
    restart();
    scene.app_pid();
    scene.daemon.logs_eventually(" could not be written to the log: No space left on device");
    assert!(!scene.daemon.status().contains("Trouble"), "{}", scene.daemon.status());
}
