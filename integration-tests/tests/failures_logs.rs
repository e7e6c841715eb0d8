//! Failures: nothing can be logged. Requests are served, and status and tools report the reason.

use std::fs;

use nix::sys::signal::Signal;
use test_support::{Language, OneApp, SmallDisk, eventually, is_root, skipped};

/// A daemon that logs to a file in a separate directory.
fn logging() -> OneApp {
    let test_dir = test_support::TestDir::new();
    fs::create_dir(test_dir.path("logs")).unwrap();
    let app = test_dir.app("app").standard(Language::Ruby);
    let daemon =
        test_dir.daemon().flag(&format!("--log-file={}/logs/own.log", test_dir.dir().display())).start();
    let nginx = test_dir.nginx(&test_support::ONE_APP_CONF.replace("%%APP%%", "")).start();
    OneApp { nginx, daemon, app, test_dir }
}

#[test]
fn a_missing_log_directory_is_reported_and_stops_nothing() {
    let setup = logging();
    let pid = setup.app_pid();
    let (logs, elsewhere) = (setup.test_dir.path("logs"), setup.test_dir.path("elsewhere"));
    fs::rename(&logs, &elsewhere).unwrap();
    let sentence = format!(
        "the log file {}/own.log cannot be reopened, and the log continues in the old one: No such file or directory",
        logs.display()
    );
    let old = || fs::read_to_string(elsewhere.join("own.log")).unwrap();

    let reported = setup.daemon.tool("passenger-config", &["reopen-logs"]);
    assert_eq!(reported.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&reported.stderr).contains(&sentence), "{reported:?}");
    eventually("the old log has it", || old().contains(&sentence));
    assert!(
        setup.daemon.status().contains(&format!("Problem       : {sentence}")),
        "{}",
        setup.daemon.status()
    );
    setup.daemon.signal(Signal::SIGUSR1);
    eventually("the signal is answered, too", || old().matches(&sentence).count() == 2);
    assert_eq!(setup.app_pid(), pid);

    // The next router knows as well.
    setup.daemon.kill_router();
    eventually("another router is there", || setup.daemon.tool("passenger-status", &[]).status.success());
    assert!(setup.daemon.status().contains("Problem       : the log file"), "{}", setup.daemon.status());

    fs::create_dir(&logs).unwrap();
    let reported = setup.daemon.tool("passenger-config", &["reopen-logs"]);
    assert!(reported.status.success(), "{reported:?}");
    setup.daemon.logs_eventually("the log is now");
    assert!(!setup.daemon.status().contains("Problem"), "{}", setup.daemon.status());
    assert_eq!(setup.app_pid(), pid);
}

#[test]
fn a_deleted_log_is_created_again() {
    let setup = logging();
    setup.app_pid();
    fs::remove_dir_all(setup.test_dir.path("logs")).unwrap();
    setup.app_pid();
    fs::create_dir(setup.test_dir.path("logs")).unwrap();
    setup.daemon.signal(Signal::SIGUSR1);
    setup.daemon.logs_eventually("the log is now");
}

#[test]
fn a_full_log_disk_stops_nothing_and_is_in_the_status() {
    if !is_root() {
        return skipped(
            "a_full_log_disk_stops_nothing_and_is_in_the_status",
            "only root can mount a small disk",
        );
    }
    let disk = SmallDisk::mount("log");
    let log = disk.path().join("daemon.log");
    let setup =
        OneApp::with(Language::Ruby, "", |daemon| daemon.flag(&format!("--log-file={}", log.display())));
    let pid = setup.app_pid();
    disk.fill();
    let length = || fs::metadata(&log).unwrap().len();
    let full = length();
    for _ in 0..50 {
        assert_eq!(setup.app_pid(), pid);
    }
    let restart = || {
        let root = setup.app.dir().display().to_string();
        assert!(setup.daemon.tool("passenger-config", &["restart-app", &root]).status.success());
    };
    // What the last block of the file has room for is still logged.
    eventually("the status shows the problem", || {
        restart();
        assert_ne!(setup.app_pid(), pid, "apps start and stop while nothing can be logged");
        let status = setup.daemon.status();
        let line = status.lines().find(|line| line.starts_with("Problem       : ")).unwrap_or_default();
        line.contains(" could not be written to the log: No space left on device (os error 28)")
    });
    assert!(length() <= full.next_multiple_of(4096), "the disk was full");
    disk.free();
    restart();
    setup.app_pid();
    setup.daemon.logs_eventually(" could not be written to the log: No space left on device");
    assert!(!setup.daemon.status().contains("Problem"), "{}", setup.daemon.status());
}
