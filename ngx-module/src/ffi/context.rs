//! An exchange as nginx keeps it: in the request's pool, passed to callbacks as `void *`, with the state of sending.

use core::ptr::{NonNull, null_mut};

use super::exchange::Exchange;
use super::sys;

/// An exchange and its request.
pub(super) struct Context<E: Exchange> {
    pub(super) request: NonNull<sys::ngx_http_request_t>,
    pub(super) location: NonNull<E::Location>,
    pub(super) exchange: E,
    pub(super) outgoing: Outgoing,
}

/// The state of sending a request.
#[derive(Debug)]
pub(super) struct Outgoing {
    /// Whether to send the greeting was decided for this attempt.
    pub(super) greeted: bool,
    /// The head was passed on; what follows is body without a frame.
    pub(super) head_passed: bool,
    /// The body is framed while it is being received.
    pub(super) frames_body: bool,
    /// The body is split into several frames. nginx rewinds files to their start, which would then be wrong.
    pub(super) is_split: bool,
    /// The daemon reads no more of this request; its response must still be read.
    pub(super) is_cut: bool,
    /// Buffers of frame headers: unused ones, and those being sent.
    pub(super) free: *mut sys::ngx_chain_t,
    pub(super) busy: *mut sys::ngx_chain_t,
}

impl Default for Outgoing {
    fn default() -> Self {
        Self {
            greeted: false,
            head_passed: false,
            frames_body: false,
            is_split: false,
            is_cut: false,
            free: null_mut(),
            busy: null_mut(),
        }
    }
}

impl Outgoing {
    /// Prepares another attempt; `false` when it is not possible.
    pub(super) fn start_again(&mut self) -> bool {
        self.greeted = false;
        self.head_passed = false;
        self.is_cut = false;
        self.free = null_mut();
        self.busy = null_mut();
        !self.is_split
    }
}
