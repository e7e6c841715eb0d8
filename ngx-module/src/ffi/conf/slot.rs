//! Fields of nginx's own configuration of an upstream, each with nginx's setter for it.

use core::ffi::{c_char, c_void};
use core::mem::offset_of;
use core::ptr::null_mut;

use crate::ffi::sys;

/// A directive's setter.
pub(in crate::ffi) type Set =
    unsafe extern "C" fn(*mut sys::ngx_conf_t, *mut sys::ngx_command_t, *mut c_void) -> *mut c_char;

/// A field that a setter of nginx fills.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slot {
    pub(in crate::ffi) set: Set,
    pub(in crate::ffi) offset: usize,
    is_ignore_headers: bool,
}

impl Slot {
    /// `passenger_read_timeout`.
    pub(crate) const READ_TIMEOUT: Self = slot(sys::ngx_conf_set_msec_slot, offset_of!(Raw, read_timeout));
    /// `passenger_buffer_response`.
    pub(crate) const BUFFERING: Self = slot(sys::ngx_conf_set_flag_slot, offset_of!(Raw, buffering));
    /// `passenger_buffer_size`.
    pub(crate) const BUFFER_SIZE: Self = slot(sys::ngx_conf_set_size_slot, offset_of!(Raw, buffer_size));
    /// `passenger_buffers`.
    pub(crate) const BUFFERS: Self = slot(sys::ngx_conf_set_bufs_slot, offset_of!(Raw, bufs));
    /// `passenger_busy_buffers_size`.
    pub(crate) const BUSY_BUFFERS_SIZE: Self =
        slot(sys::ngx_conf_set_size_slot, offset_of!(Raw, busy_buffers_size_conf));
    /// `passenger_request_buffering`.
    pub(crate) const REQUEST_BUFFERING: Self =
        slot(sys::ngx_conf_set_flag_slot, offset_of!(Raw, request_buffering));
    /// `passenger_intercept_errors`.
    pub(crate) const INTERCEPT_ERRORS: Self =
        slot(sys::ngx_conf_set_flag_slot, offset_of!(Raw, intercept_errors));
    /// `passenger_ignore_client_abort`.
    pub(crate) const IGNORE_CLIENT_ABORT: Self =
        slot(sys::ngx_conf_set_flag_slot, offset_of!(Raw, ignore_client_abort));
    /// `passenger_pass_header`.
    pub(crate) const PASS_HEADER: Self =
        slot(sys::ngx_conf_set_str_array_slot, offset_of!(Raw, pass_headers));
    /// `passenger_temp_path`.
    pub(crate) const TEMP_PATH: Self = slot(sys::ngx_conf_set_path_slot, offset_of!(Raw, temp_path));
    /// `passenger_ignore_headers`.
    pub(crate) const IGNORE_HEADERS: Self = Self {
        is_ignore_headers: true,
        ..slot(sys::ngx_conf_set_bitmask_slot, offset_of!(Raw, ignore_headers))
    };

    /// Returns what the setter needs in addition to the field.
    pub(in crate::ffi) const fn post(self) -> *mut c_void {
        if self.is_ignore_headers {
            (&raw mut sys::ngx_http_upstream_ignore_headers_masks).cast()
        } else {
            null_mut()
        }
    }
}

type Raw = sys::ngx_http_upstream_conf_t;

const fn slot(set: Set, offset: usize) -> Slot {
    Slot { set, offset, is_ignore_headers: false }
}
