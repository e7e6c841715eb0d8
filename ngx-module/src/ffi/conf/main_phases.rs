//! The phases of a request, to which nginx's modules add handlers when the configuration has been read.

use super::ConfContext;
use super::core_conf::{self, Handler};
use crate::ffi::sys;

/// Adds a handler that nginx calls after its own content handlers. Returns whether there was memory for it.
pub(in crate::ffi) fn add_last_content_handler(cf: &ConfContext<'_>, handler: Handler) -> bool {
    let Some(core) = core_conf::main(cf) else {
        return false;
    };
    let phase = sys::ngx_http_phases_NGX_HTTP_CONTENT_PHASE as usize;
    // SAFETY: the core's configuration of `http`, while modules add their handlers; single thread. The array holds
    // handlers, and `push` has made room for one more.
    unsafe {
        let phases = &raw mut (*core.as_ptr()).phases;
        let Some(phase) = (*phases).get_mut(phase) else {
            return false;
        };
        let handlers = &raw mut phase.handlers;
        if sys::ngx_array_push(handlers).is_null() {
            return false;
        }
        // nginx calls them from the last to the first.
        let first = (*handlers).elts.cast::<Option<Handler>>();
        core::ptr::copy(first, first.add(1), (*handlers).nelts - 1);
        first.write(Some(handler));
    }
    true
}
