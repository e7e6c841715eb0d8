//! A daemon under test, started in its own directory and controlled through its scripted router.

use std::cell::Cell;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use common::link::{Notice, Order, ProcessId, ProcessRecord, SpawnSpec, StopHow, Ticket};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use protocol::app_settings::ProcessSettings;
use protocol::request::AppKind;

use crate::scripted_router::{Ask, Reported};

/// Longer than any step takes on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(20);

pub(crate) struct Daemon {
    child: Child,
    dir: PathBuf,
    router: Option<Router>,
    tickets: Cell<u64>,
}

/// The connection to the current router, and its reports that no test has asked for yet.
struct Router {
    stream: UnixStream,
    lines: BufReader<UnixStream>,
    reports: Vec<Reported>,
}

impl Daemon {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts a daemon. `extra` options come last, so they override.
    pub(crate) fn start_with(extra: &[&str]) -> Self {
        Self::start_as(extra, None)
    }

    /// Starts a daemon with a library preloaded before the C library.
    pub(crate) fn start_preloading(library: &Path) -> Self {
        Self::start_as(&[], Some(library))
    }

    fn start_as(extra: &[&str], library: Option<&Path>) -> Self {
        let dir = new_dir();
        let log = fs::File::create(dir.join("log")).unwrap();
        fs::create_dir(dir.join("registry")).unwrap();
        let child = Command::new(std::env::current_exe().unwrap())
            .arg("supervisor")
            .arg(format!("--socket-file={}", dir.join("socket").display()))
            .arg(format!("--instance-registry-dir={}", dir.join("registry").display()))
            .arg(format!("--loaders-dir={}", dir.display()))
            .args(["--log-level=7", "--shutdown-timeout=10", "--router-user=uucp"])
            .args(extra)
            .envs(library.map(|library| ("LD_PRELOAD", library)))
            .env("FROM_THE_DAEMON", "kept")
            .env("NOTIFY_SOCKET", "/run/nobody")
            .env("RACK_BASE_URI", "/daemons")
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut daemon = Self { child, dir, router: None, tickets: Cell::new(0) };
        daemon.connect();
        daemon
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap()
    }

    /// Waits until the log contains this text: another process writes it.
    #[track_caller]
    pub(crate) fn logs(&self, text: &str) {
        eventually(&format!("the log contains: {text}"), || self.log().contains(text).then_some(()));
    }

    /// Connects to the current router, which may not be started yet.
    pub(crate) fn connect(&mut self) {
        let socket = self.dir.join("socket");
        let stream = eventually("a router that listens", || UnixStream::connect(&socket).ok());
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        let lines = BufReader::new(stream.try_clone().unwrap());
        self.router = Some(Router { stream, lines, reports: Vec::new() });
    }

    pub(crate) fn ask(&mut self, ask: &Ask) {
        let mut line = serde_json::to_vec(ask).unwrap();
        line.push(b'\n');
        self.router.as_mut().unwrap().stream.write_all(&line).unwrap();
    }

    pub(crate) fn order(&mut self, order: Order) {
        self.ask(&Ask::Order(Box::new(order)));
    }

    /// Returns the first report that `pick` accepts; others stay queued.
    pub(crate) fn reported<T>(&mut self, pick: impl Fn(&Reported) -> Option<T>) -> T {
        let router = self.router.as_mut().unwrap();
        if let Some(at) = router.reports.iter().position(|report| pick(report).is_some()) {
            return pick(&router.reports.remove(at)).unwrap();
        }
        loop {
            let mut line = String::new();
            let got = router.lines.read_line(&mut line);
            assert!(matches!(got, Ok(1..)), "the router reports no more; it reported {:?}", router.reports);
            let report: Reported = serde_json::from_str(&line).unwrap();
            match pick(&report) {
                Some(picked) => return picked,
                None => router.reports.push(report),
            }
        }
    }

    pub(crate) fn notice<T>(&mut self, pick: impl Fn(&Notice) -> Option<T>) -> T {
        self.reported(|report| match report {
            Reported::Notice(notice, _) => pick(notice),
            _ => None,
        })
    }

    /// Starts an app, or returns why it is not started.
    pub(crate) fn try_spawn(&mut self, spec: SpawnSpec) -> Result<ProcessRecord, String> {
        let ticket = self.ticket();
        self.order(Order::Spawn { ticket, spec: Box::new(spec) });
        self.started(ticket)
    }

    /// Has a preloader fork a process, or returns why it does not.
    pub(crate) fn try_fork(&mut self, preloader: ProcessId, within_ms: u64) -> Result<ProcessRecord, String> {
        let ticket = self.ticket();
        self.order(Order::Fork { ticket, preloader, within_ms, handover_data: b"fork".to_vec() });
        self.started(ticket)
    }

    fn ticket(&self) -> Ticket {
        self.tickets.set(self.tickets.get() + 1);
        Ticket(self.tickets.get())
    }

    fn started(&mut self, wanted: Ticket) -> Result<ProcessRecord, String> {
        self.notice(|notice| match notice {
            Notice::Started { ticket, record } if *ticket == wanted => Some(Ok(record.clone())),
            Notice::NotStarted { ticket, reason } if *ticket == wanted => Some(Err(reason.clone())),
            _ => None,
        })
    }

    pub(crate) fn spawn(&mut self, spec: SpawnSpec) -> ProcessRecord {
        self.try_spawn(spec).unwrap()
    }

    /// Starts an app and waits for the end of its report.
    pub(crate) fn spawn_reported(&mut self, spec: SpawnSpec) -> (ProcessRecord, String) {
        let record = self.spawn(spec);
        let report = self.report(record.process);
        (record, report)
    }

    /// Returns a process's report, without what it says of the native support, which need not be built.
    pub(crate) fn report(&mut self, wanted: ProcessId) -> String {
        let text = self.reported(|report| match report {
            Reported::Report(process, text) if *process == wanted => Some(text.clone()),
            _ => None,
        });
        text.split_inclusive('\n').filter(|line| !line.starts_with("native ")).collect()
    }

    pub(crate) fn stop(&mut self, process: ProcessId, how: StopHow) {
        self.order(Order::Stop(process, how));
    }

    pub(crate) fn exited(&mut self, wanted: ProcessId) -> String {
        self.notice(|notice| match notice {
            Notice::Exited { process, how } if *process == wanted => Some(how.clone()),
            _ => None,
        })
    }

    /// Returns the next line that the process prints.
    pub(crate) fn output(&mut self, wanted: ProcessId) -> String {
        self.reported(|report| match report {
            Reported::Output(process, line) if *process == wanted => Some(line.clone()),
            _ => None,
        })
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).unwrap();
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        eventually("the daemon's end", || self.child.try_wait().unwrap())
    }

    pub(crate) fn router_pid(&self) -> i32 {
        let children = format!("/proc/{0}/task/{0}/children", self.pid());
        let is_router = |pid: &i32| process_name(*pid).is_some_and(|name| name == "flying-router");
        eventually("a router", || {
            let pids = fs::read_to_string(&children).unwrap();
            pids.split_whitespace().map(|pid| pid.parse().unwrap()).find(is_router)
        })
    }

    /// Creates a directory for an app that everybody can enter.
    pub(crate) fn app(&self, name: &str) -> PathBuf {
        let root = self.dir.join(name);
        fs::create_dir(&root).unwrap();
        fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).unwrap();
        root
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- log of the daemon in {}\n{}---", self.dir.display(), self.log());
        }
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

fn new_dir() -> PathBuf {
    static LAST: AtomicU32 = AtomicU32::new(0);
    let number = LAST.fetch_add(1, Ordering::Relaxed);
    let dir = PathBuf::from(format!("/tmp/fp-supervisor-{}-{number}", std::process::id()));
    fs::create_dir(&dir).unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

/// Returns an app that is only a shell command.
pub(crate) fn generic(root: &Path, command: &str) -> SpawnSpec {
    SpawnSpec { start_command: command.into(), ..spec(AppKind::Generic, root) }
}

/// Returns an app whose "interpreter" is the shell, so that its "loader" in the test's directory is a shell script.
pub(crate) fn with_loader(daemon: &Daemon, root: &Path, script: &str) -> SpawnSpec {
    let loaders = daemon.dir().join("ruby");
    fs::create_dir_all(&loaders).unwrap();
    fs::write(loaders.join("rack-loader.rb"), script).unwrap();
    fs::write(root.join("config.ru"), "").unwrap();
    SpawnSpec { interpreter: "/bin/sh".into(), ..spec(AppKind::Ruby, root) }
}

/// Returns the app with `passenger_user`.
pub(crate) fn as_user<'a>(user: impl Into<Option<&'a str>>, mut spec: SpawnSpec) -> SpawnSpec {
    spec.settings.user = user.into().map(str::to_owned);
    spec
}

pub(crate) fn spec(kind: AppKind, root: &Path) -> SpawnSpec {
    SpawnSpec {
        group: "test (production)".into(),
        kind,
        root: root.into(),
        startup_file: "config.ru".into(),
        start_command: String::new(),
        found: String::new(),
        interpreter: String::new(),
        base_uri: String::new(),
        server_software: "nginx/1.22.1".into(),
        threads: 1,
        preloader: false,
        settings: ProcessSettings { load_shell_envvars: false, ..ProcessSettings::default() },
        handover_data: b"data".to_vec(),
    }
}

/// Waits with patience until `look` returns something.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + TIMEOUT;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn is_alive(pid: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    !status.is_empty() && !status.contains("State:\tZ")
}

pub(crate) fn until_gone(pid: i32) {
    eventually("a process's end", || (!is_alive(pid)).then_some(()));
}

pub(crate) fn process_name(pid: i32) -> Option<String> {
    Some(fs::read_to_string(format!("/proc/{pid}/comm")).ok()?.trim().to_owned())
}

/// Waits for the program: a report may end, and a line be printed, just before the shell becomes it.
pub(crate) fn until_runs(pid: i32, name: &str) {
    eventually(name, || (process_name(pid)? == name).then_some(()));
}

/// Returns a field of `/proc/PID/status`, split into words.
pub(crate) fn status(pid: i32, field: &str) -> Vec<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(&format!("{field}:"))).unwrap();
    line.split_whitespace().map(str::to_owned).collect()
}

pub(crate) fn give(path: &Path, uid: u32, gid: u32) {
    chown(path, Some(uid), Some(gid)).unwrap();
}
