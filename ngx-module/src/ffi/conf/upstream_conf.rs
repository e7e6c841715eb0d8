//! nginx's own settings of an upstream location: set by directives, completed by merging.

use core::ffi::{CStr, c_char};
use core::mem::MaybeUninit;
use core::ptr::{null_mut, without_provenance_mut};

use super::upstream_ref::UpstreamRef;
use super::{ConfContext, core_conf};
use crate::ffi::{sys, text};

/// `ngx_http_upstream_conf_t`.
#[repr(transparent)]
pub(crate) struct UpstreamConf(sys::ngx_http_upstream_conf_t);

impl core::fmt::Debug for UpstreamConf {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("UpstreamConf")
    }
}

type Raw = sys::ngx_http_upstream_conf_t;

/// nginx's values for a setting that is not set.
const UNSET_FLAG: sys::ngx_flag_t = -1;
const UNSET_SIZE: usize = usize::MAX;
const UNSET_POINTER: *mut sys::ngx_array_t = without_provenance_mut(usize::MAX);

/// 200 minutes, in milliseconds: Passenger's timeouts.
const TIMEOUT: usize = 12_000_000;
const BUFFER_SIZE: usize = 16 * 1024;
const BUFFERS: sys::ngx_bufs_t = sys::ngx_bufs_t { num: 8, size: 16 * 1024 };
const MAX_TEMP_FILE: usize = 1024 * 1024 * 1024;

impl UpstreamConf {
    /// Returns a level without any setting.
    pub(crate) fn unset() -> Self {
        // SAFETY: nginx makes this structure with `ngx_pcalloc`: zero is a valid value of every field.
        let mut raw: Raw = unsafe { MaybeUninit::zeroed().assume_init() };
        raw.buffering = UNSET_FLAG;
        raw.request_buffering = UNSET_FLAG;
        raw.ignore_client_abort = UNSET_FLAG;
        raw.intercept_errors = UNSET_FLAG;
        raw.read_timeout = UNSET_SIZE;
        raw.buffer_size = UNSET_SIZE;
        raw.busy_buffers_size_conf = UNSET_SIZE;
        raw.hide_headers = UNSET_POINTER;
        raw.pass_headers = UNSET_POINTER;
        raw.module = text::over(b"passenger");
        // Allows an app to control buffering with X-Accel-Buffering.
        raw.set_change_buffering(1);
        #[cfg(nginx_has_early_hints)]
        {
            raw.pass_early_hints = 1;
        }
        Self(raw)
    }

    /// Returns where requests are sent.
    pub(crate) fn upstream(&self) -> Option<UpstreamRef> {
        UpstreamRef::new(self.0.upstream)
    }

    /// Sets where requests are sent.
    pub(crate) fn set_upstream(&mut self, upstream: UpstreamRef) {
        self.0.upstream = upstream.as_ptr();
    }

    /// Whether nginx reads request bodies completely before it sends requests to the daemon.
    pub(crate) fn buffers_requests(&self) -> bool {
        self.0.request_buffering != 0
    }

    /// Makes nginx read request bodies completely before it sends requests to the daemon.
    pub(crate) fn buffer_requests(&mut self) {
        self.0.request_buffering = 1;
    }

    /// Limits how long nginx waits for the daemon, in milliseconds, unless less is configured.
    pub(crate) fn limit_times(&mut self, milliseconds: usize) {
        for time in [&mut self.0.connect_timeout, &mut self.0.send_timeout, &mut self.0.read_timeout] {
            *time = milliseconds.min(*time);
        }
    }

    pub(in crate::ffi) fn as_ptr(&self) -> *mut Raw {
        // nginx only reads it when it serves requests.
        (&raw const self.0).cast_mut()
    }

    pub(in crate::ffi) fn buffers_responses(&self) -> bool {
        self.0.buffering != 0
    }

    /// Inherits settings of the outer level, applies defaults, and checks sizes as the proxy module does.
    ///
    /// # Errors
    ///
    /// A message for the operator.
    pub(crate) fn merge(&mut self, outer: &mut Self, cf: &mut ConfContext<'_>) -> Result<(), String> {
        self.inherit(&outer.0);
        self.check_sizes()?;
        if self.0.temp_path.is_null() {
            // A separate path would be created at every start, below /usr/share/nginx on Debian.
            self.0.temp_path = core_conf::client_body_temp_path(cf);
        }
        self.hide_headers(outer, cf)
    }

    fn inherit(&mut self, outer: &Raw) {
        let (inner, u) = (&mut self.0, UNSET_SIZE);
        merge(&mut inner.buffering, outer.buffering, UNSET_FLAG, 0);
        merge(&mut inner.request_buffering, outer.request_buffering, UNSET_FLAG, 1);
        merge(&mut inner.ignore_client_abort, outer.ignore_client_abort, UNSET_FLAG, 0);
        merge(&mut inner.intercept_errors, outer.intercept_errors, UNSET_FLAG, 0);
        merge(&mut inner.read_timeout, outer.read_timeout, u, TIMEOUT);
        merge(&mut inner.buffer_size, outer.buffer_size, u, BUFFER_SIZE);
        merge(&mut inner.busy_buffers_size_conf, outer.busy_buffers_size_conf, u, u);
        merge(&mut inner.temp_path, outer.temp_path, null_mut(), null_mut());
        merge(&mut inner.ignore_headers, outer.ignore_headers, 0, sys::NGX_CONF_BITMASK_SET as usize);
        merge(&mut inner.bufs.num, outer.bufs.num, 0, BUFFERS.num);
        merge(&mut inner.bufs.size, outer.bufs.size, 0, BUFFERS.size);
        merge(&mut inner.upstream, outer.upstream, null_mut(), null_mut());
        inner.connect_timeout = TIMEOUT;
        inner.send_timeout = TIMEOUT;
        inner.max_temp_file_size = MAX_TEMP_FILE;
        inner.next_upstream = (sys::NGX_CONF_BITMASK_SET
            | sys::NGX_HTTP_UPSTREAM_FT_ERROR
            | sys::NGX_HTTP_UPSTREAM_FT_TIMEOUT) as usize;
        inner.pass_request_headers = 1;
        inner.pass_request_body = 1;
    }

    fn check_sizes(&mut self) -> Result<(), String> {
        let raw = &mut self.0;
        if raw.bufs.num < 2 {
            return Err("there must be at least 2 \"passenger_buffers\"".to_owned());
        }
        let size = raw.buffer_size.max(raw.bufs.size);
        raw.temp_file_write_size = 2 * size;
        raw.busy_buffers_size = match raw.busy_buffers_size_conf {
            UNSET_SIZE => 2 * size,
            given => given,
        };
        if raw.busy_buffers_size < size {
            return Err(
                "\"passenger_busy_buffers_size\" must be equal to or greater than the maximum of the value \
                        of \"passenger_buffer_size\" and one of the \"passenger_buffers\""
                    .to_owned(),
            );
        }
        if raw.busy_buffers_size > (raw.bufs.num - 1).unsigned_abs() * raw.bufs.size {
            return Err(
                "\"passenger_busy_buffers_size\" must be less than the size of all \"passenger_buffers\" \
                        minus one buffer"
                    .to_owned(),
            );
        }
        Ok(())
    }

    fn hide_headers(&mut self, outer: &mut Self, cf: &mut ConfContext<'_>) -> Result<(), String> {
        let mut hidden = HIDDEN_HEADERS.map(|name| text::over(name.to_bytes()));
        // SAFETY: zero is a valid value of this plain structure.
        let mut hash: sys::ngx_hash_init_t = unsafe { MaybeUninit::zeroed().assume_init() };
        hash.max_size = 512;
        hash.bucket_size = core_conf::cache_line_aligned(64);
        hash.name = c"passenger_hide_headers_hash".as_ptr().cast::<c_char>().cast_mut();
        // SAFETY: nginx's call; both structures are levels of our configuration, the list ends with an empty name,
        // each name with a zero, and what nginx keeps of it are pointers to static text.
        let made = unsafe {
            sys::ngx_http_upstream_hide_headers_hash(
                cf.as_ptr(),
                &raw mut self.0,
                &raw mut outer.0,
                hidden.as_mut_ptr(),
                &raw mut hash,
            )
        };
        if made == 0 { Ok(()) } else { Err("cannot create the table of hidden headers".to_owned()) }
    }
}

/// Headers by which an app controls nginx; clients do not receive them. Ends with an empty name. nginx compares
/// them with those of `passenger_pass_header` up to the zero after each.
const HIDDEN_HEADERS: [&CStr; 6] = [
    c"X-Accel-Expires",
    c"X-Accel-Redirect",
    c"X-Accel-Limit-Rate",
    c"X-Accel-Buffering",
    c"X-Accel-Charset",
    c"",
];

fn merge<T: PartialEq + Copy>(inner: &mut T, outer: T, unset: T, default: T) {
    if *inner == unset {
        *inner = if outer == unset { default } else { outer };
    }
}
