//! A daemon under runit: the shipped service directory with paths of the test, and its own `runsv`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::sync::Arc;

use crate::context::TestContext;
use crate::logs;
use crate::paths::{binary, workspace};
use crate::wait::{eventually, eventually_some};

/// A service, supervised until it is dropped.
pub struct Runit {
    test_dir: Arc<TestContext>,
    service: PathBuf,
    runsv: Child,
}

impl Runit {
    /// Starts the service, whose daemon reads the file `config`, and waits until it runs.
    pub(crate) fn start(test_dir: &Arc<TestContext>, config: &Path) -> Self {
        let service = test_dir.dir.join("sv");
        fs::create_dir_all(service.join("log")).unwrap();
        let logs = test_dir.dir.join("svlog");
        for name in ["run", "check", "log/run"] {
            let text = fs::read_to_string(workspace().join("packaging/runit").join(name)).unwrap();
            let text = text
                .replace("/usr/sbin/flying-passenger", &binary("flying-passenger").display().to_string())
                .replace("/etc/flying-passenger/flying-passenger.toml", &config.display().to_string())
                .replace("/var/log/flying-passenger", &logs.display().to_string())
                .replace("exec passenger-config", &format!("exec {}", binary("passenger-config").display()));
            fs::write(service.join(name), text).unwrap();
            let mode = Command::new("chmod").arg("755").arg(service.join(name)).status();
            assert!(mode.is_ok_and(|status| status.success()));
        }
        test_dir.add_log(&logs.join("current"));
        let (name, value) = test_dir.mark();
        let runsv = Command::new("runsv").arg(&service).env(name, value).spawn();
        let runsv = runsv.expect("runsv cannot be started: install runit");
        let runit = Self { test_dir: Arc::clone(test_dir), service, runsv };
        eventually("the service is supervised", || runit.sv(&["status"]).status.success());
        runit.wait_until_up();
        runit
    }

    /// Runs `sv` with these arguments and the service.
    pub fn sv(&self, words: &[&str]) -> Output {
        let registry = self.test_dir.dir.join("registry");
        let mut command = Command::new("sv");
        command.args(words).arg(&self.service).env("PASSENGER_INSTANCE_REGISTRY_DIR", registry);
        command.output().expect("sv cannot be run")
    }

    /// The PID of the running daemon.
    pub fn daemon(&self) -> Option<u32> {
        fs::read_to_string(self.service.join("supervise/pid")).ok()?.trim().parse().ok()
    }

    /// Waits until a daemon with another PID runs and answers.
    pub fn another_daemon(&self, before: u32) -> u32 {
        let other = || self.daemon().filter(|pid| *pid != before);
        let pid = eventually_some("runit has started another daemon", other);
        self.wait_until_up();
        pid
    }

    /// Asserts that `sv start` reports a running service.
    fn wait_until_up(&self) {
        let up = self.sv(&["-w", "30", "start"]);
        assert!(up.status.success(), "{up:?}");
    }

    /// What svlogd has written.
    pub fn log(&self) -> String {
        logs::read(&self.test_dir.dir.join("svlog/current"))
    }

    /// PID of the supervisor of services.
    pub fn runsv(&self) -> u32 {
        self.runsv.id()
    }
}

impl Drop for Runit {
    fn drop(&mut self) {
        let _ended_already = self.sv(&["-w", "60", "force-shutdown"]);
        let mut ended = || self.runsv.try_wait().is_ok_and(|status| status.is_some());
        if std::thread::panicking() {
            let _ = ended();
            return;
        }
        eventually("runsv has ended", ended);
    }
}
