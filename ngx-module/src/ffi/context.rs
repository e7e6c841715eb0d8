//! An exchange as nginx keeps it: in the request's pool, behind the callbacks' `void *`, with what has been sent so far.

use core::ptr::{NonNull, null_mut};

use super::exchange::Exchange;
use super::sys;

/// An exchange with its request.
pub(super) struct Context<E: Exchange> {
    pub(super) request: NonNull<sys::ngx_http_request_t>,
    pub(super) location: NonNull<E::Location>,
    pub(super) exchange: E,
    pub(super) outgoing: Outgoing,
}

/// What has been sent of a request.
#[derive(Debug)]
pub(super) struct Outgoing {
    /// The connection's greeting was considered for this attempt.
    pub(super) greeted: bool,
    /// The head has passed; what follows is body that has no frame yet.
    pub(super) head_passed: bool,
    /// The body is framed while it is being received.
    pub(super) frames_body: bool,
    /// The body was laid out as several frames. nginx rewinds files to their start, which would be wrong then.
    pub(super) is_split: bool,
    /// The daemon reads no more of this request: what it has answered is still to be read.
    pub(super) is_cut: bool,
    /// Buffers of our frame headers: not in use, and being sent.
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
    /// Prepares another attempt; `false` when there cannot be one.
    pub(super) fn start_again(&mut self) -> bool {
        self.greeted = false;
        self.head_passed = false;
        self.is_cut = false;
        self.free = null_mut();
        self.busy = null_mut();
        !self.is_split
    }
}
