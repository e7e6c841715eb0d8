//! A test's own directory, ports and processes, and what is checked when it ends.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::app::App;
use crate::chromium::Chromium;
use crate::daemon::DaemonBuilder;
use crate::logs;
use crate::nginx::Nginx;
use crate::ports::Port;
use crate::process;
use crate::runit::Runit;

static STAGES: AtomicU32 = AtomicU32::new(0);

/// Where a test plays. Removed when the test has passed, kept and its logs printed when it failed.
pub struct Stage {
    inner: Arc<Inner>,
}

/// What nginx, the daemon and apps of one test share. The last of them to go runs the checks.
pub(crate) struct Inner {
    pub(crate) dir: PathBuf,
    mark: String,
    test: String,
    ports: Mutex<Vec<Port>>,
    groups: Mutex<Vec<u32>>,
    logs: Mutex<Vec<PathBuf>>,
    expected: Mutex<Vec<String>>,
}

impl Stage {
    /// An empty stage.
    #[allow(clippy::new_without_default, reason = "it creates a directory")]
    pub fn new() -> Self {
        let number = STAGES.fetch_add(1, Ordering::Relaxed);
        // Short, as a unix socket's path may have 107 bytes only.
        let dir = std::env::temp_dir().join(format!("fp.{}.{number}", std::process::id()));
        let _left_by_an_earlier_process = fs::remove_dir_all(&dir);
        fs::create_dir_all(dir.join("scratch")).expect("cannot create the stage's directory");
        // Apps run as other users: they have to get in, and may write into `scratch`.
        fs::set_permissions(&dir, Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(dir.join("scratch"), Permissions::from_mode(0o1777)).unwrap();
        let inner = Inner {
            mark: format!("FLYING_PASSENGER_STAGE={}", dir.display()),
            test: thread::current().name().unwrap_or("a test").to_owned(),
            dir,
            ports: Mutex::default(),
            groups: Mutex::default(),
            logs: Mutex::default(),
            expected: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The stage's directory.
    pub fn dir(&self) -> &Path {
        &self.inner.dir
    }

    /// A path on the stage.
    pub fn path(&self, name: &str) -> PathBuf {
        self.inner.dir.join(name)
    }

    /// The daemon's socket.
    pub fn socket(&self) -> PathBuf {
        self.path("fly.sock")
    }

    /// A free TCP port, ours until the stage falls.
    pub fn port(&self) -> u16 {
        self.inner.port()
    }

    /// An app's directory, to be filled.
    pub fn app(&self, name: &str) -> App {
        App::new(&self.inner, name)
    }

    /// A daemon, to be given flags and started.
    pub fn daemon(&self) -> DaemonBuilder {
        DaemonBuilder::new(&self.inner)
    }

    /// A daemon under runit, which reads this file.
    pub fn runit(&self, config: &Path) -> Runit {
        Runit::start(&self.inner, config)
    }

    /// An nginx with this whole configuration, in which `%%GLOBALS%%`, `%%HTTP%%`, `%%PORT%%`, `%%SOCKET%%`,
    /// `%%STAGE%%` and `%%MODULE%%` are filled in. To be started.
    pub fn nginx(&self, conf: &str) -> Nginx {
        Nginx::new(&self.inner, conf)
    }

    /// A browser without a screen, for pages that live.
    pub fn chromium(&self) -> Chromium {
        Chromium::start(&self.inner)
    }

    /// Declares that an alarming log line with this text belongs to the test.
    pub fn expect_log_line(&self, text: &str) {
        self.inner.expected.lock().unwrap().push(text.to_owned());
    }

    /// A file through which a test and its app give each other signs.
    pub fn scratch(&self, name: &str) -> PathBuf {
        self.path("scratch").join(name)
    }

    /// Lets an app go on that waits at the gate `name`.
    pub fn open_gate(&self, name: &str) {
        fs::write(self.scratch(&format!("{name}.go")), "go").unwrap();
    }

    /// Every process started below this stage that is alive.
    pub fn processes(&self) -> Vec<u32> {
        self.inner.processes()
    }
}

impl Inner {
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

    /// The variable that marks what was started below this stage, through all generations.
    pub(crate) fn mark(&self) -> (&str, &str) {
        self.mark.split_once('=').expect("a name and a value")
    }

    pub(crate) fn processes(&self) -> Vec<u32> {
        process::below(&self.groups.lock().unwrap(), &self.mark, &self.dir)
    }

    fn end_everything(&self) {
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

    /// The processes that are still there some time after everything was told to stop.
    fn left_behind(&self) -> Vec<String> {
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

impl Drop for Inner {
    fn drop(&mut self) {
        if thread::panicking() {
            self.end_everything();
            self.report();
            return;
        }
        let left = self.left_behind();
        let lines = logs::alarming_lines(&self.logs.lock().unwrap(), &self.expected.lock().unwrap());
        if left.is_empty() && lines.is_empty() {
            let _a_straggling_file_is_no_failure = fs::remove_dir_all(&self.dir);
            return;
        }
        self.end_everything();
        self.report();
        assert!(left.is_empty(), "processes were left behind: {left:#?}");
        panic!("alarming lines in the logs: {lines:#?}");
    }
}

/// True when the tests run as root, so that users can be switched.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Says loudly that a test is not run here, past the test runner's capture of what is printed.
pub fn skipped(test: &str, why: &str) {
    let _no_terminal_is_no_failure = writeln!(std::io::stderr(), "SKIPPED: {test}: {why}");
}
