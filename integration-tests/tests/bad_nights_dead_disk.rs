//! Bad nights: the file system of one app hangs. Its starts fail with the reason; other apps are not affected.

use nix::sys::signal::Signal;
use stage::{DeadDisk, Neighbours, eventually, is_root, skipped};

/// Whether this test can have one; tells why not.
fn can_have_a_dead_disk(test: &str) -> bool {
    let can = is_root() && DeadDisk::can_be();
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

fn scene(lines: &str) -> Neighbours {
    Neighbours::new(lines, |daemon| daemon.flag("--stat-throttle-rate=0"), |app| app.python(PYTHON))
}

#[test]
fn a_dead_disk_under_restart_files_holds_nobody_up() {
    if !can_have_a_dead_disk("a_dead_disk_under_restart_files_holds_nobody_up") {
        return;
    }
    let scene = scene("passenger_restart_dir %%STAGE%%/far;");
    let far = scene.stage.path("far");
    std::fs::create_dir(&far).unwrap();
    let disk = DeadDisk::mount_over(&far);
    let mut visitor = scene.ask("/bad/");
    scene.good_one_restarts();
    let pid = visitor.read_response().expect(200).text().to_owned();
    let told = format!("{} does not answer: the file system hangs", far.display());
    scene.daemon.logs_eventually(&told);
    eventually("the status tells", || scene.daemon.status().contains(&format!("Trouble       : {told}")));
    assert_eq!(scene.nginx.get("/bad/").expect(200).text(), pid, "it is not looked at again and again");
    assert_eq!(scene.daemon.log().matches(&told).count(), 1);

    disk.come_back();
    scene.daemon.logs_eventually(&format!("{} answers again", far.display()));
    eventually("the status tells no more", || !scene.daemon.status().contains("Trouble"));
    std::fs::write(far.join("restart.txt"), "").unwrap();
    eventually("its files restart it", || scene.nginx.get("/bad/").expect(200).text() != pid);
}

#[test]
fn an_app_on_a_dead_disk_says_so_and_starts_when_the_disk_is_back() {
    if !can_have_a_dead_disk("an_app_on_a_dead_disk_says_so_and_starts_when_the_disk_is_back") {
        return;
    }
    let scene = scene(
        "passenger_app_root %%STAGE%%/code; passenger_app_type wsgi; passenger_startup_file passenger_wsgi.py;",
    );
    let code = scene.stage.app("code").python(PYTHON);
    let disk = DeadDisk::mount_over(code.dir());
    let mut visitor = scene.ask("/bad/");
    scene.good_one_restarts();
    visitor.read_response().expect(500);
    let told =
        format!("could not be started: {}, or the lookup of its user, does not answer", code.dir().display());
    scene.daemon.logs_eventually(&told);
    scene.good_one_restarts();
    disk.come_back();
    eventually("it starts", || scene.nginx.get("/bad/").status() == 200);
}

#[test]
fn a_dead_disk_holds_up_neither_an_upgrade_nor_the_end() {
    if !can_have_a_dead_disk("a_dead_disk_holds_up_neither_an_upgrade_nor_the_end") {
        return;
    }
    let mut scene = scene("passenger_restart_dir %%STAGE%%/far;");
    let far = scene.stage.path("far");
    std::fs::create_dir(&far).unwrap();
    let _disk = DeadDisk::mount_over(&far);
    let pid = scene.nginx.get("/bad/").expect(200).text().to_owned();
    scene.daemon.signal(Signal::SIGUSR2);
    scene.daemon.logs_eventually("takes over from");
    assert_eq!(scene.nginx.get("/bad/").expect(200).text(), pid);
    scene.good_one_restarts();
    assert!(scene.daemon.stop().success());
}
