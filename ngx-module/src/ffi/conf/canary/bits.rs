//! Checks of bit-fields: functions of nginx change a field, and our accessors must see that field change and no other.

use core::mem::offset_of;
use core::ptr::NonNull;

use super::offsets;
use crate::ffi::conf::ConfContext;
use crate::ffi::pool::{OutOfMemory, Pool};
use crate::ffi::{sys, text};

/// Returns a zeroed structure with as much space after it: this nginx's may be longer than ours, and nginx writes to
/// its end.
///
/// # Safety
///
/// All-zero bytes are a valid `T`.
unsafe fn roomy<T>(pool: Pool<'_>) -> Result<NonNull<T>, OutOfMemory> {
    // SAFETY: by this function's contract.
    Ok(unsafe { pool.zeroed::<[T; 2]>() }?.cast())
}

/// Checks connections: nginx marks one as reusable, and the neighbouring bits must stay clear.
pub(super) fn connection(cf: &ConfContext<'_>, pool: Pool<'_>) -> Result<bool, OutOfMemory> {
    let connection = connection_with_log(cf, pool)?;
    // SAFETY: the function touches the connection's log, queue and flags, and the queue of `ngx_cycle`. At nginx's
    // start that is a cycle without a queue, so the one being configured is used, which has one. The connection is
    // taken out of the queue again. Single thread.
    let (set, idle, cleared) = unsafe {
        let raw = connection.as_ptr();
        let running = sys::ngx_cycle;
        sys::ngx_cycle = cf.get().cycle;
        sys::ngx_reusable_connection(raw, 1);
        let (set, idle) = ((*raw).reusable() == 1, (*raw).idle() == 0 && (*raw).close() == 0);
        sys::ngx_reusable_connection(raw, 0);
        sys::ngx_cycle = running;
        (set, idle, (*raw).reusable() == 0)
    };
    Ok(set && idle && cleared)
}

/// Returns a connection of which nginx finds the log at any position in the first part: an additional pointer before it
/// must not crash the check.
fn connection_with_log(
    cf: &ConfContext<'_>,
    pool: Pool<'_>,
) -> Result<NonNull<sys::ngx_connection_t>, OutOfMemory> {
    // SAFETY: nginx makes connections by zeroing them.
    let connection: NonNull<sys::ngx_connection_t> = unsafe { roomy(pool) }?;
    let words = offset_of!(sys::ngx_connection_t, queue) / size_of::<usize>();
    for word in 0..words {
        // SAFETY: the structure is made of words up to its queue, and aligned as they are.
        unsafe { connection.cast::<*mut sys::ngx_log_t>().add(word).write(cf.get().log) };
    }
    Ok(connection)
}

/// Checks requests: nginx declines to read the body of a subrequest, for which it clears one bit, and counts in the
/// main request.
pub(super) fn request(pool: Pool<'_>) -> Result<bool, OutOfMemory> {
    // SAFETY: nginx makes requests by zeroing them; here one is filled with ones instead, of which the function looks
    // at no pointer but `main`, which is set, and `request_body`, which it only compares with null.
    unsafe {
        let main: NonNull<sys::ngx_http_request_t> = roomy(pool)?;
        let raw: NonNull<sys::ngx_http_request_t> = roomy(pool)?;
        raw.as_ptr().write_bytes(0xff, 1);
        (*raw.as_ptr()).main = main.as_ptr();
        sys::ngx_http_read_client_request_body(raw.as_ptr(), Some(nothing));

        let cleared = (*raw.as_ptr()).request_body_no_buffering() == 0;
        (*raw.as_ptr()).set_request_body_no_buffering(1);
        (*raw.as_ptr()).main = core::ptr::without_provenance_mut(usize::MAX);
        let counted = (*main.as_ptr()).count() == 1;
        (*main.as_ptr()).set_count(0);
        Ok(cleared && counted && all_bytes_are(raw, 0xff) && all_bytes_are(main, 0))
    }
}

extern "C" fn nothing(_request: *mut sys::ngx_http_request_t) {}

/// # Safety
///
/// Every byte of the value has been written.
unsafe fn all_bytes_are<T>(value: NonNull<T>, byte: u8) -> bool {
    // SAFETY: by this function's contract.
    let bytes = unsafe { core::slice::from_raw_parts(value.as_ptr().cast::<u8>(), size_of::<T>()) };
    bytes.iter().all(|found| *found == byte)
}

/// Checks requests: nginx sets the variable `$limit_rate`, for which it writes a number and one bit of the request.
pub(super) fn limit_rate(cf: &mut ConfContext<'_>, pool: Pool<'_>) -> Result<bool, OutOfMemory> {
    let Some(set) = offsets::variable(cf, b"limit_rate").and_then(|variable| variable.set_handler) else {
        return Ok(true);
    };
    // SAFETY: nginx makes requests and values by zeroing them. The function looks at the value, and writes to the
    // request what it holds; it does not complain about this value, so it needs no connection.
    unsafe {
        let request: NonNull<sys::ngx_http_request_t> = roomy(pool)?;
        let raw = request.as_ptr();
        let mut value: sys::ngx_http_variable_value_t = core::mem::zeroed();
        value.set_len(1);
        value.data = text::over(b"7").data;
        set(raw, &raw mut value, 0);

        let written = (*raw).limit_rate == 7 && (*raw).limit_rate_set() == 1;
        (*raw).limit_rate = 0;
        (*raw).set_limit_rate_set(0);
        Ok(written && all_bytes_are(request, 0))
    }
}

/// Checks upstreams: nginx creates one, in which it marks two lengths as unknown and sets the log level of the peer's
/// errors.
pub(super) fn upstream(cf: &ConfContext<'_>, pool: Pool<'_>) -> Result<bool, OutOfMemory> {
    // SAFETY: the function looks at the request's pool, connection's log and upstream, which is null.
    unsafe {
        let connection = connection_with_log(cf, pool)?;
        let request: NonNull<sys::ngx_http_request_t> = roomy(pool)?;
        let raw = request.as_ptr();
        (*raw).pool = pool.as_ptr();
        (*raw).connection = connection.as_ptr();
        (*raw).main = raw;
        if sys::ngx_http_upstream_create(raw) != 0 {
            return Err(OutOfMemory);
        }
        let made = &*(*raw).upstream;
        Ok(made.headers_in.content_length_n == -1
            && made.headers_in.last_modified_time == -1
            && made.peer.log == cf.get().log
            && made.peer.log_error() == sys::ngx_connection_log_error_e_NGX_ERROR_ERR
            && made.buffering() == 0
            && made.keepalive() == 0
            && made.upgrade() == 0)
    }
}

/// Checks events: whether a worker may exit while there is a timer depends on one bit of the timer's event.
pub(super) fn event(cf: &ConfContext<'_>, pool: Pool<'_>) -> Result<bool, OutOfMemory> {
    // SAFETY: nginx makes events by zeroing them. The functions touch the tree of timers, for which an empty one is used
    // in meanwhile, and of its events only the timer and this bit. Single thread.
    unsafe {
        let event: NonNull<sys::ngx_event_t> = roomy(pool)?;
        let running = core::ptr::read(&raw const sys::ngx_event_timer_rbtree);
        sys::ngx_event_timer_init(cf.get().log);
        sys::ngx_rbtree_insert(&raw mut sys::ngx_event_timer_rbtree, &raw mut (*event.as_ptr()).timer);
        let waits = sys::ngx_event_no_timers_left() != 0;
        (*event.as_ptr()).set_cancelable(1);
        let ends = sys::ngx_event_no_timers_left() == 0;
        core::ptr::write(&raw mut sys::ngx_event_timer_rbtree, running);
        Ok(waits && ends)
    }
}

/// Checks buffers: nginx creates a temporary buffer, in which it sets one bit.
pub(super) fn buffer(pool: Pool<'_>) -> Result<bool, OutOfMemory> {
    // SAFETY: nginx's call; the buffer is ours.
    unsafe {
        let buf = NonNull::new(sys::ngx_create_temp_buf(pool.as_ptr(), 16)).ok_or(OutOfMemory)?;
        let raw = buf.as_ptr();
        let placed = (*raw).start == (*raw).pos && (*raw).end == (*raw).start.add(16);
        let marked = (*raw).temporary() == 1;
        (*raw).set_temporary(0);
        (*raw).start = core::ptr::null_mut();
        (*raw).pos = core::ptr::null_mut();
        (*raw).last = core::ptr::null_mut();
        (*raw).end = core::ptr::null_mut();
        Ok(placed && marked && all_bytes_are(buf, 0))
    }
}
