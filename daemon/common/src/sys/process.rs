//! Child processes: forked, then held and reaped by pidfd, so that no signal reaches an unrelated process.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Instant;

use nix::errno::Errno;
use nix::libc;
use nix::poll::{self, PollFd, PollFlags, PollTimeout};
use nix::sys::prctl;
use nix::sys::signal::{self, Signal};
use nix::sys::wait::{self, Id, WaitPidFlag, WaitStatus};
use nix::unistd::{self, ForkResult, Pid};

use super::signals;

/// A child that this process has not reaped yet: as long as this value lives, no other process has its PID.
#[derive(Debug)]
pub struct Child {
    pid: Pid,
    pidfd: OwnedFd,
}

/// The two sides of a fork.
#[derive(Debug)]
pub enum Forked {
    /// The calling process, with its new child.
    Parent(Child),
    /// The child.
    Child,
}

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It exited by itself, with this status.
    Status(i32),
    /// It was killed by a signal.
    Signal {
        /// The signal.
        signal: Signal,
        /// Whether a core dump was written.
        core: bool,
    },
    /// The kernel no longer has the status.
    Unknown,
}

/// The rest of a sentence: `exited with status 1`, `was killed by signal 9 (SIGKILL)`.
impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "exited with status {status}"),
            Self::Signal { signal, core } => {
                let dumped = if *core { "; core dumped" } else { "" };
                write!(f, "was killed by signal {} ({}){dumped}", *signal as i32, signal.as_str())
            }
            Self::Unknown => f.write_str("ended with an unknown status"),
        }
    }
}

/// Forks this process, which must have only one thread: in a copy of a threaded one, locks may stay locked forever.
pub fn fork() -> io::Result<Forked> {
    if std::fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::Error::other("a process with several threads cannot be forked"));
    }
    // SAFETY: there is one thread, as just counted, and only this thread could start another: so the child may use
    // everything, allocation included.
    match unsafe { unistd::fork() }? {
        ForkResult::Child => Ok(Forked::Child),
        ForkResult::Parent { child } => hold(child).map(Forked::Parent),
    }
}

/// Runs `run` in a child, which then exits; its status says whether `run` failed.
pub fn run_in_child(run: impl FnOnce() -> io::Result<()>) -> io::Result<Child> {
    match fork()? {
        Forked::Parent(child) => Ok(child),
        Forked::Child => exit_now(i32::from(run().is_err())),
    }
}

/// Opens the pidfd of a child that has just been forked; kills the child if that fails, as it could not be watched.
fn hold(pid: Pid) -> io::Result<Child> {
    open_pidfd(pid).or_else(|why| {
        signal::kill(pid, Signal::SIGKILL)?;
        wait::waitpid(pid, None)?;
        Err(why)
    })
}

/// `pid` must be a child of this process that was not reaped.
fn open_pidfd(pid: Pid) -> io::Result<Child> {
    // SAFETY: pidfd_open takes two numbers and touches no memory.
    let raw = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) };
    match RawFd::try_from(raw) {
        Ok(raw) if raw >= 0 => {
            // SAFETY: the kernel has just made this descriptor for us. pidfds are close-on-exec from the start.
            let pidfd = unsafe { OwnedFd::from_raw_fd(raw) };
            Ok(Child { pid, pidfd })
        }
        _ => Err(io::Error::last_os_error()),
    }
}

/// Makes orphans among this process's descendants its children, instead of those of PID 1.
pub fn adopt_orphans() -> io::Result<()> {
    Ok(prctl::set_child_subreaper(true)?)
}

impl Child {
    /// Takes an orphan that has become a child of this process; `NotFound` if it is not a child, even if another
    /// process has that PID. It may have ended, as long as it was not reaped.
    pub fn adopt(pid: Pid) -> io::Result<Self> {
        if pid.as_raw() <= 0 {
            return Err(io::ErrorKind::NotFound.into());
        }
        let peek = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        match wait::waitid(Id::Pid(pid), peek) {
            // Only this thread reaps it, so no other process gets the PID.
            Ok(_) => open_pidfd(pid),
            Err(Errno::ECHILD) => Err(io::ErrorKind::NotFound.into()),
            Err(why) => Err(why.into()),
        }
    }

    /// Returns its process ID.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Sends a signal to the process only.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        // SAFETY: a null siginfo is allowed (as for kill); the call touches no other memory.
        let sent = unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                self.pidfd.as_raw_fd(),
                signal as libc::c_int,
                std::ptr::null::<libc::siginfo_t>(),
                0,
            )
        };
        if sent == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Sends a signal to every process of its group. The child must lead one.
    ///
    /// The group's ID is the child's PID, which stays in use until the child is reaped.
    pub fn signal_group(&self, signal: Signal) -> io::Result<()> {
        match signal::killpg(self.pid, signal) {
            // The child has not created its group yet.
            Err(Errno::ESRCH) => self.signal(signal),
            sent => Ok(sent?),
        }
    }

    /// Reaps the child if it has ended, and returns how.
    pub fn try_reap(&self) -> io::Result<Option<End>> {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG;
        match wait::waitid(Id::PIDFd(self.pidfd.as_fd()), flags) {
            Ok(WaitStatus::StillAlive) => Ok(None),
            Ok(WaitStatus::Exited(_, status)) => Ok(Some(End::Status(status))),
            Ok(WaitStatus::Signaled(_, signal, core)) => Ok(Some(End::Signal { signal, core })),
            Ok(_) | Err(Errno::ECHILD) => Ok(Some(End::Unknown)),
            Err(err) => Err(err.into()),
        }
    }

    /// Waits until `until` for the end of the child, and reaps it.
    pub fn reap_until(&self, until: Instant) {
        let left = PollTimeout::try_from(until.saturating_duration_since(Instant::now()));
        let mut fds = [PollFd::new(self.as_fd(), PollFlags::POLLIN)];
        // Whether it has ended or not, nothing else is to be done.
        let _ = poll::poll(&mut fds, left.unwrap_or(PollTimeout::ZERO));
        let _ = self.try_reap();
    }

    /// Sets its limits of open files.
    pub fn limit_open_files(&self, soft: u64, hard: u64) -> io::Result<()> {
        let limit = libc::rlimit { rlim_cur: soft, rlim_max: hard };
        // SAFETY: `limit` outlives the call, which only reads it; a null pointer asks for no old limit. The child was
        // not reaped, so the PID is its own.
        let set = unsafe {
            libc::prlimit(self.pid.as_raw(), libc::RLIMIT_NOFILE, &raw const limit, std::ptr::null_mut())
        };
        if set == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

/// Readable when the child has ended.
impl AsFd for Child {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

/// Returns a child that has ended and was not reaped: the first one, so others are hidden until it is reaped.
pub fn ended_child() -> io::Result<Option<Pid>> {
    let peek = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    match wait::waitid(Id::All, peek) {
        Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => Ok(None),
        Ok(status) => Ok(status.pid()),
        Err(err) => Err(err.into()),
    }
}

/// Reaps an ended child for which there is no [`Child`].
pub fn reap(pid: Pid) -> io::Result<()> {
    wait::waitpid(pid, Some(WaitPidFlag::WNOHANG))?;
    Ok(())
}

/// Makes the started process receive SIGTERM when the thread that starts it ends, however it ends. No signal is blocked or
/// ignored in it, as some are in a program that reads them as events.
pub fn end_with_this_thread(command: &mut Command) {
    let set_signal = || {
        signals::reset()?;
        Ok(prctl::set_pdeathsig(Signal::SIGTERM)?)
    };
    // SAFETY: between fork and exec, only signal, sigprocmask and prctl are called; they neither allocate nor lock.
    unsafe { command.pre_exec(set_signal) };
}

/// Exits at once, without running exit handlers that were copied into this process by fork.
pub fn exit_now(status: i32) -> ! {
    // SAFETY: _exit does not return and runs no handler.
    unsafe { libc::_exit(status) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exit_status_is_described() {
        let killed = End::Signal { signal: Signal::SIGKILL, core: false };
        let crashed = End::Signal { signal: Signal::SIGSEGV, core: true };
        assert_eq!(End::Status(1).to_string(), "exited with status 1");
        assert_eq!(killed.to_string(), "was killed by signal 9 (SIGKILL)");
        assert_eq!(crashed.to_string(), "was killed by signal 11 (SIGSEGV); core dumped");
    }
}
