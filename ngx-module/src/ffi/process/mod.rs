//! The start and exit of a worker: nginx's callbacks, which start and stop the tasks of the first worker.

pub(crate) mod client_connection;
pub(crate) mod peer;
pub(crate) mod timer;
pub(crate) mod worker;

use core::ptr::NonNull;

use super::codes::OK;
use super::conf::main_conf;
use super::conf::worker_tasks::WorkerTasks;
use super::guard::guard;
use super::{log, sys, text};
use worker::Nginx;

/// The tasks of the first worker besides serving requests.
pub(crate) trait WorkerStart {
    /// Starts them.
    fn start(tasks: &WorkerTasks, nginx: &Nginx);
}

/// nginx's `init_process`.
///
/// # Safety
///
/// nginx's call.
pub(super) unsafe extern "C" fn init<W: WorkerStart>(
    cycle: *mut ngx::ffi::ngx_cycle_t,
) -> ngx::ffi::ngx_int_t {
    guard(log::of_process(), OK, || {
        if let Some(cycle) = NonNull::new(cycle.cast::<sys::ngx_cycle_t>())
            && worker::is_first_worker()
            // SAFETY: nginx's call.
            && let Some(tasks) = unsafe { main_conf::worker_tasks_of(cycle) }
        {
            // SAFETY: the cycle's texts live as long as it does.
            let conf_file = unsafe { text::bytes(cycle.as_ref().conf_file) }.to_vec();
            W::start(tasks, &Nginx { conf_file, master: worker::master() });
        }
        OK
    })
}

/// nginx's `exit_process`: closes everything before nginx counts what is open.
///
/// # Safety
///
/// nginx's call.
pub(super) unsafe extern "C" fn exit(_cycle: *mut ngx::ffi::ngx_cycle_t) {
    guard(log::of_process(), (), || {
        client_connection::close_all();
        timer::stop_all();
    });
}
