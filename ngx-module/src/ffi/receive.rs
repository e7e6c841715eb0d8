//! The way of a response's body to the client: received buffers come in, buffers over their body bytes go out.
//!
//! Nothing is copied. nginx calls one of two filters: `streamed` by default, `buffered` with
//! `passenger_buffer_response on`.

use core::ffi::c_void;
use core::ops::Range;
use core::ptr::{NonNull, null_mut};

use super::content::{ERROR, OK};
use super::exchange::{BodyRead, Context, Exchange};
use super::guard::guard;
use super::pool::OutOfMemory;
use super::request::Request;
use super::sys;

/// nginx's `input_filter_init`: the head has been sent to the client.
///
/// # Safety
///
/// nginx's call; `data` is the [`Context`] of the same `E`.
pub(super) unsafe extern "C" fn begin<E: Exchange>(data: *mut c_void) -> sys::ngx_int_t {
    // SAFETY: by this function's contract.
    unsafe {
        with::<E>(data, |context, upstream, _| {
            let needs = as_length(context.exchange.needs());
            // Not -1: that would let an early end of the connection pass for the end of the body.
            (*upstream).length = needs.min(1);
            (*(*upstream).pipe).length = needs;
            OK
        })
    }
}

/// nginx's input filter for responses that are passed on at once: `bytes` more are in the upstream's buffer.
///
/// # Safety
///
/// As for [`begin`].
pub(super) unsafe extern "C" fn streamed<E: Exchange>(data: *mut c_void, bytes: isize) -> sys::ngx_int_t {
    // SAFETY: by this function's contract: nginx has received `bytes` bytes behind `last`, within the buffer, and
    // does not touch them until what refers to them was sent.
    unsafe {
        with::<E>(data, |context, upstream, request| {
            let buffer = &raw mut (*upstream).buffer;
            let start = (*buffer).last;
            (*buffer).pos = start;
            (*buffer).last = start.offset(bytes);
            let received = core::slice::from_raw_parts(start, bytes.unsigned_abs());

            let mut end = end_of(&raw mut (*upstream).out_bufs);
            let mut take = |range: Range<usize>| {
                let link = free_buf(request, &raw mut (*upstream).free_bufs)?;
                let buf = &mut *link.as_ref().buf;
                buf.pos = start.add(range.start);
                buf.last = start.add(range.end);
                buf.set_memory(1);
                buf.set_flush(1);
                buf.tag = (*upstream).output.tag;
                *end = link.as_ptr();
                end = &raw mut (*link.as_ptr()).next;
                Ok(())
            };
            match context
                .exchange
                .read_body(request, context.location.as_ref(), received, &mut take)
            {
                BodyRead::NeedMore => {}
                BodyRead::Complete { clean } => {
                    (*upstream).length = 0;
                    (*upstream).set_keepalive(u32::from(clean));
                }
                BodyRead::Broken => (*upstream).set_error(1),
                BodyRead::Failed => return ERROR,
            }
            OK
        })
    }
}

/// nginx's input filter for buffered responses: takes over one of the pipe's buffers.
///
/// # Safety
///
/// As for [`begin`], with the context in `pipe`, and `raw` one of its buffers.
pub(super) unsafe extern "C" fn buffered<E: Exchange>(
    pipe: *mut sys::ngx_event_pipe_t,
    raw: *mut sys::ngx_buf_t,
) -> sys::ngx_int_t {
    // SAFETY: by this function's contract.
    unsafe {
        with::<E>((*pipe).input_ctx, |context, upstream, request| {
            if (*raw).pos == (*raw).last {
                return OK;
            }
            if (*pipe).upstream_done() != 0 || (*pipe).upstream_error() != 0 {
                (*upstream).set_keepalive(0);
                return OK;
            }
            let len = (*raw).last.offset_from_unsigned((*raw).pos);
            let received = core::slice::from_raw_parts((*raw).pos, len);
            let mut shadows = Shadows::of(raw);
            let mut take = |range| shadows.add(request, pipe, range);
            let read = context
                .exchange
                .read_body(request, context.location.as_ref(), received, &mut take);
            match read {
                BodyRead::NeedMore => (*pipe).length = as_length(context.exchange.needs()),
                BodyRead::Complete { clean } => {
                    (*pipe).set_upstream_done(1);
                    (*upstream).set_keepalive(u32::from(clean));
                }
                BodyRead::Broken => {
                    (*pipe).set_upstream_error(1);
                    (*pipe).set_upstream_eof(0);
                }
                BodyRead::Failed => return ERROR,
            }
            if shadows.finish() {
                OK
            } else {
                sys::ngx_event_pipe_add_free_buf(pipe, raw)
            }
        })
    }
}

/// The buffers that share the memory of one received buffer. nginx walks them through `shadow`, from the received one
/// to the last, whose `shadow` leads back; when the last was sent, the memory is free.
struct Shadows {
    received: *mut sys::ngx_buf_t,
    start: *mut u8,
    previous: *mut *mut sys::ngx_buf_t,
    last: Option<NonNull<sys::ngx_buf_t>>,
}

impl Shadows {
    /// # Safety
    ///
    /// `received` is valid while this lives.
    unsafe fn of(received: *mut sys::ngx_buf_t) -> Self {
        // SAFETY: by this function's contract.
        let (start, previous) = unsafe { ((*received).pos, &raw mut (*received).shadow) };
        Self {
            received,
            start,
            previous,
            last: None,
        }
    }

    /// Adds a buffer over a range of the received bytes to what the pipe sends.
    ///
    /// # Safety
    ///
    /// `pipe` is the pipe of the received buffer, `range` within its bytes.
    unsafe fn add(
        &mut self,
        request: Request<'_>,
        pipe: *mut sys::ngx_event_pipe_t,
        range: Range<usize>,
    ) -> Result<(), OutOfMemory> {
        // SAFETY: by this function's contract; what nginx keeps as `free` are buffers that nobody refers to.
        unsafe {
            let link = free_buf(request, &raw mut (*pipe).free)?;
            let raw = link.as_ref().buf;
            raw.write_bytes(0, 1);
            let buf = &mut *raw;
            buf.pos = self.start.add(range.start);
            buf.last = self.start.add(range.end);
            buf.start = (*self.received).start;
            buf.end = (*self.received).end;
            buf.tag = (*pipe).tag;
            buf.num = (*self.received).num;
            buf.set_temporary(1);
            buf.set_recycled(1);

            *self.previous = raw;
            self.previous = &raw mut (*raw).shadow;
            self.last = NonNull::new(raw);

            if (*pipe).in_.is_null() {
                (*pipe).in_ = link.as_ptr();
            } else {
                *(*pipe).last_in = link.as_ptr();
            }
            (*pipe).last_in = &raw mut (*link.as_ptr()).next;
        }
        Ok(())
    }

    /// Closes the circle; `false` when the received buffer held no body and is free at once.
    fn finish(self) -> bool {
        let Some(last) = self.last else {
            return false;
        };
        // SAFETY: the last buffer that `add` made.
        unsafe {
            (*last.as_ptr()).shadow = self.received;
            (*last.as_ptr()).set_last_shadow(1);
        }
        true
    }
}

/// Runs `body` with the exchange behind `data`.
///
/// # Safety
///
/// `data` is the [`Context`] of the same `E`, and no other callback is running with it.
unsafe fn with<E: Exchange>(
    data: *mut c_void,
    body: impl FnOnce(&mut Context<E>, *mut sys::ngx_http_upstream_t, Request<'_>) -> sys::ngx_int_t,
) -> sys::ngx_int_t {
    let Some(mut context) = NonNull::new(data.cast::<Context<E>>()) else {
        return ERROR;
    };
    // SAFETY: by this function's contract.
    let context = unsafe { context.as_mut() };
    // SAFETY: the context lives in its request's pool.
    let request = unsafe { Request::new(context.request) };
    let upstream = request.get().upstream;
    guard(request.log(), ERROR, || body(context, upstream, request))
}

/// A link with a buffer that nobody uses.
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

/// Where the next link of a chain belongs.
///
/// # Safety
///
/// `chain` points to null or a valid chain.
unsafe fn end_of(mut chain: *mut *mut sys::ngx_chain_t) -> *mut *mut sys::ngx_chain_t {
    // SAFETY: by this function's contract.
    unsafe {
        while !(*chain).is_null() {
            chain = &raw mut (**chain).next;
        }
    }
    chain
}

fn as_length(needs: usize) -> i64 {
    i64::try_from(needs).unwrap_or(i64::MAX)
}
