//! Sending a request to the daemon: its head and body as frames on nginx's output chain.

use core::cell::RefCell;
use core::ffi::c_void;
use core::ptr::{NonNull, null_mut};

use protocol::frame::{FLAG_END, FrameHeader, FrameType, HEADER_LEN};

use super::body::{self, Body};
use super::chain::{self, Builder};
use super::context::{Context, SendState};
use super::exchange::Exchange;
use crate::ffi::codes::{AGAIN, ERROR};
use crate::ffi::guard::guard;
use crate::ffi::pool::{OutOfMemory, Pool};
use crate::ffi::request::Request;
use crate::ffi::sys;

thread_local! {
    /// Buffer in which heads are written before their length is known; kept, so that a request needs no allocation for
    /// it.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A larger buffer is freed.
const MAX_SCRATCH: usize = 64 * 1024;

/// Creates the frames of a request: its head, and the body if it has been read.
pub(in crate::ffi) fn create<E: Exchange>(
    request: Request<'_>,
    context: &mut Context<E>,
) -> Result<(), String> {
    SCRATCH.with_borrow_mut(|scratch| {
        scratch.clear();
        scratch.shrink_to(MAX_SCRATCH);
        let body = if E::SENDS_BODY { Body::of(request) } else { Body::None };
        // SAFETY: the location's configuration outlives the request.
        let location = unsafe { context.location.as_ref() };
        context.exchange.write_head(request, location, body, scratch)?;
        build_chain(request, context, body, scratch).map_err(|OutOfMemory| "out of memory".to_owned())
    })
}

fn build_chain<E: Exchange>(
    request: Request<'_>,
    context: &mut Context<E>,
    body: Body,
    head: &mut Vec<u8>,
) -> Result<(), OutOfMemory> {
    let pool = request.pool()?;
    let mut chain = Builder::new();
    match body {
        Body::Read(len) => match body::single_frame_header(len) {
            Some(header) => {
                head.extend_from_slice(&header);
                chain.push(chain::link(pool, chain::copied(pool, head)?)?);
                body::append(request, &mut chain)?;
            }
            None => {
                chain.push(chain::link(pool, chain::copied(pool, head)?)?);
                body::append_split(request, len, &mut chain)?;
                context.sending.is_split = true;
            }
        },
        Body::None | Body::Streaming(_) => chain.push(chain::link(pool, chain::copied(pool, head)?)?),
    }
    context.sending.frames_body = matches!(body, Body::Streaming(_));
    // SAFETY: the request's upstream was made by `begin`, which put the context there.
    unsafe {
        let upstream = &mut *request.get().upstream;
        upstream.request_bufs = chain.first();
        upstream.output.output_filter = Some(output::<E>);
        upstream.output.filter_ctx = upstream.input_filter_ctx;
    }
    Ok(())
}

/// nginx's output filter: called with each part of the request when it can be sent.
///
/// # Safety
///
/// nginx's call; `data` is the [`Context`] of the same `E`, and `chain` null or a valid chain.
unsafe extern "C" fn output<E: Exchange>(data: *mut c_void, chain: *mut sys::ngx_chain_t) -> sys::ngx_int_t {
    let Some(mut context) = NonNull::new(data.cast::<Context<E>>()) else {
        return ERROR;
    };
    // SAFETY: by this function's contract; nginx calls no other of our callbacks meanwhile.
    let context = unsafe { context.as_mut() };
    // SAFETY: the context lives in its request's pool.
    let request = unsafe { Request::new(context.request) };
    guard(request.log(), ERROR, || {
        // SAFETY: the location's configuration outlives the request.
        let greeting = E::greeting(unsafe { context.location.as_ref() });
        // SAFETY: by this function's contract.
        unsafe { send(request, &mut context.sending, greeting, chain) }.unwrap_or(ERROR)
    })
}

/// # Safety
///
/// `chain` is null or a valid chain.
unsafe fn send(
    request: Request<'_>,
    sending: &mut SendState,
    greeting: &[u8],
    chain: *mut sys::ngx_chain_t,
) -> Result<sys::ngx_int_t, OutOfMemory> {
    if sending.is_aborted {
        return Ok(AGAIN);
    }
    let greets = !core::mem::replace(&mut sending.greeted, true) && is_fresh(request);
    if !greets && !sending.frames_body {
        return Ok(write(request, sending, chain));
    }
    let pool = request.pool()?;
    let mut out = Builder::new();
    if greets {
        out.push(chain::link(pool, chain::copied(pool, greeting)?)?);
    }
    // SAFETY: by this function's contract.
    unsafe {
        if sending.frames_body {
            frame(pool, sending, chain, &mut out)?;
        } else {
            for link in chain::links(chain) {
                out.push(chain::link(pool, NonNull::new(link.as_ref().buf).ok_or(OutOfMemory)?)?);
            }
        }
    }
    let mut first = out.first();
    let rc = write(request, sending, first);
    // SAFETY: nginx's call, as its proxy module makes it: buffers with our tag go back to `free` when they are sent, and
    // all other links to the pool.
    unsafe {
        sys::ngx_chain_update_chains(
            pool.as_ptr(),
            &raw mut sending.free,
            &raw mut sending.busy,
            &raw mut first,
            tag(),
        );
    }
    Ok(rc)
}

/// Calls nginx's writer, which makes its own links to the chain's buffers.
fn write(request: Request<'_>, sending: &mut SendState, chain: *mut sys::ngx_chain_t) -> sys::ngx_int_t {
    // SAFETY: nginx calls the output filter with a connection, whose writer is the upstream's.
    let rc = unsafe {
        let writer = &raw mut (*request.get().upstream).writer;
        sys::ngx_chain_writer(writer.cast(), chain)
    };
    sending.is_aborted = rc == ERROR && read_response_instead(request);
    if sending.is_aborted { AGAIN } else { rc }
}

/// Reads the response although sending failed. An app that rejects an upload responds without having read it, and the
/// daemon then closes the connection. nginx would detect that writing fails, and give up, but the response has arrived.
/// Marked as readable, the connection is read next, which yields the response, or an end that nginx treats as a
/// failure.
fn read_response_instead(request: Request<'_>) -> bool {
    // SAFETY: nginx calls the output filter with a connection, which has both its events.
    unsafe {
        let connection = &*(*request.get().upstream).peer.connection;
        let socket_failed = (*connection.write).error() != 0;
        if socket_failed {
            (*connection.read).set_ready(1);
        }
        socket_failed
    }
}

/// Whether nothing was sent before on this attempt's connection: nginx counts a connection's requests.
fn is_fresh(request: Request<'_>) -> bool {
    // SAFETY: nginx calls the output filter with a connection only.
    unsafe { (*request.get().upstream).peer.connection.as_ref() }
        .is_some_and(|connection| connection.requests == 1)
}

/// Adds a frame header before a part of the body. The first buffer of the request is the head, which is already a
/// frame.
///
/// # Safety
///
/// `chain` is null or a valid chain.
unsafe fn frame(
    pool: Pool<'_>,
    sending: &mut SendState,
    chain: *mut sys::ngx_chain_t,
    out: &mut Builder,
) -> Result<(), OutOfMemory> {
    let mut body = Builder::new();
    let (mut len, mut is_last) = (0, false);
    // SAFETY: by this function's contract; the buffers are valid as long as the chain.
    for link in unsafe { chain::links(chain) } {
        // SAFETY: as above.
        let raw = NonNull::new(unsafe { link.as_ref().buf }).ok_or(OutOfMemory)?;
        if !sending.head_passed {
            sending.head_passed = true;
            out.push(chain::link(pool, raw)?);
            continue;
        }
        // SAFETY: as above; single thread.
        let buf = unsafe { &mut *raw.as_ptr() };
        is_last |= buf.last_buf() != 0;
        buf.set_last_buf(0);
        let size = chain::size(buf);
        if size > 0 {
            len += size;
            body.push(chain::link(pool, raw)?);
        }
    }
    if len > 0 || is_last {
        let flags = if is_last { FLAG_END } else { 0 };
        // A part is at most the size of a buffer, far below 4 GiB.
        let header = FrameHeader::new(FrameType::RequestBody, flags, u32::try_from(len).unwrap_or(u32::MAX));
        out.push(header_link(pool, sending, &header.encode())?);
        // SAFETY: links that were just made.
        unsafe { chain::links(body.first()) }.for_each(|link| out.push(link));
    }
    Ok(())
}

/// Returns a link to a frame header's buffer, which is reused after it was sent.
fn header_link(
    pool: Pool<'_>,
    sending: &mut SendState,
    bytes: &[u8; HEADER_LEN],
) -> Result<NonNull<sys::ngx_chain_t>, OutOfMemory> {
    // SAFETY: nginx's call: takes a link from `free`, or makes one with a zeroed buffer.
    let link = unsafe { sys::ngx_chain_get_free_buf(pool.as_ptr(), &raw mut sending.free) };
    let link = NonNull::new(link).ok_or(OutOfMemory)?;
    // SAFETY: the link and its buffer are ours; a buffer with memory has `HEADER_LEN` bytes of it.
    unsafe {
        let buf = &mut *link.as_ref().buf;
        if buf.start.is_null() {
            buf.start = pool.copy(&[bytes])?.as_ptr();
            buf.end = buf.start.add(HEADER_LEN);
        }
        buf.start.copy_from_nonoverlapping(bytes.as_ptr(), HEADER_LEN);
        buf.pos = buf.start;
        buf.last = buf.end;
        buf.tag = tag();
        buf.set_temporary(1);
        (*link.as_ptr()).next = null_mut();
    }
    Ok(link)
}

/// Returns the tag of the buffers of frame headers. It differs from that of nginx's own output chain, which contains
/// copies of files under that tag and takes them back itself.
fn tag() -> sys::ngx_buf_tag_t {
    static TAG: u8 = 0;
    (&raw const TAG).cast_mut().cast()
}
