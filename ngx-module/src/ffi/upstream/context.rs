//! An exchange as nginx keeps it: in the request's pool, passed to callbacks as `void *`, with the state of sending.

use core::ptr::{NonNull, null_mut};

use super::exchange::Exchange;
use crate::ffi::sys;

/// An exchange and its request.
pub(in crate::ffi) struct Context<E: Exchange> {
    pub(in crate::ffi) request: NonNull<sys::ngx_http_request_t>,
    pub(in crate::ffi) location: NonNull<E::Location>,
    pub(in crate::ffi) exchange: E,
    pub(in crate::ffi) sending: SendState,
}

/// The state of sending a request.
#[derive(Debug)]
pub(in crate::ffi) struct SendState {
    /// Whether to send the greeting was decided for this attempt.
    pub(in crate::ffi) greeted: bool,
    /// The head was passed on; what follows is body without a frame.
    pub(in crate::ffi) head_passed: bool,
    /// The body is framed while it is being received.
    pub(in crate::ffi) frames_body: bool,
    /// The body is split into several frames. nginx rewinds files to their start, which would then be wrong.
    pub(in crate::ffi) is_split: bool,
    /// The daemon reads no more of this request; its response must still be read.
    pub(in crate::ffi) is_aborted: bool,
    /// Buffers of frame headers: unused ones, and those being sent.
    pub(in crate::ffi) free: *mut sys::ngx_chain_t,
    pub(in crate::ffi) busy: *mut sys::ngx_chain_t,
}

impl Default for SendState {
    fn default() -> Self {
        Self {
            greeted: false,
            head_passed: false,
            frames_body: false,
            is_split: false,
            is_aborted: false,
            free: null_mut(),
            busy: null_mut(),
        }
    }
}

impl SendState {
    /// Prepares another attempt; `false` when it is not possible.
    pub(in crate::ffi) fn reset(&mut self) -> bool {
        self.greeted = false;
        self.head_passed = false;
        self.is_aborted = false;
        self.free = null_mut();
        self.busy = null_mut();
        !self.is_split
    }
}
