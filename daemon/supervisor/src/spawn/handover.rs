//! The handover to a preloader for one process: descriptors in one message over its control socket, without a reply.
//!
//! The forked process sends [`HELLO`] on a separate socket, at whose other end the kernel attests the sender. The
//! kernel refuses anything else that a preloader writes.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::SpawnError;
use super::pipes::{self, Pipes};
use common::instance::Instance;
use common::link::{Address, ProcessId};
use common::sys::packets;

/// The order on the control socket.
const FORK: &[u8] = b"fork";
/// The message that the forked process sends once.
pub(crate) const HELLO: &[u8] = b"hello";

/// The supervisor's side of a process that is not forked yet.
#[derive(Debug)]
pub(crate) struct Handover {
    /// Receives the hello of the process.
    pub(crate) hello: OwnedFd,
    pub(crate) address: Address,
    pub(crate) pipes: Pipes,
}

/// Creates a control socket: the supervisor's end, which receives nothing, and the preloader's.
pub(super) fn control() -> io::Result<(OwnedFd, OwnedFd)> {
    let (ours, theirs) = packets::pair()?;
    packets::close_for_receiving(ours.as_fd())?;
    Ok((ours, theirs))
}

/// Orders the preloader behind `control` to fork `process`, and sends all descriptors that this process is to have.
pub(crate) fn hand_over(
    control: BorrowedFd<'_>,
    process: ProcessId,
    instance: &Instance,
) -> Result<Handover, SpawnError> {
    let (path, socket) = instance.listen_for_app(process).map_err(SpawnError::Listen)?;
    let (pipes, theirs) = pipes::make().map_err(SpawnError::Pipes)?;
    let (hello, their_hello) = packets::attested_pair().map_err(SpawnError::Pipes)?;
    // In the order of docs/APP-PROTOCOL.md.
    let handed = [&theirs.owner, &theirs.output, &socket, &theirs.report, &their_hello].map(AsFd::as_fd);
    packets::send(control, FORK, &handed).map_err(SpawnError::Handover)?;
    Ok(Handover { hello, address: Address::Unix(path), pipes })
}
