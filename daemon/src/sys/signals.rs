//! Signals: taken as readable events by the supervisor, given back to their defaults in its children.

use std::io;

use nix::errno::Errno;
use nix::sys::signal::{self, SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// Blocks `signals` in this thread and gives them as a readable descriptor.
pub fn as_events(signals: &[Signal]) -> io::Result<SignalFd> {
    let set: SigSet = signals.iter().copied().collect();
    signal::sigprocmask(SigmaskHow::SIG_BLOCK, Some(&set), None)?;
    Ok(SignalFd::with_flags(
        &set,
        SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK,
    )?)
}

/// Ignores `signal` in this process.
pub fn ignore(signal: Signal) -> io::Result<()> {
    set(signal, SigHandler::SigIgn)
}

/// Default dispositions and an empty mask, as a program expects them at its start.
pub fn reset() -> io::Result<()> {
    for signal in Signal::iterator() {
        match set(signal, SigHandler::SigDfl) {
            // SIGKILL and SIGSTOP have nothing to reset.
            Err(err) if err.raw_os_error() == Some(Errno::EINVAL as i32) => {}
            done => done?,
        }
    }
    signal::sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
    Ok(())
}

fn set(signal: Signal, handler: SigHandler) -> io::Result<()> {
    let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler is the default or "ignore": no function of ours runs in a signal.
    unsafe { signal::sigaction(signal, &action) }?;
    Ok(())
}
