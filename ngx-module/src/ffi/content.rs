//! The content handler: nginx's call comes in, a [`ContentHandler`]'s answer is carried out.

use core::ptr::NonNull;

use super::exchange::{self, Exchange};
use super::guard::guard;
use super::module;
use super::request::Request;
use super::sys;
use crate::conf::LocationConf;

/// What becomes of a request.
#[derive(Debug)]
pub(crate) enum Answer<E> {
    /// nginx serves it: a file, or 404.
    Decline,
    /// It ends with this status.
    Status(u16),
    /// Another URI is served in its place, as by nginx's index module.
    Redirect(Vec<u8>),
    /// It goes to the daemon.
    Forward(E),
}

/// Decides about requests.
pub(crate) trait ContentHandler {
    /// What goes on between nginx and the daemon.
    type Exchange: Exchange<Location = LocationConf>;

    /// Decides about one.
    fn decide(request: Request<'_>, location: &LocationConf) -> Answer<Self::Exchange>;
}

/// nginx's content handler.
///
/// # Safety
///
/// nginx's call.
pub(super) unsafe extern "C" fn handle<H: ContentHandler>(
    raw: *mut sys::ngx_http_request_t,
) -> sys::ngx_int_t {
    let Some(raw) = NonNull::new(raw) else {
        return INTERNAL_ERROR;
    };
    // SAFETY: nginx's call.
    let request = unsafe { Request::new(raw) };
    guard(request.log(), INTERNAL_ERROR, || {
        let location = module::location_of(request);
        match H::decide(request, location) {
            Answer::Decline => DECLINED,
            Answer::Status(status) => status as sys::ngx_int_t,
            Answer::Redirect(uri) => redirect(request, &uri),
            Answer::Forward(exchange) => exchange::begin(request, location, exchange),
        }
    })
}

fn redirect(request: Request<'_>, uri: &[u8]) -> sys::ngx_int_t {
    let Ok(mut uri) = request.pool().and_then(|pool| pool.text(uri)) else {
        return INTERNAL_ERROR;
    };
    // SAFETY: nginx's call; the URI is in the request's pool, and so are the arguments.
    unsafe {
        let mut args = (*request.as_ptr()).args;
        sys::ngx_http_internal_redirect(request.as_ptr(), &raw mut uri, &raw mut args)
    }
}

pub(super) const OK: sys::ngx_int_t = sys::NGX_OK as sys::ngx_int_t;
pub(super) const ERROR: sys::ngx_int_t = sys::NGX_ERROR as sys::ngx_int_t;
pub(super) const AGAIN: sys::ngx_int_t = sys::NGX_AGAIN as sys::ngx_int_t;
pub(super) const DECLINED: sys::ngx_int_t = sys::NGX_DECLINED as sys::ngx_int_t;
pub(super) const DONE: sys::ngx_int_t = sys::NGX_DONE as sys::ngx_int_t;
pub(super) const INVALID_HEADER: sys::ngx_int_t = sys::NGX_HTTP_UPSTREAM_INVALID_HEADER as sys::ngx_int_t;
pub(super) const INTERNAL_ERROR: sys::ngx_int_t = sys::NGX_HTTP_INTERNAL_SERVER_ERROR as sys::ngx_int_t;
pub(super) const SPECIAL_RESPONSE: sys::ngx_int_t = sys::NGX_HTTP_SPECIAL_RESPONSE as sys::ngx_int_t;
