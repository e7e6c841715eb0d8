//! A response of the module itself, in place of nginx's error page.

use core::mem::MaybeUninit;

use super::exchange::OwnResponse;
use crate::ffi::codes::{ERROR, SPECIAL_RESPONSE};
use crate::ffi::request::Request;
use crate::ffi::{sys, text};

/// Sends the response with `Cache-Control: no-store`, without its body to a HEAD. Returns whether nginx accepted it.
pub(super) fn send(request: Request<'_>, response: OwnResponse) -> bool {
    let OwnResponse { status, content_type, body } = response;
    if !add_no_store(request) {
        return false;
    }
    let mut content_type = text::over(content_type.as_bytes());
    // SAFETY: zero is a valid value of this structure: a text without variables, which is static.
    let mut value: sys::ngx_http_complex_value_t = unsafe { MaybeUninit::zeroed().assume_init() };
    value.value = text::over(body.as_bytes());
    // SAFETY: nginx's call, for a request whose head has not been sent; it copies both structures.
    let sent = unsafe {
        sys::ngx_http_send_response(
            request.as_ptr(),
            usize::from(status),
            &raw mut content_type,
            &raw mut value,
        )
    };
    sent != ERROR && sent < SPECIAL_RESPONSE
}

fn add_no_store(request: Request<'_>) -> bool {
    // SAFETY: nginx has initialised the list of the response's headers with the request. All bytes of the new element
    // are set, as nginx 1.23 added a field; its texts are static.
    unsafe {
        let headers = &raw mut (*request.as_ptr()).headers_out.headers;
        let Some(header) = sys::ngx_list_push(headers).cast::<sys::ngx_table_elt_t>().as_mut() else {
            return false;
        };
        core::ptr::from_mut(header).write_bytes(0, 1);
        header.hash = 1;
        header.key = text::over(b"Cache-Control");
        header.value = text::over(b"no-store");
    }
    true
}
