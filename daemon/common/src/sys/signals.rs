//! Signals: handled as readable events in the supervisor, reset to their defaults in its children.

use std::io;

use nix::libc;
use nix::sys::signal::{self, SigHandler, SigSet, SigmaskHow, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// Blocks `signals` in this thread and returns a descriptor from which they are read. Signals that were ignored at the
/// start no longer are: while SIGCHLD is ignored, the kernel reaps children.
pub fn as_events(signals: &[Signal]) -> io::Result<SignalFd> {
    let set: SigSet = signals.iter().copied().collect();
    signal::sigprocmask(SigmaskHow::SIG_BLOCK, Some(&set), None)?;
    for signal in signals {
        // SAFETY: the handler is the default: no function of ours runs in a signal.
        unsafe { signal::signal(*signal, SigHandler::SigDfl) }?;
    }
    Ok(SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?)
}

/// Sets default dispositions and an empty mask, as a program expects them at its start.
pub fn reset() -> io::Result<()> {
    for signal in 1..=libc::SIGRTMAX() {
        // Fails for SIGKILL and SIGSTOP, which need no reset, and for the two reserved by the C library.
        // SAFETY: the handler is the default: no function of ours runs in a signal.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    signal::sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
    Ok(())
}

/// Restores the default effect of `signal` in this process.
pub fn default(signal: Signal) -> io::Result<()> {
    // SAFETY: the handler is the default: no function of ours runs in it.
    unsafe { signal::signal(signal, SigHandler::SigDfl) }?;
    Ok(())
}

/// Ignores `signal` in this process.
pub fn ignore(signal: Signal) -> io::Result<()> {
    // SAFETY: the signal is ignored: no function of ours runs in it.
    unsafe { signal::signal(signal, SigHandler::SigIgn) }?;
    Ok(())
}
