//! Failures: the file system of one app hangs. Its starts fail with the reason; other apps are not affected.

use nix::sys::signal::Signal;
use test_support::{DeadDisk, TwoApps, eventually, is_root, skipped};

/// Whether this test can have one; reports why not.
fn can_have_a_dead_disk(test: &str) -> bool {
    let can = is_root() && DeadDisk::is_supported();
    if !can {
        skipped(test, "only root can mount a dead disk, where there is /dev/fuse");
    }
    can
}

const PYTHON: &str = "import os
def application(environ, start_response):
    start_response('200 OK', [])
    return [str(os.getpid()).encode()]
";

fn setup(lines: &str) -> TwoApps {
    TwoApps::new(lines, |daemon| daemon.flag("--stat-throttle-rate=0"), |app| app.python(PYTHON))
}

#[test]
fn a_dead_disk_under_restart_files_blocks_no_request() {
    if !can_have_a_dead_disk("a_dead_disk_under_restart_files_blocks_no_request") {
        return;
    }
    let setup = setup("passenger_restart_dir %%DIR%%/far;");
    let far = setup.test_dir.path("far");
    std::fs::create_dir(&far).unwrap();
    let disk = DeadDisk::mount_over(&far);
    let mut visitor = setup.ask("/bad/");
    setup.good_app_restarts();
    let pid = visitor.read_response().expect(200).text().to_owned();
    let reported = format!("{} does not answer: the file system hangs", far.display());
    setup.daemon.logs_eventually(&reported);
    eventually("the status shows the problem", || {
        setup.daemon.status().contains(&format!("Problem       : {reported}"))
    });
    assert_eq!(setup.nginx.get("/bad/").expect(200).text(), pid, "it is not checked again and again");
    assert_eq!(setup.daemon.log().matches(&reported).count(), 1);

    disk.restore();
    setup.daemon.logs_eventually(&format!("{} answers again", far.display()));
    eventually("the status no longer shows the problem", || !setup.daemon.status().contains("Problem"));
    std::fs::write(far.join("restart.txt"), "").unwrap();
    eventually("its files restart it", || setup.nginx.get("/bad/").expect(200).text() != pid);
}

#[test]
fn an_app_on_a_dead_disk_is_reported_and_starts_later() {
    if !can_have_a_dead_disk("an_app_on_a_dead_disk_is_reported_and_starts_later") {
        return;
    }
    let setup = setup(
        "passenger_app_root %%DIR%%/code; passenger_app_type wsgi; passenger_startup_file passenger_wsgi.py;",
    );
    let code = setup.test_dir.app("code").python(PYTHON);
    let disk = DeadDisk::mount_over(code.dir());
    let mut visitor = setup.ask("/bad/");
    setup.good_app_restarts();
    visitor.read_response().expect(500);
    let reported =
        format!("could not be started: {}, or the lookup of its user, does not answer", code.dir().display());
    setup.daemon.logs_eventually(&reported);
    setup.good_app_restarts();
    disk.restore();
    eventually("it starts", || setup.nginx.get("/bad/").status() == 200);
}

#[test]
fn a_dead_disk_delays_neither_upgrade_nor_shutdown() {
    if !can_have_a_dead_disk("a_dead_disk_delays_neither_upgrade_nor_shutdown") {
        return;
    }
    let mut setup = setup("passenger_restart_dir %%DIR%%/far;");
    let far = setup.test_dir.path("far");
    std::fs::create_dir(&far).unwrap();
    let _disk = DeadDisk::mount_over(&far);
    let pid = setup.nginx.get("/bad/").expect(200).text().to_owned();
    setup.daemon.signal(Signal::SIGUSR2);
    setup.daemon.logs_eventually("takes over from");
    assert_eq!(setup.nginx.get("/bad/").expect(200).text(), pid);
    setup.good_app_restarts();
    assert!(setup.daemon.stop().success());
}
