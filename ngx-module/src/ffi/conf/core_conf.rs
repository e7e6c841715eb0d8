//! The configuration in nginx's core, and of a location its handler and paths.

use core::ptr::NonNull;

use module_core::manifest::Block;
use module_core::roster::Files;

use super::ConfContext;
use crate::ffi::request::Request;
use crate::ffi::{sys, text};

/// A content handler, as nginx calls it.
pub(in crate::ffi) type Handler = unsafe extern "C" fn(*mut sys::ngx_http_request_t) -> sys::ngx_int_t;

/// Returns nginx's own configuration of `http`.
pub(super) fn main(cf: &ConfContext<'_>) -> Option<NonNull<sys::ngx_http_core_main_conf_t>> {
    let ctx = cf.get().ctx.cast::<sys::ngx_http_conf_ctx_t>();
    // SAFETY: inside `http {}` nginx keeps its context here, with its own part at its index.
    NonNull::new(unsafe { *(*ctx).main_conf.add(sys::ngx_http_core_module.ctx_index) }.cast())
}

/// Returns the core's configuration of the server that is being merged.
pub(super) fn server(cf: &ConfContext<'_>) -> *const sys::ngx_http_core_srv_conf_t {
    let ctx = cf.get().ctx.cast::<sys::ngx_http_conf_ctx_t>();
    // SAFETY: during a merge nginx keeps the server's contexts here; the core's part is merged before ours.
    unsafe { (*(*ctx).srv_conf.add(sys::ngx_http_core_module.ctx_index)).cast() }
}

/// Returns the location's core configuration.
pub(super) fn raw(cf: &ConfContext<'_>) -> Option<*mut sys::ngx_http_core_loc_conf_t> {
    let ctx = cf.get().ctx.cast::<sys::ngx_http_conf_ctx_t>();
    // SAFETY: while it merges or reads a location, nginx keeps that location's context here; the core's part of it
    // always exists.
    unsafe {
        let index = sys::ngx_http_core_module.ctx_index;
        let loc_conf = ctx.as_ref()?.loc_conf;
        loc_conf.add(index).as_ref().map(|conf| conf.cast())
    }
}

/// Makes this the location's content handler, unless it has another one. Returns whether it did.
pub(in crate::ffi) fn set_handler(cf: &ConfContext<'_>, handler: Handler) -> bool {
    let Some(conf) = raw(cf) else {
        return false;
    };
    // SAFETY: the location's own configuration, during its merge; single thread.
    let conf = unsafe { &mut *conf };
    if conf.handler.is_some() {
        return false;
    }
    conf.handler = Some(handler);
    true
}

/// For `location /name/ {}`: redirects `/name` there, as for `proxy_pass`.
pub(crate) fn redirect_to_final_slash(cf: &mut ConfContext<'_>) {
    let Some(conf) = raw(cf) else {
        return;
    };
    // SAFETY: as in `set_handler`; the name is text of the configuration.
    unsafe {
        let conf = &mut *conf;
        if text::bytes(conf.name).ends_with(b"/") {
            conf.set_auto_redirect(1);
        }
    }
}

/// Returns the block that is being merged, which is never `http`.
pub(crate) fn block(cf: &ConfContext<'_>) -> Option<Block> {
    let conf = raw(cf)?;
    // SAFETY: as in `raw` and `server`.
    let (server, location, has_no_name) = unsafe {
        let server = (*server(cf)).server_name;
        (text::bytes(server), text::bytes((*conf).name), (*conf).noname() != 0)
    };
    let [server, location] = [server, location].map(|name| String::from_utf8_lossy(name).into_owned());
    Some(match (location.is_empty(), has_no_name) {
        (true, _) => Block::Server(server),
        (false, true) => Block::InsideLocation(server, location),
        (false, false) => Block::Location(server, location),
    })
}

/// Whether the block that is being merged is an `if` or `limit_except` inside a location.
pub(crate) fn is_inside_location(cf: &ConfContext<'_>) -> bool {
    matches!(block(cf), Some(Block::InsideLocation(..)))
}

/// Returns the location's name, empty for a server's own level, and where its files are.
pub(crate) fn files<'c>(cf: &'c ConfContext<'_>) -> (&'c [u8], Files<'c>) {
    let Some(conf) = raw(cf) else {
        return (&[], Files::PerRequest);
    };
    // SAFETY: as in `set_handler`; nginx has merged its core's part of the location before ours, and its texts live
    // as long as the configuration.
    unsafe {
        let conf = &*conf;
        let name = text::bytes(conf.name);
        let dir = text::bytes(conf.root);
        let files = match conf.alias {
            _ if !conf.root_lengths.is_null() => Files::PerRequest,
            0 => Files::Root(dir),
            _ => Files::Alias(dir),
        };
        (name, files)
    }
}

/// Returns the core's configuration of a request's location.
pub(in crate::ffi) fn of(request: Request<'_>) -> *mut sys::ngx_http_core_loc_conf_t {
    // SAFETY: every request has it, at the core's place.
    unsafe { (*request.get().loc_conf.add(sys::ngx_http_core_module.ctx_index)).cast() }
}

/// Returns the directory in which nginx stores request bodies.
pub(in crate::ffi) fn client_body_temp_path(cf: &ConfContext<'_>) -> *mut sys::ngx_path_t {
    // SAFETY: as in `set_handler`; nginx has merged its core's part of the location before ours.
    raw(cf).map_or(core::ptr::null_mut(), |conf| unsafe { (*conf).client_body_temp_path })
}

/// `ngx_align(size, ngx_cacheline_size)`.
pub(in crate::ffi) fn cache_line_aligned(size: usize) -> usize {
    // SAFETY: nginx sets this once, before it reads the configuration.
    size.next_multiple_of(unsafe { sys::ngx_cacheline_size }.max(1))
}
