//! The daemon under runit, with the shipped service directory.

use std::path::PathBuf;

use stage::{Language, Nginx, ONE_APP, Runit, Stage, eventually, is_alive, kill_9, require_debian_package};

/// An app behind an nginx, and a daemon that runit looks after.
struct Supervised {
    nginx: Nginx,
    runit: Runit,
    stage: Stage,
}

impl Supervised {
    fn new() -> Self {
        require_debian_package("runit", "/usr/bin/runsv");
        let stage = Stage::new();
        stage.app("app").standard(Language::Python);
        let runit = stage.runit(&stage.daemon().configured("").file());
        let nginx = stage.nginx(&ONE_APP.replace("%%APP%%", "")).start();
        Self { nginx, runit, stage }
    }

    #[track_caller]
    fn pid(&self) -> u32 {
        self.nginx.get("/pid").expect(200).text().parse().unwrap()
    }

    /// What runs besides nginx and runit.
    fn ours(&self) -> Vec<PathBuf> {
        let runit = [vec![self.runit.runsv()], stage::descendants(self.runit.runsv())].concat();
        let nginx = [vec![self.nginx.master()], self.nginx.workers()].concat();
        let programs = |pid: u32| std::fs::read_link(format!("/proc/{pid}/exe")).ok();
        let logging = |program: &PathBuf| program.ends_with("svlogd") || program.ends_with("runsv");
        let all = self.stage.processes().into_iter().chain(runit).filter(|pid| !nginx.contains(pid));
        all.filter_map(programs).filter(|program| !logging(program)).collect()
    }
}

#[test]
fn a_service_is_started_restarted_and_stopped_with_all_its_apps() {
    let scene = Supervised::new();
    let (daemon, pid) = (scene.runit.daemon().unwrap(), scene.pid());
    let status = String::from_utf8(scene.runit.sv(&["status"]).stdout).unwrap();
    assert!(status.starts_with("run: ") && status.contains(&format!("(pid {daemon})")), "{status}");
    assert!(scene.runit.log().contains("up and listening"), "svlogd has the log: {}", scene.runit.log());

    assert!(scene.runit.sv(&["reload"]).status.success());
    eventually("the configuration is read again", || {
        scene.runit.log().contains("received SIGHUP: reading the configuration again")
    });
    assert_eq!((scene.runit.daemon(), scene.pid()), (Some(daemon), pid));

    assert!(scene.runit.sv(&["2"]).status.success());
    eventually("another program has taken over", || scene.runit.log().contains("takes over from"));
    assert_eq!((scene.runit.daemon(), scene.pid()), (Some(daemon), pid));

    let restarted = scene.runit.sv(&["-w", "60", "restart"]);
    assert!(restarted.status.success(), "{restarted:?}");
    let other = scene.runit.another_daemon(daemon);
    assert!(!is_alive(pid), "the app has ended with its daemon");
    let next = scene.pid();
    assert_ne!(next, pid);

    let stopped = scene.runit.sv(&["-w", "60", "stop"]);
    assert!(stopped.status.success(), "{stopped:?}");
    assert!(!is_alive(other) && !is_alive(next));
    assert!(!scene.stage.socket().exists(), "its socket is gone");
    assert_eq!(scene.ours(), Vec::<PathBuf>::new(), "nothing is left behind");
    assert!(scene.runit.log().contains("the daemon has ended"));

    assert!(scene.runit.sv(&["-w", "60", "start"]).status.success());
    scene.pid();
}

#[test]
fn a_killed_daemon_is_started_again_by_runit() {
    let scene = Supervised::new();
    let (daemon, pid) = (scene.runit.daemon().unwrap(), scene.pid());
    kill_9(daemon);
    scene.runit.another_daemon(daemon);
    eventually("its app has ended", || !is_alive(pid));
    assert_ne!(scene.pid(), pid);
}
