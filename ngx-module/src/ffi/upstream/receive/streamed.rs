//! Unbuffered responses: the bytes in the upstream's single buffer are passed on as buffers over it.

use core::ffi::c_void;
use core::ops::Range;

use super::super::exchange::Exchange;
use super::super::response_body::BodyRead;
use super::{free_buf, with};
use crate::ffi::codes::{ERROR, OK};
use crate::ffi::pool::OutOfMemory;
use crate::ffi::request::Request;
use crate::ffi::sys;

/// nginx's input filter: `bytes` more have been received in the upstream's buffer.
///
/// # Safety
///
/// nginx's call; `data` is the context of the same `E`.
pub(in crate::ffi) unsafe extern "C" fn streamed<E: Exchange>(
    data: *mut c_void,
    bytes: isize,
) -> sys::ngx_int_t {
    // SAFETY: by this function's contract: nginx has received `bytes` bytes behind `last`, within the buffer.
    unsafe {
        with::<E>(data, |mut receiving| {
            let upstream = receiving.upstream;
            let buffer = &raw mut (*upstream).buffer;
            let start = (*buffer).last;
            (*buffer).pos = start;
            (*buffer).last = start.offset(bytes);

            let mut out = Out::new(receiving.request, upstream, start);
            match receiving.decode(start, bytes.unsigned_abs(), &mut |range| out.add(range)) {
                BodyRead::NeedMore => {
                    enlarge(receiving.request, buffer, receiving.context.exchange.body().expects())
                }
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

/// The output chain.
struct Out<'r> {
    request: Request<'r>,
    upstream: *mut sys::ngx_http_upstream_t,
    /// The received bytes.
    start: *mut u8,
    /// Where the next link is added.
    end: *mut *mut sys::ngx_chain_t,
}

impl<'r> Out<'r> {
    /// # Safety
    ///
    /// `upstream` is the request's, `start` the received bytes in its buffer.
    unsafe fn new(request: Request<'r>, upstream: *mut sys::ngx_http_upstream_t, start: *mut u8) -> Self {
        // SAFETY: by this function's contract.
        let end = unsafe { end_of(&raw mut (*upstream).out_bufs) };
        Self { request, upstream, start, end }
    }

    /// Adds a range of the received bytes.
    fn add(&mut self, range: Range<usize>) -> Result<(), OutOfMemory> {
        // SAFETY: by `new`; the decoder's ranges are within the received bytes, and the link and its buffer are ours
        // until they are in the chain.
        unsafe {
            let link = free_buf(self.request, &raw mut (*self.upstream).free_bufs)?;
            let buf = &mut *link.as_ref().buf;
            buf.pos = self.start.add(range.start);
            buf.last = self.start.add(range.end);
            buf.set_memory(1);
            buf.set_flush(1);
            buf.tag = (*self.upstream).output.tag;
            *self.end = link.as_ptr();
            self.end = &raw mut (*link.as_ptr()).next;
        }
        Ok(())
    }
}

/// Size of the buffer for a long body: few system calls, and the most that a slow client makes the worker keep.
const LARGE: usize = 64 * 1024;

/// Replaces the upstream's buffer, which was allocated for the head, when much more is expected.
///
/// # Safety
///
/// `buffer` is the upstream's, with nothing in it but what was just passed on.
unsafe fn enlarge(request: Request<'_>, buffer: *mut sys::ngx_buf_t, expected: u64) {
    // SAFETY: by this function's contract. What was passed on stays in the old memory, which is the request's.
    unsafe {
        if expected < LARGE as u64 || (*buffer).end.offset_from_unsigned((*buffer).start) >= LARGE {
            return;
        }
        // If it fails, the old buffer is used, which is only slower.
        let large = sys::ngx_palloc((*request.as_ptr()).pool, LARGE).cast::<u8>();
        if large.is_null() {
            return;
        }
        (*buffer).start = large;
        (*buffer).end = large.add(LARGE);
        // Full, so that nginx receives nothing before it has sent the current bytes and rewinds the buffer itself.
        (*buffer).pos = (*buffer).end;
        (*buffer).last = (*buffer).end;
    }
}

/// Returns where the next link of a chain is added.
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
