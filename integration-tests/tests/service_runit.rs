//! The daemon under runit, with the shipped service directory.

use std::path::PathBuf;

use test_support::{
    Language, Nginx, ONE_APP_CONF, Runit, TestDir, eventually, is_alive, kill_9, require_debian_package,
};

/// An app behind an nginx, and a daemon that runit looks after.
struct Supervised {
    nginx: Nginx,
    runit: Runit,
    test_dir: TestDir,
}

impl Supervised {
    fn new() -> Self {
        require_debian_package("runit", "/usr/bin/runsv");
        let test_dir = TestDir::new();
        test_dir.app("app").standard(Language::Python);
        // As in the packaged file.
        let lines = "log_format = \"journald\"\napp_output = \"journald\"\n";
        let runit = test_dir.runit(&test_dir.daemon().configured(lines).file());
        let nginx = test_dir.nginx(&ONE_APP_CONF.replace("%%APP%%", "")).start();
        Self { nginx, runit, test_dir }
    }

    #[track_caller]
    fn pid(&self) -> u32 {
        self.nginx.get("/pid").expect(200).text().parse().unwrap()
    }

    /// What runs besides nginx and runit.
    fn ours(&self) -> Vec<PathBuf> {
        let runit = [vec![self.runit.runsv()], test_support::descendants(self.runit.runsv())].concat();
        let nginx = [vec![self.nginx.master()], self.nginx.workers()].concat();
        let programs = |pid: u32| std::fs::read_link(format!("/proc/{pid}/exe")).ok();
        let logging = |program: &PathBuf| program.ends_with("svlogd") || program.ends_with("runsv");
        let all = self.test_dir.processes().into_iter().chain(runit).filter(|pid| !nginx.contains(pid));
        all.filter_map(programs).filter(|program| !logging(program)).collect()
    }
}

#[test]
fn a_service_is_started_restarted_and_stopped_with_all_its_apps() {
    let setup = Supervised::new();
    let (daemon, pid) = (setup.runit.daemon().unwrap(), setup.pid());
    let status = String::from_utf8(setup.runit.sv(&["status"]).stdout).unwrap();
    assert!(status.starts_with("run: ") && status.contains(&format!("(pid {daemon})")), "{status}");
    assert!(setup.runit.log().contains("up and listening"), "svlogd has the log: {}", setup.runit.log());
    assert!(setup.runit.log().lines().all(|line| line.starts_with("[ ")), "each line has its time");

    assert!(setup.runit.sv(&["reload"]).status.success());
    eventually("the configuration is read again", || {
        setup.runit.log().contains("received SIGHUP: reading the configuration again")
    });
    assert_eq!((setup.runit.daemon(), setup.pid()), (Some(daemon), pid));

    assert!(setup.runit.sv(&["2"]).status.success());
    eventually("another program has taken over", || setup.runit.log().contains("takes over from"));
    assert_eq!((setup.runit.daemon(), setup.pid()), (Some(daemon), pid));

    let restarted = setup.runit.sv(&["-w", "60", "restart"]);
    assert!(restarted.status.success(), "{restarted:?}");
    let other = setup.runit.another_daemon(daemon);
    assert!(!is_alive(pid), "the app has ended with its daemon");
    let next = setup.pid();
    assert_ne!(next, pid);

    let stopped = setup.runit.sv(&["-w", "60", "stop"]);
    assert!(stopped.status.success(), "{stopped:?}");
    assert!(!is_alive(other) && !is_alive(next));
    assert!(!setup.test_dir.socket().exists(), "its socket is gone");
    assert_eq!(setup.ours(), Vec::<PathBuf>::new(), "nothing is left behind");
    assert!(setup.runit.log().contains("the daemon has ended"));

    assert!(setup.runit.sv(&["-w", "60", "start"]).status.success());
    setup.pid();
}

#[test]
fn a_killed_daemon_is_started_again_by_runit() {
    let setup = Supervised::new();
    let (daemon, pid) = (setup.runit.daemon().unwrap(), setup.pid());
    kill_9(daemon);
    setup.runit.another_daemon(daemon);
    eventually("its app has ended", || !is_alive(pid));
    assert_ne!(setup.pid(), pid);
}
