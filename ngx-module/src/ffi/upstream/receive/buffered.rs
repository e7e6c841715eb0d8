//! Buffered responses: each of the pipe's received buffers is replaced by buffers over its body bytes.

use core::ops::Range;
use core::ptr::NonNull;

use super::super::exchange::Exchange;
use super::super::response_body::BodyRead;
use super::{as_length, free_buf, with};
use crate::ffi::codes::{ERROR, OK};
use crate::ffi::pool::OutOfMemory;
use crate::ffi::request::Request;
use crate::ffi::sys;

/// nginx's input filter: processes one of the pipe's buffers.
///
/// # Safety
///
/// nginx's call; the pipe holds the context of the same `E`, and `raw` is one of its buffers.
pub(in crate::ffi) unsafe extern "C" fn buffered<E: Exchange>(
    pipe: *mut sys::ngx_event_pipe_t,
    raw: *mut sys::ngx_buf_t,
) -> sys::ngx_int_t {
    // SAFETY: by this function's contract; the buffer's bytes are between `pos` and `last`.
    unsafe {
        with::<E>((*pipe).input_ctx, |mut receiving| {
            let upstream = receiving.upstream;
            if (*raw).pos == (*raw).last {
                return OK;
            }
            if (*pipe).upstream_done() != 0 || (*pipe).upstream_error() != 0 {
                (*upstream).set_keepalive(0);
                return OK;
            }
            let (start, len) = ((*raw).pos, (*raw).last.offset_from_unsigned((*raw).pos));
            let mut shadows = Shadows::of(receiving.request, pipe, raw);
            match receiving.decode(start, len, &mut |range| shadows.add(range)) {
                BodyRead::NeedMore => (*pipe).length = as_length(receiving.context.exchange.body().needs()),
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
            if shadows.finish() { OK } else { sys::ngx_event_pipe_add_free_buf(pipe, raw) }
        })
    }
}

/// The buffers that share the memory of one received buffer. nginx follows `shadow` from the received one
/// to the last, whose `shadow` points back; when the last was sent, the memory is free.
struct Shadows<'r> {
    request: Request<'r>,
    pipe: *mut sys::ngx_event_pipe_t,
    received: *mut sys::ngx_buf_t,
    start: *mut u8,
    previous: *mut *mut sys::ngx_buf_t,
    last: Option<NonNull<sys::ngx_buf_t>>,
}

impl<'r> Shadows<'r> {
    /// # Safety
    ///
    /// `received` is one of the buffers of `pipe`, which is the request's; both are valid while this lives.
    unsafe fn of(
        request: Request<'r>,
        pipe: *mut sys::ngx_event_pipe_t,
        received: *mut sys::ngx_buf_t,
    ) -> Self {
        // SAFETY: by this function's contract.
        let (start, previous) = unsafe { ((*received).pos, &raw mut (*received).shadow) };
        Self { request, pipe, received, start, previous, last: None }
    }

    /// Adds a buffer over a range of the received bytes to the pipe's output.
    fn add(&mut self, range: Range<usize>) -> Result<(), OutOfMemory> {
        let pipe = self.pipe;
        // SAFETY: by `of`; the decoder's ranges are within the received bytes, and what nginx keeps as `free` are
        // buffers that nothing refers to.
        unsafe {
            let link = free_buf(self.request, &raw mut (*pipe).free)?;
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

    /// Closes the ring; `false` when the received buffer contained no body and is free immediately.
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
