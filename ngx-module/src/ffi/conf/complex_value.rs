//! Texts with nginx variables such as `$host`, evaluated for a request.

use core::mem::MaybeUninit;
use core::ptr::NonNull;

use super::ConfContext;
use crate::ffi::request::Request;
use crate::ffi::{sys, text};

/// A compiled text, valid as long as the configuration.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ComplexValue(NonNull<sys::ngx_http_complex_value_t>);

impl ComplexValue {
    /// Compiles a text.
    ///
    /// # Errors
    ///
    /// A message; nginx itself has reported an unknown variable.
    pub(crate) fn compile(cf: &mut ConfContext<'_>, text: &str) -> Result<Self, String> {
        let pool = cf.pool().map_err(|_| "out of memory")?;
        let mut value = pool.text(text.as_bytes()).map_err(|_| "out of memory")?;
        // SAFETY: zero is a valid value of both plain structures.
        let at: NonNull<sys::ngx_http_complex_value_t> =
            unsafe { pool.zeroed() }.map_err(|_| "out of memory")?;
        // SAFETY: as above.
        let mut job: sys::ngx_http_compile_complex_value_t = unsafe { MaybeUninit::zeroed().assume_init() };
        job.cf = cf.as_ptr();
        job.value = &raw mut value;
        job.complex_value = at.as_ptr();
        // SAFETY: nginx's call; everything that nginx keeps is in the configuration's pool.
        if unsafe { sys::ngx_http_compile_complex_value(&raw mut job) } != 0 {
            return Err(format!("cannot compile the value \"{text}\""));
        }
        Ok(Self(at))
    }

    /// Returns the value for a request; `None` when nginx is out of memory.
    pub(crate) fn evaluate<'r>(self, request: Request<'r>) -> Option<&'r [u8]> {
        let mut value = sys::ngx_str_t { len: 0, data: core::ptr::null_mut() };
        // SAFETY: compiled by `compile`; requests end before their configuration does. The value is in the
        // request's pool.
        unsafe {
            let done = sys::ngx_http_complex_value(request.as_ptr(), self.0.as_ptr(), &raw mut value);
            (done == 0).then(|| text::bytes(value))
        }
    }
}
