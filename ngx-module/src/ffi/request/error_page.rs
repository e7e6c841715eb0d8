//! The module's own error pages: nginx makes a response for a status that the content handler returns, or that it sets
//! when no connection to the daemon is possible. A page for that status replaces the body. Where `error_page` is
//! configured for the status, nginx redirects internally, which forgets the page.

use core::ffi::c_void;
use core::ptr::NonNull;

use super::Request;
use crate::ffi::codes::ERROR;
use crate::ffi::guard::guard;
use crate::ffi::pool::OutOfMemory;
use crate::ffi::upstream::chain;
use crate::ffi::{module_index, sys, text};

/// The type of a page. nginx compares the part before the semicolon with the types of its filters.
const CONTENT_TYPE: &[u8] = b"text/html; charset=utf-8";
const TYPE_LEN: usize = b"text/html".len();
/// The first status that stands for an error.
const FIRST_ERROR: usize = 400;

/// A page, in the request's pool; the module's context of the request is its address.
struct Page {
    status: usize,
    body: Vec<u8>,
    progress: Progress,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// No head was sent.
    Waiting,
    /// The head announces the page.
    Announced,
    /// The page was passed on.
    Sent,
}

/// The filters after these.
static mut NEXT_HEADER: sys::ngx_http_output_header_filter_pt = None;
static mut NEXT_BODY: sys::ngx_http_output_body_filter_pt = None;

/// Keeps the page for a response with this status, in place of an earlier one.
///
/// # Errors
///
/// [`OutOfMemory`].
pub(crate) fn keep(request: Request<'_>, status: u16, body: Vec<u8>) -> Result<(), OutOfMemory> {
    let page = Page { status: status.into(), body, progress: Progress::Waiting };
    let page = request.pool()?.place(page)?;
    // SAFETY: nginx allocates one pointer for each module, which only this function sets for ours.
    unsafe { *context(request) = page.as_ptr().cast() };
    Ok(())
}

fn context(request: Request<'_>) -> *mut *mut c_void {
    // SAFETY: a request's contexts are an array with one entry for each module.
    unsafe { request.get().ctx.add(module_index::context_index()) }
}

/// Adds the filters. Called each time that the configuration is read, as nginx then begins their chains again.
pub(in crate::ffi) fn install() {
    // SAFETY: single thread.
    unsafe {
        NEXT_HEADER = sys::ngx_http_top_header_filter;
        sys::ngx_http_top_header_filter = Some(header_filter);
        NEXT_BODY = sys::ngx_http_top_body_filter;
        sys::ngx_http_top_body_filter = Some(body_filter);
    }
}

/// Returns the page of a request for which nginx made the response. Others are recognised without a look at the page.
/// It runs outside of a guard, as every response passes here, and cannot panic.
fn page_of(request: Request<'_>) -> Option<NonNull<Page>> {
    if request.get().err_status < FIRST_ERROR || !request.is_main() {
        return None;
    }
    // SAFETY: only `keep` sets the context; the page lives as long as the request.
    unsafe { NonNull::new((*context(request)).cast::<Page>()) }
}

/// # Safety
///
/// nginx's call.
unsafe extern "C" fn header_filter(raw: *mut sys::ngx_http_request_t) -> sys::ngx_int_t {
    let Some(found) = NonNull::new(raw) else { return ERROR };
    // SAFETY: nginx's call.
    let request = unsafe { Request::new(found) };
    if let Some(page) = page_of(request) {
        // SAFETY: single thread, and nginx is not called while the reference lives.
        guard(request.log(), (), || announce(request, unsafe { &mut *page.as_ptr() }));
    }
    // SAFETY: nginx's chain of filters, by `install`.
    unsafe { NEXT_HEADER.map_or(ERROR, |next| next(raw)) }
}

fn announce(request: Request<'_>, page: &mut Page) {
    let raw = request.as_ptr();
    if page.progress != Progress::Waiting || request.get().err_status != page.status {
        return;
    }
    page.progress = Progress::Announced;
    // SAFETY: nginx's call; the type is a static, and nginx does not change it in place.
    unsafe {
        let headers = &mut (*raw).headers_out;
        headers.content_type = text::over(CONTENT_TYPE);
        headers.content_type_len = TYPE_LEN;
        headers.content_type_lowcase = core::ptr::null_mut();
        headers.content_length_n = page.body.len() as sys::off_t;
    }
}

/// # Safety
///
/// nginx's call.
unsafe extern "C" fn body_filter(
    raw: *mut sys::ngx_http_request_t,
    chain: *mut sys::ngx_chain_t,
) -> sys::ngx_int_t {
    let Some(found) = NonNull::new(raw) else { return ERROR };
    // SAFETY: nginx's call.
    let request = unsafe { Request::new(found) };
    let replaced = match page_of(request) {
        Some(page) => {
            // SAFETY: as in `header_filter`.
            let page = unsafe { &mut *page.as_ptr() };
            guard(request.log(), Err(OutOfMemory), || replace(request, page, chain))
        }
        None => Ok(chain),
    };
    let Ok(chain) = replaced else { return ERROR };
    // SAFETY: nginx's chain of filters, by `install`.
    unsafe { NEXT_BODY.map_or(ERROR, |next| next(raw, chain)) }
}

/// Returns the chain to be sent in place of `chain`, which consists of nginx's static texts.
fn replace(
    request: Request<'_>,
    page: &mut Page,
    chain: *mut sys::ngx_chain_t,
) -> Result<*mut sys::ngx_chain_t, OutOfMemory> {
    match page.progress {
        Progress::Waiting => return Ok(chain),
        Progress::Sent => return Ok(core::ptr::null_mut()),
        Progress::Announced => page.progress = Progress::Sent,
    }
    let pool = request.pool()?;
    let buffer = chain::copied(pool, &page.body)?;
    // SAFETY: `copied` has just made this buffer.
    unsafe {
        (*buffer.as_ptr()).set_last_buf(1);
        (*buffer.as_ptr()).set_last_in_chain(1);
    }
    Ok(chain::link(pool, buffer)?.as_ptr())
}
