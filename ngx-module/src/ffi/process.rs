//! The life of a worker: nginx's calls at its start and end come in, the first worker's own work is begun and ended.

use core::ptr::NonNull;

use super::content::OK;
use super::guard::guard;
use super::{log, main_conf, outgoing, sys, timer};
use crate::herald;

/// nginx's `init_process`.
///
/// # Safety
///
/// nginx's call.
pub(super) unsafe extern "C" fn init(cycle: *mut ngx::ffi::ngx_cycle_t) -> ngx::ffi::ngx_int_t {
    guard(log::of_process(), OK, || {
        if let Some(cycle) = NonNull::new(cycle.cast::<sys::ngx_cycle_t>())
            && is_first_worker()
            // SAFETY: nginx's call.
            && let Some(plan) = unsafe { main_conf::plan_of(cycle) }
        {
            herald::begin(plan);
        }
        OK
    })
}

/// nginx's `exit_process`: nothing of ours is left when it counts what is open.
///
/// # Safety
///
/// nginx's call.
pub(super) unsafe extern "C" fn exit(_cycle: *mut ngx::ffi::ngx_cycle_t) {
    guard(log::of_process(), (), || {
        outgoing::close_all();
        timer::stop_all();
    });
}

/// Not the processes that look after caches, nor any worker but the first.
fn is_first_worker() -> bool {
    // SAFETY: nginx sets both before it calls `init_process`.
    let (kind, number) = unsafe { (sys::ngx_process, sys::ngx_worker) };
    [sys::NGX_PROCESS_WORKER, sys::NGX_PROCESS_SINGLE].map(|kind| kind as usize).contains(&kind)
        && number == 0
}

/// Whether this worker takes no new work.
pub(super) fn is_exiting() -> bool {
    // SAFETY: a number of nginx's; single thread.
    unsafe { sys::ngx_exiting != 0 || sys::ngx_terminate != 0 || sys::ngx_quit != 0 }
}
