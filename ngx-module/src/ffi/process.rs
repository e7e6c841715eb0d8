//! The life of a worker: nginx's calls at its start and end come in, the first worker's own work is begun and ended.

use core::ptr::NonNull;

use super::content::OK;
use super::guard::guard;
use super::{log, main_conf, outgoing, sys, text, timer};
use crate::herald;

/// Which nginx this worker belongs to.
#[derive(Debug, Clone)]
pub(crate) struct Nginx {
    /// The path of its configuration file.
    pub conf_file: Vec<u8>,
    /// The process ID of its master; without one, of nginx itself.
    pub master: u32,
}

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
            // SAFETY: the cycle's texts live as long as it does.
            let conf_file = unsafe { text::bytes(cycle.as_ref().conf_file) }.to_vec();
            herald::begin(plan, &Nginx { conf_file, master: master() });
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

fn master() -> u32 {
    // SAFETY: nginx sets it before it calls `init_process`.
    let has_master = unsafe { sys::ngx_process } == sys::NGX_PROCESS_WORKER as usize;
    if has_master { std::os::unix::process::parent_id() } else { std::process::id() }
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
