//! The names of a server: its `server_name` directives, kept for requests.

#[cfg(nginx_has_regex)]
use core::ptr::NonNull;

use module_core::host;

use super::ConfContext;
use crate::ffi::request::Request;
use crate::ffi::{sys, text};

/// A name of a server.
#[derive(Debug, Clone)]
pub(crate) struct ServerName {
    name: Vec<u8>,
    #[cfg(nginx_has_regex)]
    regex: Option<NonNull<sys::ngx_http_regex_t>>,
}

/// Returns the names of the server whose location is being merged. nginx itself keeps them only until it has read the
/// configuration.
pub(crate) fn of_block(cf: &ConfContext<'_>) -> Vec<ServerName> {
    let ctx = cf.get().ctx.cast::<sys::ngx_http_conf_ctx_t>();
    // SAFETY: while nginx merges a location it keeps the contexts of its server here; the core's part is there and merged
    // before ours. Its array holds names, whose texts live as long as the configuration is read.
    unsafe {
        let server = *(*ctx).srv_conf.add(sys::ngx_http_core_module.ctx_index);
        let names = &(*server.cast::<sys::ngx_http_core_srv_conf_t>()).server_names;
        let first = names.elts.cast::<sys::ngx_http_server_name_t>();
        (0..names.nelts).map(|at| ServerName::new(&*first.add(at))).collect()
    }
}

impl ServerName {
    /// # Safety
    ///
    /// `raw` is an element of a server's names, while nginx reads the configuration.
    unsafe fn new(raw: &sys::ngx_http_server_name_t) -> Self {
        Self {
            // SAFETY: by this function's contract.
            name: unsafe { text::bytes(raw.name) }.to_owned(),
            #[cfg(nginx_has_regex)]
            regex: NonNull::new(raw.regex),
        }
    }

    /// Whether it states how clients name the server.
    pub(crate) fn is_telling(&self) -> bool {
        host::is_telling(&self.name)
    }

    /// Whether it matches the name that the request is for.
    pub(crate) fn matches(&self, request: Request<'_>) -> bool {
        #[cfg(nginx_has_regex)]
        if let Some(regex) = self.regex {
            let mut host = request.get().headers_in.server;
            // SAFETY: nginx's call, which changes neither; compiled expressions are in the configuration's pool, and requests
            // end before their configuration does.
            return unsafe { sys::ngx_http_regex_exec(request.as_ptr(), regex.as_ptr(), &raw mut host) } == 0;
        }
        host::matches(&self.name, request.host())
    }
}
