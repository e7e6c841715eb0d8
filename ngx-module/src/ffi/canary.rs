//! A check at load time that this nginx lays out its structures as the headers we were built with: nginx's own functions
//! change a field, and our accessors have to see it.
//!
//! nginx checks a version and a signature, but a distribution's patch can move a bit-field without changing either.
//! Such a module loads, and then sets wrong flags under load. The check runs where a failure costs nothing.

use core::ptr::NonNull;

use super::conf::ConfContext;
use super::pool::{OutOfMemory, Pool};
use super::sys;
use super::text;

/// Compares layouts; the name of a structure that differs is the error.
pub(super) fn check(cf: &mut ConfContext<'_>) -> Result<(), &'static str> {
    let pool = cf.pool().map_err(|OutOfMemory| "memory")?;
    let verdicts = [
        ("ngx_connection_t", connection(cf, pool)),
        ("ngx_http_request_t", request(pool)),
        ("ngx_http_upstream_t", upstream(cf, pool)),
        ("ngx_buf_t", buffer(pool)),
        ("ngx_http_headers_in_t", Ok(headers_in())),
        ("ngx_http_request_t", Ok(request_args(cf))),
    ];
    match verdicts.into_iter().find(|(_, verdict)| *verdict != Ok(true)) {
        Some((what, _)) => Err(what),
        None => Ok(()),
    }
}

/// nginx marks a connection as reusable: the neighbouring bits must stay clear.
fn connection(cf: &ConfContext<'_>, pool: Pool<'_>) -> Result<bool, OutOfMemory> {
    // SAFETY: nginx makes connections by zeroing them.
    let connection: NonNull<sys::ngx_connection_t> = unsafe { pool.zeroed() }?;
    // SAFETY: the function touches the connection's log, queue and flags, and the queue of `ngx_cycle`. At nginx's
    // start that is a cycle without a queue, so the one being configured stands in, which has one. The connection is
    // taken out of the queue again. Single thread.
    let (set, idle, cleared) = unsafe {
        let raw = connection.as_ptr();
        (*raw).log = cf.get().log;
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

/// nginx declines to read the body of a subrequest: it clears one bit there, and counts in the main request.
fn request(pool: Pool<'_>) -> Result<bool, OutOfMemory> {
    // SAFETY: nginx makes requests by zeroing them; here one is filled with ones instead, of which the function looks
    // at no pointer but `main`, which is set, and `request_body`, which it only compares with null.
    unsafe {
        let main: NonNull<sys::ngx_http_request_t> = pool.zeroed()?;
        let raw: NonNull<sys::ngx_http_request_t> = pool.zeroed()?;
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

/// nginx makes an upstream: it marks two lengths as unknown, and the peer's errors as errors.
fn upstream(cf: &ConfContext<'_>, pool: Pool<'_>) -> Result<bool, OutOfMemory> {
    // SAFETY: the function looks at the request's pool, connection's log and upstream, which is null.
    unsafe {
        let connection: NonNull<sys::ngx_connection_t> = pool.zeroed()?;
        (*connection.as_ptr()).log = cf.get().log;
        let request: NonNull<sys::ngx_http_request_t> = pool.zeroed()?;
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

/// nginx makes a temporary buffer: it sets one bit.
fn buffer(pool: Pool<'_>) -> Result<bool, OutOfMemory> {
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

/// nginx tells where it keeps each header it knows.
fn headers_in() -> bool {
    use core::mem::offset_of;
    type Headers = sys::ngx_http_headers_in_t;
    let expected: [(&[u8], usize); 5] = [
        (b"Host", offset_of!(Headers, host)),
        (b"Connection", offset_of!(Headers, connection)),
        (b"Content-Length", offset_of!(Headers, content_length)),
        (b"Upgrade", offset_of!(Headers, upgrade)),
        (b"Authorization", offset_of!(Headers, authorization)),
    ];
    let table = &raw const sys::ngx_http_headers_in;
    let mut entry = table.cast::<sys::ngx_http_header_t>();
    let mut seen = 0;
    // SAFETY: nginx's table ends with an empty name; the names are static.
    unsafe {
        while (*entry).name.len != 0 {
            let name = text::bytes((*entry).name);
            if let Some((_, offset)) = expected.iter().find(|(known, _)| *known == name) {
                if *offset != (*entry).offset {
                    return false;
                }
                seen += 1;
            }
            entry = entry.add(1);
        }
    }
    seen == expected.len()
}

/// nginx tells where it keeps the query: its variable `$args` can be set, and says where.
fn request_args(cf: &mut ConfContext<'_>) -> bool {
    let mut name = text::over(b"args");
    // SAFETY: nginx's call; adding a variable that exists gives the one that exists.
    let variable = unsafe {
        let flags = sys::NGX_HTTP_VAR_CHANGEABLE as usize;
        sys::ngx_http_add_variable(cf.as_ptr(), &raw mut name, flags).as_ref()
    };
    variable.is_some_and(|variable| variable.data == core::mem::offset_of!(sys::ngx_http_request_t, args))
}
