//! A child program of a tool, which logs JSON lines to standard error. It ends when its owner ends, even if the owner is
//! killed.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid};

use super::log_line::LogLine;
use super::process_tree::children;
use common::sys::process;

/// The program's shutdown timeout, in seconds.
pub(crate) const SHUTDOWN_SECONDS: u64 = 5;
/// Time for requests to finish.
const GRACE_PERIOD: Duration = Duration::from_secs(1);
/// Maximum time for the program to kill its remaining processes.
const KILL_TIMEOUT: Duration = Duration::from_secs(2 * SHUTDOWN_SECONDS);

/// The program; dropping this ends it.
#[derive(Debug)]
pub(crate) struct PrivateProcess {
    child: Child,
}

/// What a program's log consists of.
#[derive(Debug)]
pub(crate) enum Logged {
    /// A line.
    Line(LogLine),
    /// The program has closed its log, or exited.
    Ended,
}

impl PrivateProcess {
    /// Starts the program of `command`; `receive` is called with its log, in another thread. Must be called from the
    /// thread that lives longest.
    pub(crate) fn start(
        command: &mut Command,
        receive: impl FnMut(Logged) + Send + 'static,
    ) -> Result<Self, String> {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // Ctrl-C goes to the owner only, which then shuts the program down.
            .process_group(0);
        process::end_with_this_thread(command);
        // An app may move to the background, and outlive the daemon.
        process::adopt_orphans().map_err(|err| format!("cannot become a subreaper: {err}"))?;
        let program = PathBuf::from(command.get_program());
        let mut child = command.spawn().map_err(|err| format!("cannot run {}: {err}", program.display()))?;
        if let Some(log) = child.stderr.take() {
            thread::spawn(move || read_log(log, receive));
        }
        Ok(Self { child })
    }

    pub(crate) fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// Whether the program has exited.
    pub(crate) fn has_exited(&mut self) -> bool {
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

/// Always reads to the end: a program whose log is not read would block.
fn read_log(log: ChildStderr, mut receive: impl FnMut(Logged)) {
    for line in BufReader::new(log).split(b'\n').map_while(Result::ok) {
        receive(Logged::Line(LogLine::parse(&line)));
    }
    receive(Logged::Ended);
}

impl Drop for PrivateProcess {
    fn drop(&mut self) {
        self.shut_down();
    }
}

/// Kills what an app moved to the background, after its daemon has exited. The processes are children of this one, so
/// their PIDs are not reused.
pub(crate) fn kill_orphans() {
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
