//! Opening of a log file in a separate process, for which the supervisor waits a limited time, as the disk may hang.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use nix::poll::{self, PollFd, PollFlags, PollTimeout};
use nix::sys::signal::Signal;

use super::open::{Refusal, report};
use common::link::AppLogOpened;
use common::link::channel::{Buffer, Channel};
use common::sys::descriptors;
use common::sys::process;

/// How long the supervisor waits.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Runs `open` in a separate process, which is reaped like an orphan. `open` must use no descriptor of this process.
pub(super) fn opened(open: impl FnOnce() -> Result<OwnedFd, Refusal>) -> Result<OwnedFd, Refusal> {
    let (ours, theirs) = Channel::pair().map_err(Refusal::Call)?;
    let child = process::run_in_child(|| answer(theirs, open)).map_err(Refusal::Call)?;
    let wait = PollTimeout::try_from(TIMEOUT).unwrap_or(PollTimeout::ZERO);
    let mut watched = [PollFd::new(ours.as_fd(), PollFlags::POLLIN)];
    if poll::poll(&mut watched, wait).is_ok_and(|ready| ready == 0) {
        // A process that hangs in the kernel ends when the kernel permits.
        let _ = child.signal(Signal::SIGKILL);
        let seconds = TIMEOUT.as_secs();
        return Err(Refusal::Child(format!("it cannot be opened within {seconds} seconds: the disk hangs")));
    }
    match ours.recv(&mut Buffer::default()) {
        Ok(Some((AppLogOpened::File, descriptors))) => {
            let none = || Refusal::Child("this process has no descriptor left for it".to_owned());
            descriptors.into_iter().next().ok_or_else(none)
        }
        Ok(Some((AppLogOpened::Refused(why), _))) => Err(Refusal::Child(why)),
        Ok(None) => Err(Refusal::Child("the process that was to open it was killed".to_owned())),
        Err(why) => Err(Refusal::Call(why)),
    }
}

/// Runs in the child, which keeps no socket or pipe of the daemon open, however long it hangs.
fn answer(to: Channel, open: impl FnOnce() -> Result<OwnedFd, Refusal>) -> io::Result<()> {
    let to = Channel::new(descriptors::keep_only(to.into_fd())?)?;
    report(&to, open())
}
