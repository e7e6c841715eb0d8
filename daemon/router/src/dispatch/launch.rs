//! What the dispatcher needs from whoever starts and ends processes. Each wish that takes time is answered by a call of the
//! dispatcher, as it says.

use std::fmt::Debug;
use std::rc::Rc;

use super::worker::Worker;
use crate::app::route::Route;
use crate::pool::{GroupId, Slot};
use crate::spawn::hooks::SlowRequest;

/// What the pool needs from whoever starts processes.
pub(crate) trait Launch: Debug {
    /// Start a process; `Dispatcher::ready` or `Dispatcher::failed` follows.
    fn launch(&self, slot: Slot, route: Rc<Route>);
    /// A process gets no further request and finishes those it has: see that it does.
    fn drain(&self, worker: &Rc<Worker>);
    /// Have a process do its out-of-band work; `Dispatcher::end_out_of_band` follows.
    fn work_out_of_band(&self, worker: Rc<Worker>);
    /// End a process that serves no request; `Dispatcher::exited` follows.
    fn stop(&self, worker: &Worker);
    /// Kill a process, whatever it is doing; `Dispatcher::exited` follows.
    fn kill(&self, worker: &Worker);
    /// As `kill`, once the operator's programs have looked at the process that takes too long over `request`.
    fn kill_too_slow(&self, worker: &Worker, request: SlowRequest);
    /// A process gets no further request.
    fn detached(&self, worker: &Worker);
    /// A request was refused, as too many wait.
    fn turned_away(&self, route: &Route);
    /// End a process that is still starting; `Dispatcher::exited` follows.
    fn abandon(&self, slot: Slot);
    /// The group is forgotten, and so is what is remembered of its starts.
    fn forgotten(&self, group: GroupId);
    /// The group is restarted: what has loaded its code for others is of no use any more.
    fn restarted(&self, group: GroupId);
}
