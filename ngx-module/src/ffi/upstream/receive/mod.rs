//! Passing a response's body to the client: received buffers are replaced by buffers over their body bytes.
//!
//! Nothing is copied. nginx calls one of two filters: [`streamed`] by default, [`buffered`] with
//! `passenger_buffer_response on`.

mod buffered;
mod streamed;

use core::ffi::c_void;
use core::ops::Range;
use core::ptr::{NonNull, null_mut};

pub(in crate::ffi) use buffered::buffered;
pub(in crate::ffi) use streamed::streamed;

use super::context::Context;
use super::exchange::Exchange;
use super::response_body::BodyRead;
use crate::ffi::codes::{ERROR, OK};
use crate::ffi::guard::guard;
use crate::ffi::pool::OutOfMemory;
use crate::ffi::request::Request;
use crate::ffi::sys;

/// nginx's `input_filter_init`: the head has been sent to the client.
///
/// # Safety
///
/// nginx's call; `data` is the [`Context`] of the same `E`.
pub(in crate::ffi) unsafe extern "C" fn begin<E: Exchange>(data: *mut c_void) -> sys::ngx_int_t {
    // SAFETY: by this function's contract.
    unsafe {
        with::<E>(data, |Receiving { context, upstream, .. }| {
            let needs = as_length(context.exchange.body().needs());
            // Not -1: nginx would then treat an early end of the connection as the end of the body.
            (*upstream).length = needs.min(1);
            (*(*upstream).pipe).length = needs;
            OK
        })
    }
}

/// One call of a filter: a request's exchange and its upstream.
struct Receiving<'c, E: Exchange> {
    context: &'c mut Context<E>,
    request: Request<'c>,
    upstream: *mut sys::ngx_http_upstream_t,
}

impl<E: Exchange> Receiving<'_, E> {
    /// Decodes `len` bytes that nginx has received; calls `take` with each range that is body.
    ///
    /// # Safety
    ///
    /// nginx has received `len` bytes from `start` on, and does not touch them until what refers to them was sent.
    unsafe fn decode(
        &mut self,
        start: *const u8,
        len: usize,
        take: &mut dyn FnMut(Range<usize>) -> Result<(), OutOfMemory>,
    ) -> BodyRead {
        // SAFETY: by this function's contract; the location's configuration outlives the request.
        let (received, location) =
            unsafe { (core::slice::from_raw_parts(start, len), self.context.location.as_ref()) };
        self.context.exchange.read_body(self.request, location, received, take)
    }
}

/// Runs `body` with the exchange in `data`.
///
/// # Safety
///
/// `data` is the [`Context`] of the same `E`, and no other callback is running with it.
unsafe fn with<E: Exchange>(
    data: *mut c_void,
    body: impl FnOnce(Receiving<'_, E>) -> sys::ngx_int_t,
) -> sys::ngx_int_t {
    let Some(mut context) = NonNull::new(data.cast::<Context<E>>()) else {
        return ERROR;
    };
    // SAFETY: by this function's contract.
    let context = unsafe { context.as_mut() };
    // SAFETY: the context lives in its request's pool.
    let request = unsafe { Request::new(context.request) };
    let upstream = request.get().upstream;
    guard(request.log(), ERROR, || body(Receiving { context, request, upstream }))
}

/// Returns a link with an unused buffer.
fn free_buf(
    request: Request<'_>,
    free: *mut *mut sys::ngx_chain_t,
) -> Result<NonNull<sys::ngx_chain_t>, OutOfMemory> {
    // SAFETY: nginx's call; `free` is one of nginx's own lists of free buffers.
    let link = unsafe { sys::ngx_chain_get_free_buf(request.pool()?.as_ptr(), free) };
    let link = NonNull::new(link).ok_or(OutOfMemory)?;
    // SAFETY: nginx has just given us this link.
    unsafe { (*link.as_ptr()).next = null_mut() };
    Ok(link)
}

fn as_length(needs: usize) -> i64 {
    i64::try_from(needs).unwrap_or(i64::MAX)
}
