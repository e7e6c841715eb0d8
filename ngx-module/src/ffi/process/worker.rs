//! The role of this process in its nginx.

use crate::ffi::sys;

/// The nginx that this worker belongs to.
#[derive(Debug, Clone)]
pub(crate) struct Nginx {
    /// The path of its configuration file.
    pub conf_file: Vec<u8>,
    /// The process ID of its master; without one, of nginx itself.
    pub master: u32,
}

/// Returns the process ID of its master; without one, of nginx itself.
pub(in crate::ffi) fn master() -> u32 {
    // SAFETY: nginx sets it before it calls `init_process`.
    let has_master = unsafe { sys::ngx_process } == sys::NGX_PROCESS_WORKER as usize;
    if has_master { std::os::unix::process::parent_id() } else { std::process::id() }
}

/// Whether this is the first worker, and not a cache manager or cache loader.
pub(in crate::ffi) fn is_first_worker() -> bool {
    // SAFETY: nginx sets both before it calls `init_process`.
    let (kind, number) = unsafe { (sys::ngx_process, sys::ngx_worker) };
    [sys::NGX_PROCESS_WORKER, sys::NGX_PROCESS_SINGLE].map(|kind| kind as usize).contains(&kind)
        && number == 0
}

/// Whether this worker accepts no new work.
pub(in crate::ffi) fn is_exiting() -> bool {
    // SAFETY: a number of nginx's; single thread.
    unsafe { sys::ngx_exiting != 0 || sys::ngx_terminate != 0 || sys::ngx_quit != 0 }
}
