//! The content handler: nginx's callback, which carries out the decision of a [`ContentHandler`].

use core::mem::MaybeUninit;
use core::ptr::NonNull;

use super::Request;
use crate::ffi::codes::{DECLINED, INTERNAL_ERROR};
use crate::ffi::conf::{ConfContext, Location, core_conf, main_phases};
use crate::ffi::guard::guard;
use crate::ffi::upstream::exchange::Exchange;
use crate::ffi::{module_index, sys, text, upstream};

/// The decision about a request.
#[derive(Debug)]
pub(crate) enum Decision<E> {
    /// nginx serves it: a file, or 404.
    Decline,
    /// It ends with this status.
    Status(u16),
    /// Another URI is served instead, as by nginx's index module.
    Redirect(Vec<u8>),
    /// It ends with this status and HTML page.
    Page(u16, String),
    /// It goes to the daemon.
    Forward(E),
}

/// The only type of locations that nginx keeps for this module. Only [`super::module`] implements it.
pub(crate) trait Registered: Location {}

/// A content handler's decisions.
pub(crate) trait ContentHandler {
    /// The configuration of a location.
    type Location: Registered;

    /// The exchange between nginx and the daemon.
    type Exchange: Exchange<Location = Self::Location>;

    /// Decides about a request.
    fn decide(request: Request<'_>, location: &Self::Location) -> Decision<Self::Exchange>;

    /// Decides about a request for a directory that no handler of nginx serves: without it, nginx answers 403.
    fn decide_last(request: Request<'_>, location: &Self::Location) -> Decision<Self::Exchange>;
}

/// Makes `H` the location's content handler, unless it has another one. Returns whether it did.
pub(crate) fn install<H: ContentHandler>(cf: &ConfContext<'_>) -> bool {
    core_conf::set_handler(cf, handle::<H>)
}

/// Makes `H` the last content handler of all locations: nginx calls it when its own handlers have declined.
pub(in crate::ffi) fn install_last<H: ContentHandler>(cf: &ConfContext<'_>) -> bool {
    main_phases::add_last_content_handler(cf, handle_last::<H>)
}

/// nginx's content handler of a location.
///
/// # Safety
///
/// nginx's call.
unsafe extern "C" fn handle<H: ContentHandler>(raw: *mut sys::ngx_http_request_t) -> sys::ngx_int_t {
    // SAFETY: nginx's call.
    unsafe { carry_out::<H>(raw, H::decide) }
}

/// nginx's content handler of all locations.
///
/// # Safety
///
/// nginx's call.
unsafe extern "C" fn handle_last<H: ContentHandler>(raw: *mut sys::ngx_http_request_t) -> sys::ngx_int_t {
    // SAFETY: nginx's call.
    unsafe { carry_out::<H>(raw, H::decide_last) }
}

type Decide<H> =
    fn(Request<'_>, &<H as ContentHandler>::Location) -> Decision<<H as ContentHandler>::Exchange>;

/// # Safety
///
/// A request of nginx's call.
unsafe fn carry_out<H: ContentHandler>(
    raw: *mut sys::ngx_http_request_t,
    decide: Decide<H>,
) -> sys::ngx_int_t {
    let Some(raw) = NonNull::new(raw) else {
        return INTERNAL_ERROR;
    };
    // SAFETY: by this function's contract.
    let request = unsafe { Request::new(raw) };
    guard(request.log(), INTERNAL_ERROR, || {
        let location = location_of::<H::Location>(request);
        match decide(request, location) {
            Decision::Decline => DECLINED,
            Decision::Status(status) => status as sys::ngx_int_t,
            Decision::Redirect(uri) => redirect(request, &uri),
            Decision::Page(status, page) => send(request, status, &page),
            Decision::Forward(exchange) => upstream::begin(request, location, exchange),
        }
    })
}

/// Returns the configuration of a request's location.
fn location_of<'r, L: Registered>(request: Request<'r>) -> &'r L {
    // SAFETY: nginx keeps what `create_location::<L>` returned at our place, as `module` has registered no other type; it
    // outlives the request and no longer changes.
    unsafe { &*(*request.get().loc_conf.add(module_index::context_index())).cast() }
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

/// Sends a page made here.
fn send(request: Request<'_>, status: u16, page: &str) -> sys::ngx_int_t {
    let Ok(text) = request.pool().and_then(|pool| pool.text(page.as_bytes())) else {
        return INTERNAL_ERROR;
    };
    let mut content_type = text::over(b"text/html; charset=utf-8");
    // SAFETY: zero is a valid value of this plain structure: a value without variables.
    let mut value: sys::ngx_http_complex_value_t = unsafe { MaybeUninit::zeroed().assume_init() };
    value.value = text;
    // SAFETY: nginx's call; the page is in the request's pool, and nginx copies the rest.
    unsafe {
        sys::ngx_http_send_response(
            request.as_ptr(),
            usize::from(status),
            &raw mut content_type,
            &raw mut value,
        )
    }
}
