//! The response's head as passed to nginx: a status and headers, handled by nginx's own handlers.

use core::ptr::NonNull;

use module_core::bytes::{Decimal, NAME_IN_LOWER_CASE};

use crate::ffi::codes::{INVALID_HEADER, OK};
use crate::ffi::pool::{OutOfMemory, Pool};
use crate::ffi::request::Request;
use crate::ffi::{sys, text};

/// Why nginx did not accept a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeaderError {
    /// nginx considers it invalid.
    Invalid,
    /// Its name is not allowed in HTTP.
    NotAName,
    /// nginx is out of memory.
    Failed,
}

impl From<OutOfMemory> for HeaderError {
    fn from(_: OutOfMemory) -> Self {
        Self::Failed
    }
}

/// The head of the upstream's response.
#[derive(Debug)]
pub(crate) struct Reply<'r> {
    request: Request<'r>,
}

impl<'r> Reply<'r> {
    /// For a request whose upstream reads a head.
    pub(in crate::ffi) fn new(request: Request<'r>) -> Self {
        Self { request }
    }

    fn upstream(&mut self) -> &mut sys::ngx_http_upstream_t {
        // SAFETY: a `Reply` exists only during `process_header`, when the request has its upstream; single thread,
        // and no reference is held across nginx.
        unsafe { &mut *self.request.get().upstream }
    }

    /// Sets the status, of three digits. Without a phrase nginx uses its own line.
    ///
    /// # Errors
    ///
    /// [`HeaderError::Failed`].
    pub(crate) fn set_status(&mut self, status: u16, phrase: &[u8]) -> Result<(), HeaderError> {
        if !phrase.is_empty() {
            let line = match (status, phrase) {
                (200, b"OK") => text::over(b"200 OK"),
                _ => self.request.pool()?.joined(&[Decimal::of(status.into()).as_ref(), b" ", phrase])?,
            };
            self.upstream().headers_in.status_line = line;
        }
        let upstream = self.upstream();
        upstream.headers_in.status_n = usize::from(status);
        // SAFETY: null, or the state of this attempt, for `$upstream_status`.
        if let Some(state) = unsafe { upstream.state.as_mut() } {
            state.status = usize::from(status);
        }
        Ok(())
    }

    /// Adds a header and calls nginx's handler for it.
    ///
    /// # Errors
    ///
    /// [`HeaderError`].
    pub(crate) fn add_header(&mut self, name: &[u8], value: &[u8]) -> Result<(), HeaderError> {
        let header = self.push(name, value)?;
        let raw = self.request.as_ptr();
        // SAFETY: the upstream module's main configuration always exists; the header is complete.
        let rc = unsafe {
            let main = (*raw).main_conf.add(sys::ngx_http_upstream_module.ctx_index);
            let conf = (*main).cast::<sys::ngx_http_upstream_main_conf_t>();
            let (hash, lowcase, len) =
                (header.as_ref().hash, header.as_ref().lowcase_key, header.as_ref().key.len);
            let known = sys::ngx_hash_find(&raw mut (*conf).headers_in_hash, hash, lowcase, len);
            match known.cast::<sys::ngx_http_upstream_header_t>().as_ref() {
                Some(known) => {
                    known.handler.map_or(OK, |handler| handler(raw, header.as_ptr(), known.offset))
                }
                None => OK,
            }
        };
        match rc {
            OK => Ok(()),
            INVALID_HEADER => Err(HeaderError::Invalid),
            _ => Err(HeaderError::Failed),
        }
    }

    /// Copies a header into the upstream's list. Its name and value end with zeros, like nginx's own.
    fn push(&mut self, name: &[u8], value: &[u8]) -> Result<NonNull<sys::ngx_table_elt_t>, HeaderError> {
        let copy = Copied::new(self.request.pool()?, name, value)?;
        // SAFETY: nginx has initialised the list before it calls `process_header`.
        let header = unsafe { sys::ngx_list_push(&raw mut self.upstream().headers_in.headers) };
        let header = NonNull::new(header.cast::<sys::ngx_table_elt_t>()).ok_or(HeaderError::Failed)?;
        // SAFETY: a fresh element of the list. All its bytes are set, as nginx 1.23 added a field.
        unsafe {
            header.as_ptr().write_bytes(0, 1);
            let to = &mut *header.as_ptr();
            to.key = sys::ngx_str_t { len: name.len(), data: copy.name };
            to.value = sys::ngx_str_t { len: value.len(), data: copy.value };
            to.lowcase_key = copy.lower;
            to.hash = copy.hash;
        }
        Ok(header)
    }

    /// Announces the body's length to the client.
    pub(crate) fn set_content_length(&mut self, len: u64) {
        self.upstream().headers_in.content_length_n = i64::try_from(len).unwrap_or(i64::MAX);
    }

    /// Makes the connection a tunnel from now on.
    pub(crate) fn set_upgrade(&mut self) {
        self.upstream().set_upgrade(1);
    }

    /// Marks the response as received completely: the connection can be reused.
    pub(crate) fn set_reusable(&mut self) {
        self.upstream().set_keepalive(1);
    }
}

/// A header's texts in the request's pool.
struct Copied {
    name: *mut u8,
    value: *mut u8,
    /// The name in lower case.
    lower: *mut u8,
    /// nginx's hash of it.
    hash: usize,
}

impl Copied {
    /// Copies the texts into one allocation: name, zero, value, zero, name in lower case, zero. One pass over the name
    /// checks it, converts it and computes the hash, as nginx's `ngx_hash_strlow` does.
    fn new(pool: Pool<'_>, name: &[u8], value: &[u8]) -> Result<Self, HeaderError> {
        let start = pool.bytes(2 * name.len() + value.len() + 3)?.as_ptr();
        let (mut hash, mut is_valid) = (0_usize, !name.is_empty());
        // SAFETY: every offset is below the length that was allocated, and fresh memory overlaps nothing.
        unsafe {
            let to_value = start.add(name.len() + 1);
            let to_lower = to_value.add(value.len() + 1);
            for (at, byte) in name.iter().enumerate() {
                let lower = NAME_IN_LOWER_CASE[usize::from(*byte)];
                is_valid &= lower != 0;
                hash = hash.wrapping_mul(31).wrapping_add(usize::from(lower));
                start.add(at).write(*byte);
                to_lower.add(at).write(lower);
            }
            to_value.copy_from_nonoverlapping(value.as_ptr(), value.len());
            start.add(name.len()).write(0);
            to_value.add(value.len()).write(0);
            to_lower.add(name.len()).write(0);
            let copied = Self { name: start, value: to_value, lower: to_lower, hash };
            if is_valid { Ok(copied) } else { Err(HeaderError::NotAName) }
        }
    }
}
