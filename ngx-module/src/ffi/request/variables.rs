//! nginx's variables: registers those of the module and computes their values.

use core::ffi::CStr;
use core::ptr::NonNull;

use module_core::bytes::ShortText;

use super::Request;
use crate::ffi::codes::{ERROR, OK};
use crate::ffi::conf::ConfContext;
use crate::ffi::guard::guard;
use crate::ffi::{sys, text};

/// A variable, and the function that computes its value; without a value the log shows `-`.
#[derive(Debug)]
pub(crate) struct Variable {
    pub(crate) name: &'static CStr,
    pub(crate) value: for<'r> fn(Request<'r>) -> Option<VariableText<'r>>,
}

/// The value of a variable.
#[derive(Debug)]
pub(crate) enum VariableText<'r> {
    /// It is a part of the request, or is kept with it.
    Kept(&'r [u8]),
    /// It was made for the variable.
    Short(ShortText),
}

impl AsRef<[u8]> for VariableText<'_> {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Kept(text) => text,
            Self::Short(text) => text.as_ref(),
        }
    }
}

/// The variables of a module.
pub(crate) trait Variables: 'static {
    /// Returns all of them.
    fn table() -> &'static [Variable];
}

/// nginx's `preconfiguration`: all variables must be known before the configuration is read.
///
/// # Safety
///
/// nginx's call.
pub(in crate::ffi) unsafe extern "C" fn add<V: Variables>(cf: *mut sys::ngx_conf_t) -> sys::ngx_int_t {
    // SAFETY: nginx's call.
    let mut cf = unsafe { ConfContext::new(cf) };
    guard(cf.log(), ERROR, || {
        for (at, variable) in V::table().iter().enumerate() {
            let mut name = text::over(variable.name.to_bytes());
            // SAFETY: nginx copies the name; what it returns lives as long as the configuration.
            let added = unsafe {
                let flags = sys::NGX_HTTP_VAR_NOCACHEABLE as usize;
                sys::ngx_http_add_variable(cf.as_ptr(), &raw mut name, flags).as_mut()
            };
            let Some(added) = added else { return ERROR };
            added.get_handler = Some(get::<V>);
            added.data = at;
        }
        OK
    })
}

/// Computes the value of a variable.
///
/// # Safety
///
/// nginx's call; `data` is a place in the table.
unsafe extern "C" fn get<V: Variables>(
    raw: *mut sys::ngx_http_request_t,
    to: *mut sys::ngx_http_variable_value_t,
    data: usize,
) -> sys::ngx_int_t {
    let Some(raw) = NonNull::new(raw) else { return ERROR };
    // SAFETY: nginx's call.
    let request = unsafe { Request::new(raw) };
    guard(request.log(), ERROR, || {
        let value = V::table().get(data).and_then(|variable| (variable.value)(request));
        let copy = match &value {
            Some(value) => request.pool().and_then(|pool| pool.text(value.as_ref())),
            None => Ok(text::over(b"")),
        };
        let Ok(copy) = copy else { return ERROR };
        // SAFETY: nginx's call: `to` is for us to fill.
        unsafe {
            (*to).set_len(u32::try_from(copy.len).unwrap_or(0));
            (*to).data = copy.data;
            (*to).set_valid(u32::from(value.is_some()));
            (*to).set_no_cacheable(1);
            (*to).set_not_found(u32::from(value.is_none()));
        }
        OK
    })
}
