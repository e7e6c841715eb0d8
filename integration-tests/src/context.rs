//! A test's directory, ports and processes, and the checks when the last user of them is dropped. Must not depend on
//! nginx and the daemon.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::ports::Port;
use crate::{logs, process};

static TEST_DIRS: AtomicU32 = AtomicU32::new(0);

/// The shared state of everything that a test starts. Dropping the last reference runs the checks.
pub(crate) struct TestContext {
    pub(crate) dir: PathBuf,
    mark: String,
    test: String,
    ports: Mutex<Vec<Port>>,
    groups: Mutex<Vec<u32>>,
    logs: Mutex<Vec<PathBuf>>,
    pub(crate) expected: Mutex<Vec<String>>,
}

impl TestContext {
    /// Creates an empty directory; nothing is started.
    pub(crate) fn new() -> Self {
        let number = TEST_DIRS.fetch_add(1, Ordering::Relaxed);
        // Short, because the path of a unix socket has at most 107 bytes.
        let dir = std::env::temp_dir().join(format!("fp.{}.{number}", std::process::id()));
        let _remains_of_an_earlier_process = fs::remove_dir_all(&dir);
        fs::create_dir_all(dir.join("scratch")).expect("cannot create the stage's directory");
        // Apps run as other users, which must be able to enter it and to write to `scratch`.
        fs::set_permissions(&dir, Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(dir.join("scratch"), Permissions::from_mode(0o1777)).unwrap();
        Self {
            mark: format!("FLYING_PASSENGER_TEST_DIR={}", dir.display()),
            test: thread::current().name().unwrap_or("a test").to_owned(),
            dir,
            ports: Mutex::default(),
            groups: Mutex::default(),
            logs: Mutex::default(),
            expected: Mutex::default(),
        }
    }

    pub(crate) fn port(&self) -> u16 {
        let port = Port::pick();
        let number = port.number;
        self.ports.lock().unwrap().push(port);
        number
    }

    pub(crate) fn add_group(&self, leader: u32) {
        self.groups.lock().unwrap().push(leader);
    }

    pub(crate) fn add_log(&self, log: &Path) {
        let mut logs = self.logs.lock().unwrap();
        if !logs.iter().any(|known| known == log) {
            logs.push(log.to_owned());
        }
    }

    /// The environment variable that marks all processes started by this test, and their descendants.
    pub(crate) fn mark(&self) -> (&str, &str) {
        self.mark.split_once('=').expect("a name and a value")
    }

    pub(crate) fn processes(&self) -> Vec<u32> {
        process::started_by(&self.groups.lock().unwrap(), &self.mark, &self.dir)
    }

    fn kill_processes(&self) {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let left = self.processes();
            if left.is_empty() || Instant::now() > deadline {
                return;
            }
            left.into_iter().for_each(process::kill_9);
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The processes that still run some time after everything was stopped.
    fn remaining_processes(&self) -> Vec<String> {
        let deadline = Instant::now() + Duration::from_secs(5);
        loop {
            let left = self.processes();
            if left.is_empty() || Instant::now() > deadline {
                return left.into_iter().map(|pid| format!("{pid} {}", process::title(pid))).collect();
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn report(&self) {
        eprintln!("──── {} failed; everything is kept in {}", self.test, self.dir.display());
        logs::print_tails(&self.logs.lock().unwrap());
    }
}

impl Drop for TestContext {
    fn drop(&mut self) {
        if thread::panicking() {
            self.kill_processes();
            self.report();
            return;
        }
        let left = self.remaining_processes();
        let lines = logs::alarming_lines(&self.logs.lock().unwrap(), &self.expected.lock().unwrap());
        if left.is_empty() && lines.is_empty() {
            let _a_straggling_file_is_no_failure = fs::remove_dir_all(&self.dir);
            return;
        }
        self.kill_processes();
        self.report();
        assert!(left.is_empty(), "processes were left behind: {left:#?}");
        panic!("alarming lines in the logs: {lines:#?}");
    }
}
