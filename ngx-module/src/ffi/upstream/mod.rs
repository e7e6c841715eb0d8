//! One request's exchange with the daemon: nginx's upstream callbacks, which call an [`Exchange`].
//!
//! nginx determines the order: `create_request`, then for each attempt `output`, `process_header`, `input_filter_init`
//! and an input filter; `reinit_request` before another attempt; `finalize_request` at the end in every case.

pub(crate) mod body;
pub(crate) mod chain;
pub(crate) mod connect_advice;
pub(crate) mod context;
pub(crate) mod exchange;
mod own_response;
pub(crate) mod receive;
pub(crate) mod reply;
pub(crate) mod response_body;
pub(crate) mod send;

use core::ffi::c_void;
use core::ptr::NonNull;

use super::codes::{AGAIN, DONE, ERROR, INTERNAL_ERROR, INVALID_HEADER, OK, SPECIAL_RESPONSE};
use super::conf::upstream_conf::UpstreamConf;
use super::guard::guard;
use super::pool::OutOfMemory;
use super::request::{Request, error_page};
use super::{module_index, sys, text};
use context::{Context, SendState};
use exchange::{Exchange, HeadRead};
use reply::Reply;
use response_body::ResponseBody;

/// The return value of `process_header` for an interim response, where nginx supports them.
#[cfg(nginx_has_early_hints)]
const EARLY_HINTS: sys::ngx_int_t = sys::NGX_HTTP_UPSTREAM_EARLY_HINTS as sys::ngx_int_t;
#[cfg(not(nginx_has_early_hints))]
const EARLY_HINTS: sys::ngx_int_t = ERROR;

/// Passes a request to nginx's upstream module.
pub(super) fn begin<E: Exchange>(
    request: Request<'_>,
    location: &E::Location,
    exchange: E,
) -> sys::ngx_int_t {
    let raw = request.as_ptr();
    // SAFETY: nginx's call, in a content handler.
    if unsafe { sys::ngx_http_upstream_create(raw) } != OK {
        return INTERNAL_ERROR;
    }
    if prepare(request, location, exchange).is_err() {
        return INTERNAL_ERROR;
    }
    // SAFETY: nginx's call. It reads the body and then starts the upstream, which may happen before it returns: no
    // reference into the request or the context is held here.
    let read = unsafe { sys::ngx_http_read_client_request_body(raw, Some(sys::ngx_http_upstream_init)) };
    if read >= SPECIAL_RESPONSE { read } else { DONE }
}

fn prepare<E: Exchange>(
    request: Request<'_>,
    location: &E::Location,
    exchange: E,
) -> Result<(), OutOfMemory> {
    let pool = request.pool()?;
    let raw = NonNull::new(request.as_ptr()).ok_or(OutOfMemory)?;
    let context =
        Context { request: raw, location: NonNull::from(location), exchange, sending: SendState::default() };
    let context: NonNull<Context<E>> = pool.place(context)?;
    // SAFETY: zero is a valid value; nginx makes it with `ngx_pcalloc`.
    let pipe: NonNull<sys::ngx_event_pipe_t> = unsafe { pool.zeroed() }?;
    let conf: &UpstreamConf = location.as_ref();
    let streams_body = E::SENDS_BODY && !conf.buffers_requests();
    let data = context.as_ptr().cast::<c_void>();

    // SAFETY: `ngx_http_upstream_create` has made the upstream; both structures are this request's own.
    unsafe {
        let pipe = &mut *pipe.as_ptr();
        pipe.input_filter = Some(receive::buffered::<E>);
        pipe.input_ctx = data;

        let upstream = &mut *(*request.as_ptr()).upstream;
        upstream.schema = text::over(b"passenger://");
        upstream.output.tag = module_index::address();
        upstream.conf = conf.as_ptr();
        upstream.create_request = Some(create_request::<E>);
        upstream.reinit_request = Some(reinit_request::<E>);
        upstream.process_header = Some(process_header::<E>);
        upstream.abort_request = Some(abort_request);
        upstream.finalize_request = Some(finalize_request::<E>);
        upstream.set_buffering(u32::from(conf.buffers_responses()));
        upstream.pipe = pipe;
        upstream.input_filter_init = Some(receive::begin::<E>);
        upstream.input_filter = Some(receive::streamed::<E>);
        upstream.input_filter_ctx = data;
        (*request.as_ptr()).set_request_body_no_buffering(u32::from(streams_body));
    }
    Ok(())
}

/// Runs `body` with a request's exchange, for a callback whose argument is the request.
///
/// # Safety
///
/// `raw` is a request whose upstream was set up by [`begin`] of the same `E`, and no other callback is running with it:
/// nginx calls none from within the functions that ours call.
unsafe fn with<E: Exchange, T: Copy>(
    raw: *mut sys::ngx_http_request_t,
    failure: T,
    body: impl FnOnce(Request<'_>, &mut Context<E>) -> T,
) -> T {
    let Some(raw) = NonNull::new(raw) else {
        return failure;
    };
    // SAFETY: nginx's call.
    let request = unsafe { Request::new(raw) };
    guard(request.log(), failure, || {
        // SAFETY: `begin` put the context there; it lives in the request's pool.
        let context = unsafe { (*(*raw.as_ptr()).upstream).input_filter_ctx.cast::<Context<E>>().as_mut() };
        context.map_or(failure, |context| body(request, context))
    })
}

/// # Safety
///
/// As for [`with`].
unsafe extern "C" fn create_request<E: Exchange>(raw: *mut sys::ngx_http_request_t) -> sys::ngx_int_t {
    // SAFETY: by this function's contract.
    unsafe {
        with::<E, _>(raw, ERROR, |request, context| match send::create(request, context) {
            Ok(()) => OK,
            Err(why) => {
                request.log().error(format_args!("cannot forward the request to flying-passenger: {why}"));
                ERROR
            }
        })
    }
}

/// # Safety
///
/// As for [`with`].
unsafe extern "C" fn reinit_request<E: Exchange>(raw: *mut sys::ngx_http_request_t) -> sys::ngx_int_t {
    // SAFETY: by this function's contract.
    unsafe {
        with::<E, _>(raw, ERROR, |request, context| {
            if !context.sending.reset() {
                request
                    .log()
                    .error(format_args!("cannot retry the request: its body was sent in several frames"));
                return ERROR;
            }
            *context.exchange.body() = ResponseBody::default();
            OK
        })
    }
}

/// # Safety
///
/// As for [`with`].
unsafe extern "C" fn process_header<E: Exchange>(raw: *mut sys::ngx_http_request_t) -> sys::ngx_int_t {
    // SAFETY: by this function's contract; the bytes between `pos` and `last` are what nginx has received, and stay
    // in place while `read_head` runs.
    unsafe {
        with::<E, _>(raw, ERROR, |request, context| {
            let upstream = (*raw).upstream;
            let buffer = &raw mut (*upstream).buffer;
            let len = (*buffer).last.offset_from_unsigned((*buffer).pos);
            let room = (*buffer).end.offset_from_unsigned((*buffer).pos);
            let bytes = core::slice::from_raw_parts((*buffer).pos, len);
            let mut reply = Reply::new(request);
            match context.exchange.read_head(request, context.location.as_ref(), &mut reply, bytes, room) {
                HeadRead::NeedMore => AGAIN,
                HeadRead::Found(used) => {
                    (*buffer).pos = (*buffer).pos.add(used.min(len));
                    OK
                }
                HeadRead::Interim(used) => {
                    (*buffer).pos = (*buffer).pos.add(used.min(len));
                    EARLY_HINTS
                }
                HeadRead::Invalid => INVALID_HEADER,
                HeadRead::Failed => ERROR,
            }
        })
    }
}

/// Part of nginx's interface, called by no release.
extern "C" fn abort_request(_raw: *mut sys::ngx_http_request_t) {}

/// # Safety
///
/// As for [`with`].
unsafe extern "C" fn finalize_request<E: Exchange>(raw: *mut sys::ngx_http_request_t, rc: sys::ngx_int_t) {
    // SAFETY: by this function's contract; the peer's name is null or lives as long as the request.
    unsafe {
        with::<E, _>(raw, (), |request, context| {
            let upstream = &*(*raw).upstream;
            if rc == sys::NGX_HTTP_BAD_GATEWAY as sys::ngx_int_t && upstream.request_sent() == 0 {
                let peer = upstream.peer.name.as_ref().map_or(&[][..], |name| text::bytes(*name));
                connect_advice::log_problem(request, peer);
                let problem = || connect_advice::problem(peer);
                if let Some((status, html)) = E::unreachable_page(context.location.as_ref(), problem) {
                    // Without memory the visitor gets nginx's own page.
                    let _kept = error_page::keep(request, status, html);
                }
            }
            let failed = rc >= INTERNAL_ERROR && upstream.header_sent() == 0;
            if let Some(response) = context.exchange.without_daemon(request).filter(|_| failed)
                && own_response::send(request, response)
            {
                // nginx sends no error page then; it closes the client's connection.
                (*(*raw).upstream).set_header_sent(1);
            }
        });
    }
}
