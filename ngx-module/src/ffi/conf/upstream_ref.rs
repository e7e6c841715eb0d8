//! References to upstream blocks.

use core::ptr::NonNull;

use crate::ffi::sys;

/// An upstream block, valid as long as the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UpstreamRef(NonNull<sys::ngx_http_upstream_srv_conf_t>);

impl UpstreamRef {
    pub(in crate::ffi) fn new(raw: *mut sys::ngx_http_upstream_srv_conf_t) -> Option<Self> {
        NonNull::new(raw).map(Self)
    }

    pub(in crate::ffi) fn of(raw: NonNull<sys::ngx_http_upstream_srv_conf_t>) -> Self {
        Self(raw)
    }

    pub(in crate::ffi) fn as_ptr(self) -> *mut sys::ngx_http_upstream_srv_conf_t {
        self.0.as_ptr()
    }
}
