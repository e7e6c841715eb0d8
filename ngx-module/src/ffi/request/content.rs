//! The content handler: nginx's callback, which carries out the decision of a [`ContentHandler`].

use core::ptr::NonNull;

use super::{Request, error_page};
use crate::ffi::codes::{DECLINED, INTERNAL_ERROR};
use crate::ffi::conf::{ConfContext, Location, core_conf, main_phases};
use crate::ffi::guard::guard;
use crate::ffi::upstream::exchange::Exchange;
use crate::ffi::{module_index, sys, upstream};

/// The decision about a request.
#[derive(Debug)]
pub(crate) enum Decision<E> {
    /// nginx serves it: a file, or 404.
    Decline,
    /// It ends with this status.
    Status(u16),
    /// It ends with this status and this HTML, unless `error_page` is configured for the status.
    Page(u16, Vec<u8>),
    /// Another URI is served instead, as by nginx's index module.
    Redirect(Vec<u8>),
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
            Decision::Page(status, html) => {
                // Without memory the visitor gets nginx's own page.
                let _kept = error_page::keep(request, status, html);
                status as sys::ngx_int_t
            }
            Decision::Redirect(uri) => redirect(request, &uri),
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
