//! The interface through which the dispatcher starts and ends processes. Operations that take time report their result
//! by a call of the dispatcher, which each method names.

use std::fmt::Debug;
use std::rc::Rc;

use super::worker::Worker;
use crate::app::route::Route;
use crate::pool::{GroupId, Slot};
use crate::spawn::hooks::SlowRequest;

/// Starts and ends processes for the pool.
pub(crate) trait ProcessControl: Debug {
    /// Starts a process; `Dispatcher::ready` or `Dispatcher::failed` follows.
    fn start(&self, slot: Slot, route: Rc<Route>);
    /// Ensures that a process that gets no further request finishes those it has.
    fn drain(&self, worker: &Rc<Worker>);
    /// Has a process do its out-of-band work; `Pool::end_out_of_band` follows.
    fn work_out_of_band(&self, worker: &Rc<Worker>);
    /// Ends a process that serves no request; `Dispatcher::exited` follows.
    fn stop(&self, worker: &Worker);
    /// Kills a process, even if it serves requests; `Dispatcher::exited` follows. If it takes too long for a request,
    /// the operator's hooks run first.
    fn kill(&self, worker: &Worker, slow: Option<SlowRequest>);
    /// Ends a process that is still starting; `Dispatcher::exited` follows.
    fn abandon(&self, slot: Slot);
    /// Reports that a process gets no further request.
    fn detached(&self, worker: &Worker);
    /// Reports that a request was refused, as the queue is full.
    fn queue_full(&self, route: &Route);
    /// Removes what is stored about the starts of a group that was removed.
    fn removed(&self, group: GroupId);
    /// Reports that the group is restarted: its preloader has loaded outdated code.
    fn restarted(&self, group: GroupId);
}
