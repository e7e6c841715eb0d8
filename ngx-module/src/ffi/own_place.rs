//! Our place in nginx's arrays, and an address that is ours alone: known to all who look something up there, while what is
//! registered by it is known to [`super::module`] only.

use core::ffi::c_void;

unsafe extern "C" {
    /// [`super::module`] defines it.
    static mut ngx_http_passenger_module: ngx::ffi::ngx_module_t;
}

/// Our place in nginx's arrays of configurations.
pub(super) fn context_index() -> usize {
    // SAFETY: nginx sets it once, before it reads the configuration.
    unsafe { ngx_http_passenger_module.ctx_index }
}

/// An address that is ours alone.
pub(super) fn address() -> *mut c_void {
    (&raw mut ngx_http_passenger_module).cast()
}
