//! nginx's configuration outside of `http`: the user of its workers and the environment variables that it passes on.

use core::ffi::CStr;
use core::ptr::NonNull;

use super::ConfContext;
use crate::ffi::sys;

/// Returns the name of the user that workers run as, as far as the configuration has been read.
pub(crate) fn worker_user(cf: &ConfContext<'_>) -> String {
    let default = || sys::NGX_USER.to_string_lossy().into_owned();
    // SAFETY: nginx sets the cycle whose configuration it reads.
    let Some(core) = (unsafe { core(cf.get().cycle) }) else { return default() };
    // SAFETY: `core` has found the structure; the name lives as long as the configuration and ends with a zero.
    unsafe {
        let name = core.as_ref().username;
        if name.is_null() { default() } else { CStr::from_ptr(name).to_string_lossy().into_owned() }
    }
}

/// Returns the variables that a configuration passes on; `None` where they are not at the offset in its headers.
///
/// # Safety
///
/// `cycle` is null or a cycle of nginx.
pub(in crate::ffi) unsafe fn environment(cycle: *mut sys::ngx_cycle_t) -> Option<NonNull<sys::ngx_array_t>> {
    // SAFETY: by this function's contract; the array is inside the structure.
    unsafe { core(cycle).and_then(|core| NonNull::new(&raw mut (*core.as_ptr()).env)) }
}

/// Returns the configuration of nginx's core; `None` before it exists, and where its layout differs from our headers.
///
/// # Safety
///
/// `cycle` is null or a cycle of nginx.
unsafe fn core(cycle: *mut sys::ngx_cycle_t) -> Option<NonNull<sys::ngx_core_conf_t>> {
    // SAFETY: by this function's contract. The first cycle of a process has no configurations yet; another one has that of
    // the core at its module's place.
    let (core, pool) = unsafe {
        let cycle = cycle.as_ref()?;
        let contexts = NonNull::new(cycle.conf_ctx)?;
        (*contexts.as_ptr().add(sys::ngx_core_module.index), cycle.pool)
    };
    let core = NonNull::new(core.cast::<sys::ngx_core_conf_t>())?;
    // SAFETY: the array is inside the structure, near its end.
    let array = unsafe { &(*core.as_ptr()).env };
    let is_sound = array.size == size_of::<sys::ngx_str_t>()
        && array.nelts <= array.nalloc
        && array.pool == pool
        && !array.elts.is_null();
    is_sound.then_some(core)
}
