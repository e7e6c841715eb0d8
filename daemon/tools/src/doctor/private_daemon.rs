//! Private daemon for one app and one request. It has its own directory and a private socket, and ends with its owner,
//! even if that is killed.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::app::TestedApp;
use super::events::Event;
use super::process_tree::children;
use crate::Client;
use crate::scratch::Scratch;
use common::instance;
use common::sys::process;

/// The daemon's shutdown timeout, in seconds.
const SHUTDOWN_SECONDS: u64 = 5;
/// Time for requests to finish.
const GENTLE: Duration = Duration::from_secs(1);
/// Maximum time for the daemon to kill the remaining processes.
const PATIENCE: Duration = Duration::from_secs(2 * SHUTDOWN_SECONDS);

/// The daemon; dropping this ends it and removes its directory.
#[derive(Debug)]
pub(super) struct PrivateDaemon {
    child: Child,
    scratch: Scratch,
}

impl PrivateDaemon {
    /// Starts `program`; its log lines become events. Must be called from the thread that lives longest.
    ///
    /// # Errors
    ///
    /// Returns a message for the administrator.
    pub(super) fn start(
        program: &Path,
        app: &TestedApp,
        loaders: Option<&Path>,
        events: Sender<Event>,
    ) -> Result<Self, String> {
        let scratch = Scratch::new("fpd")?;
        // Apps may create their own sockets in it.
        scratch.let_others_pass()?;
        let registry = scratch.join("r");
        fs::create_dir(&registry)
            .and_then(|()| fs::set_permissions(&registry, fs::Permissions::from_mode(0o755)))
            .map_err(|why| format!("{} cannot be made: {why}", registry.display()))?;
        let mut command = Command::new(program);
        command
            .args(flags(&scratch, app, loaders))
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
        process::adopt_orphans().map_err(|why| format!("orphans cannot be adopted: {why}"))?;
        let mut child =
            command.spawn().map_err(|why| format!("{} cannot be run: {why}", program.display()))?;
        if let Some(log) = child.stderr.take() {
            thread::spawn(move || pass_on(log, &events));
        }
        Ok(Self { child, scratch })
    }

    /// Returns the socket that accepts requests as from nginx.
    pub(super) fn socket(&self) -> PathBuf {
        self.scratch.join("s")
    }

    /// Returns a client of its admin socket.
    pub(super) fn client(&self) -> Option<Client> {
        instance::list(&self.scratch.join("r")).ok()?.first().map(Client::new)
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns the exit status if the daemon ended by itself.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    fn ends_within(&mut self, span: Duration) -> bool {
        let until = Instant::now() + span;
        while self.ended().is_none() {
            if Instant::now() > until {
                return false;
            }
            thread::sleep(Duration::from_millis(10));
        }
        true
    }
}

fn flags(scratch: &Scratch, app: &TestedApp, loaders: Option<&Path>) -> Vec<String> {
    let path = |flag: &str, path: &Path| format!("--{flag}={}", path.display());
    let users = &app.users;
    let mut flags = vec![
        path("socket-file", &scratch.join("s")),
        "--socket-mode=0600".to_owned(),
        path("instance-registry-dir", &scratch.join("r")),
        "--max-pool-size=1".to_owned(),
        // The steps of successful starts are logged at this level.
        "--log-level=info".to_owned(),
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
fn pass_on(log: ChildStderr, events: &Sender<Event>) {
    for line in BufReader::new(log).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line).into_owned();
        // The receiver is gone after the diagnosis.
        let _ = events.send(Event::Line(line));
    }
    let _ = events.send(Event::LogEnded);
}

impl Drop for PrivateDaemon {
    fn drop(&mut self) {
        self.end();
        end_orphans();
    }
}

impl PrivateDaemon {
    fn end(&mut self) {
        if self.ended().is_some() {
            return;
        }
        // The process has not been reaped, so its PID is not reused.
        let pid = i32::try_from(self.child.id()).map(Pid::from_raw);
        let ask_to_end = || {
            let _gone_already = pid.map(|pid| kill(pid, Signal::SIGTERM));
        };
        ask_to_end();
        if !self.ends_within(GENTLE) {
            // A request hangs; the second signal makes the daemon kill the remaining processes.
            ask_to_end();
            if !self.ends_within(PATIENCE) {
                // Its child processes notice that the owner pipe is closed.
                let _gone_already = self.child.kill();
                let _nothing_to_tell = self.child.wait();
            }
        }
    }
}

/// Kills what the app moved to the background: the processes are our children now, so their PIDs are not reused.
fn end_orphans() {
    let until = Instant::now() + PATIENCE;
    loop {
        while let Ok(Some(ended)) = process::ended_child() {
            let _gone_already = process::reap(ended);
        }
        let orphans = children(std::process::id());
        if orphans.is_empty() || Instant::now() > until {
            return;
        }
        for pid in orphans.into_iter().filter_map(|pid| i32::try_from(pid).ok()) {
            let _gone_already = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        thread::sleep(Duration::from_millis(5));
    }
}
