//! Private daemon for one app and one request. It has its own directory and socket, and ends when its owner ends,
//! even if the owner is killed.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid};

use super::app::TestedApp;
use super::events::Event;
use super::log_line::LogLine;
use super::process_tree::children;
use crate::client::Client;
use crate::temp_dir::TempDir;
use common::instance;
use common::sys::process;

/// The daemon's shutdown timeout, in seconds.
const SHUTDOWN_SECONDS: u64 = 5;
/// Time for requests to finish.
const GRACE_PERIOD: Duration = Duration::from_secs(1);
/// Maximum time for the daemon to kill the remaining processes.
const KILL_TIMEOUT: Duration = Duration::from_secs(2 * SHUTDOWN_SECONDS);

/// The daemon; dropping this ends it and removes its directory.
#[derive(Debug)]
pub(super) struct PrivateDaemon {
    child: Child,
    dir: TempDir,
}

impl PrivateDaemon {
    /// Starts `program`; its log lines become events. Must be called from the thread that lives longest.
    pub(super) fn start(
        program: &Path,
        app: &TestedApp,
        loaders: Option<&Path>,
        events: Sender<Event>,
    ) -> Result<Self, String> {
        let dir = TempDir::new("fpd")?;
        // Apps may create their own sockets in it.
        dir.allow_traversal()?;
        let registry = dir.join("r");
        fs::create_dir(&registry)
            .and_then(|()| fs::set_permissions(&registry, fs::Permissions::from_mode(0o755)))
            .map_err(|err| format!("cannot create {}: {err}", registry.display()))?;
        let mut command = Command::new(program);
        command
            .args(flags(&dir, app, loaders))
            .env_clear()
            .envs(app.variables.iter().map(|(name, value)| (name, value)))
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // Ctrl-C goes to the doctor only, which then shuts the daemon down.
            .process_group(0);
        process::end_with_this_thread(&mut command);
        // An app may move to the background, and outlive the daemon.
        process::adopt_orphans().map_err(|err| format!("cannot become a subreaper: {err}"))?;
        let mut child = command.spawn().map_err(|err| format!("cannot run {}: {err}", program.display()))?;
        if let Some(log) = child.stderr.take() {
            thread::spawn(move || read_log(log, &events));
        }
        Ok(Self { child, dir })
    }

    /// Returns the socket that accepts requests as from nginx.
    pub(super) fn socket(&self) -> PathBuf {
        self.dir.join("s")
    }

    /// Returns a client of its admin socket.
    pub(super) fn client(&self) -> Option<Client> {
        instance::list(&self.dir.join("r")).ok()?.first().map(Client::new)
    }

    pub(super) fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// Whether the daemon has exited.
    pub(super) fn has_exited(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    fn exits_within(&mut self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        while !self.has_exited() {
            if Instant::now() > deadline {
                return false;
            }
            thread::sleep(Duration::from_millis(10));
        }
        true
    }

    fn shut_down(&mut self) {
        if self.has_exited() {
            return;
        }
        // The process has not been reaped, so its PID is not reused.
        let pid = Pid::from_raw(self.pid());
        let _already_exited = kill(pid, Signal::SIGTERM);
        if !self.exits_within(GRACE_PERIOD) {
            // A request hangs; the second signal makes the daemon kill the remaining processes.
            let _already_exited = kill(pid, Signal::SIGTERM);
            if !self.exits_within(KILL_TIMEOUT) {
                // Its child processes notice that the owner pipe is closed.
                let _already_exited = self.child.kill();
                let _already_reaped = self.child.wait();
            }
        }
    }
}

fn flags(dir: &TempDir, app: &TestedApp, loaders: Option<&Path>) -> Vec<String> {
    let path = |flag: &str, path: &Path| format!("--{flag}={}", path.display());
    let users = &app.users;
    let mut flags = vec![
        path("socket-file", &dir.join("s")),
        "--socket-mode=0600".to_owned(),
        path("instance-registry-dir", &dir.join("r")),
        "--max-pool-size=1".to_owned(),
        // The steps of successful starts are logged at this level.
        "--log-level=info".to_owned(),
        "--log-format=json".to_owned(),
        format!("--shutdown-timeout={SHUTDOWN_SECONDS}"),
        format!("--default-user={}", users.default_user),
        // A refusal by the running daemon is reported before the start; only root can reach this one.
        "--allow-app-users=*".to_owned(),
        "--allow-app-groups=*".to_owned(),
    ];
    flags.extend(users.default_group.as_ref().map(|group| format!("--default-group={group}")));
    flags.extend((!users.switching).then(|| "--no-user-switching".to_owned()));
    flags.extend(loaders.map(|dir| path("loaders-dir", dir)));
    flags
}

/// Always reads to the end: a daemon whose log is not read would block.
fn read_log(log: ChildStderr, events: &Sender<Event>) {
    for line in BufReader::new(log).split(b'\n').map_while(Result::ok) {
        // The receiver no longer exists after the diagnosis.
        let _ = events.send(Event::Line(LogLine::parse(&line)));
    }
    let _ = events.send(Event::LogEnded);
}

impl Drop for PrivateDaemon {
    fn drop(&mut self) {
        self.shut_down();
        kill_orphans();
    }
}

/// Kills what the app moved to the background. The processes are children of this one, so their PIDs are not reused.
fn kill_orphans() {
    let deadline = Instant::now() + KILL_TIMEOUT;
    loop {
        while let Ok(Some(ended)) = process::ended_child() {
            let _already_reaped = process::reap(ended);
        }
        let orphans = children(getpid().as_raw());
        if orphans.is_empty() || Instant::now() > deadline {
            return;
        }
        for pid in orphans {
            let _already_exited = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        thread::sleep(Duration::from_millis(5));
    }
}
