//! nginx's variables: ours are registered and asked for here, and one of nginx's own is looked up.

use core::ptr::NonNull;

use super::conf::ConfContext;
use super::content::{ERROR, OK};
use super::guard::guard;
use super::log::Level;
use super::request::Request;
use super::sys;
use super::text;
use crate::variables::TABLE;

/// nginx's random name for a request.
const REQUEST_ID: &[u8] = b"request_id";

/// nginx's `preconfiguration`: all variables must be known before the configuration is read.
///
/// # Safety
///
/// nginx's call.
pub(super) unsafe extern "C" fn add(cf: *mut sys::ngx_conf_t) -> sys::ngx_int_t {
    // SAFETY: nginx's call.
    let mut cf = unsafe { ConfContext::new(cf) };
    guard(cf.log(), ERROR, || {
        for (at, variable) in TABLE.iter().enumerate() {
            let mut name = text::over(variable.name.to_bytes());
            // SAFETY: nginx copies the name; what it returns lives as long as the configuration.
            let added = unsafe {
                let flags = sys::NGX_HTTP_VAR_NOCACHEABLE as usize;
                sys::ngx_http_add_variable(cf.as_ptr(), &raw mut name, flags).as_mut()
            };
            let Some(added) = added else { return ERROR };
            added.get_handler = Some(get);
            added.data = at;
        }
        index_request_id(&mut cf)
    })
}

/// With an index nginx works it out once for a request; without one, anew whenever it is asked.
fn index_request_id(cf: &mut ConfContext<'_>) -> sys::ngx_int_t {
    let mut name = text::over(REQUEST_ID);
    // SAFETY: nginx's call; it copies the name.
    if unsafe { sys::ngx_http_get_variable_index(cf.as_ptr(), &raw mut name) } == ERROR {
        cf.report(Level::Emerg, format_args!("nginx has no variable \"request_id\""));
        return ERROR;
    }
    OK
}

/// Works out one of our variables.
///
/// # Safety
///
/// nginx's call; `data` is a place in the table.
unsafe extern "C" fn get(
    raw: *mut sys::ngx_http_request_t,
    to: *mut sys::ngx_http_variable_value_t,
    data: usize,
) -> sys::ngx_int_t {
    let Some(raw) = NonNull::new(raw) else { return ERROR };
    // SAFETY: nginx's call.
    let request = unsafe { Request::new(raw) };
    guard(request.log(), ERROR, || {
        let value = TABLE.get(data).and_then(|variable| (variable.value)(request));
        let copy = match &value {
            Some(value) => request.pool().and_then(|pool| pool.text(value)),
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

/// nginx's `$request_id`; empty when nginx is out of memory.
pub(crate) fn request_id<'r>(request: Request<'r>) -> &'r [u8] {
    let mut name = text::over(REQUEST_ID);
    // SAFETY: nginx's calls. The value is in the request's pool.
    unsafe {
        let key = sys::ngx_hash_key(name.data, name.len);
        let value = sys::ngx_http_get_variable(request.as_ptr(), &raw mut name, key);
        match value.as_ref() {
            Some(value) if value.not_found() == 0 && !value.data.is_null() => {
                text::bytes(sys::ngx_str_t { len: value.len() as usize, data: value.data })
            }
            _ => &[],
        }
    }
}
