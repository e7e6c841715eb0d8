//! What the dispatcher orders of the part of the router that starts and ends processes, which runs on the main thread.
//! Operations that take time report their result by a call of the dispatcher, which each order names.

use std::sync::Arc;

use super::worker::Worker;
use crate::app::route::Route;
use crate::pool::{GroupId, Slot};
use crate::spawn::hooks::SlowRequest;

/// An order to start or end a process. Any thread gives it, the main thread carries it out, in sequence.
#[derive(Debug)]
pub(crate) enum ProcessOrder {
    /// Start a process; `Dispatcher::ready` or `Dispatcher::failed` follows.
    Start(Slot, Arc<Route>),
    /// Ensure that a process that gets no further request finishes those it has.
    Drain(Arc<Worker>),
    /// Have a process do its out-of-band work; `Pool::end_out_of_band` follows.
    WorkOutOfBand(Arc<Worker>),
    /// End a process that serves no request; `Dispatcher::exited` follows.
    Stop(Arc<Worker>),
    /// Kill a process, even if it serves requests; `Dispatcher::exited` follows. If it takes too long for a request,
    /// the operator's hooks run first.
    Kill(Arc<Worker>, Option<SlowRequest>),
    /// End a process that is still starting; `Dispatcher::exited` follows.
    Abandon(Slot),
    /// Report that a process gets no further request.
    Detached(Arc<Worker>),
    /// Remove what is stored about the starts of a group that was removed.
    Removed(GroupId),
    /// The group is restarted: its preloader has loaded outdated code.
    Restarted(GroupId),
}
