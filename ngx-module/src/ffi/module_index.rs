//! The module's index in nginx's arrays, and an address that is unique to it. Other modules use them without importing
//! [`super::module`], which alone defines what is registered there.

use core::ffi::c_void;

unsafe extern "C" {
    /// [`super::module`] defines it.
    static mut ngx_http_passenger_module: ngx::ffi::ngx_module_t;
}

/// Returns the module's index in nginx's arrays of configurations.
pub(super) fn context_index() -> usize {
    // SAFETY: nginx sets it once, before it reads the configuration.
    unsafe { ngx_http_passenger_module.ctx_index }
}

/// Returns an address that is unique to this module.
pub(super) fn address() -> *mut c_void {
    (&raw mut ngx_http_passenger_module).cast()
}
