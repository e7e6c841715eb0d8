//! Signals: taken as readable events by the supervisor, given back to their defaults in its children.

use std::io;

use nix::libc;
use nix::sys::signal::{self, SigHandler, SigSet, SigmaskHow, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// Blocks `signals` in this thread and gives them as a readable descriptor.
pub fn as_events(signals: &[Signal]) -> io::Result<SignalFd> {
    let set: SigSet = signals.iter().copied().collect();
    signal::sigprocmask(SigmaskHow::SIG_BLOCK, Some(&set), None)?;
    Ok(SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?)
}

/// Default dispositions and an empty mask, as a program expects them at its start.
pub fn reset() -> io::Result<()> {
    for signal in 1..=libc::SIGRTMAX() {
        // Refused for SIGKILL and SIGSTOP, which have nothing to reset, and for the two that the C library keeps.
        // SAFETY: the handler is the default: no function of ours runs in a signal.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    signal::sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
    Ok(())
}

/// Ignores `signal` in this process.
pub fn ignore(signal: Signal) -> io::Result<()> {
    // SAFETY: the signal is ignored: no function of ours runs in it.
    unsafe { signal::signal(signal, SigHandler::SigIgn) }?;
    Ok(())
}
