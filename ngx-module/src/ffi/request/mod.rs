//! A client's request: nginx's structure with accessors for its parts.

pub(crate) mod content;
pub(crate) mod error_page;
pub(crate) mod files;
pub(crate) mod served;
pub(crate) mod variables;

use core::marker::PhantomData;
use core::ptr::NonNull;

use super::log::Log;
use super::pool::{OutOfMemory, Pool};
use super::{sys, text};

/// A request that is valid for `'r`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'r> {
    raw: NonNull<sys::ngx_http_request_t>,
    lifetime: PhantomData<&'r ()>,
}

impl<'r> Request<'r> {
    /// # Safety
    ///
    /// `raw` is a request that is not freed during `'r`, with its connection, and used by this thread only.
    pub(super) unsafe fn new(raw: NonNull<sys::ngx_http_request_t>) -> Self {
        Self { raw, lifetime: PhantomData }
    }

    pub(super) fn as_ptr(self) -> *mut sys::ngx_http_request_t {
        self.raw.as_ptr()
    }

    /// Borrowed for one expression: see the facts in [`super`].
    pub(super) fn get(&self) -> &sys::ngx_http_request_t {
        // SAFETY: valid by `new`; single thread, and no reference is held across nginx.
        unsafe { self.raw.as_ref() }
    }

    fn connection(&self) -> &sys::ngx_connection_t {
        // SAFETY: a request has its connection as long as it lives.
        unsafe { &*self.get().connection }
    }

    /// Returns the request's log, whose lines contain client, server and request.
    pub(crate) fn log(self) -> Log<'r> {
        // SAFETY: a connection's log lives as long as it.
        unsafe { Log::new(self.connection().log) }
    }

    pub(super) fn pool(self) -> Result<Pool<'r>, OutOfMemory> {
        // SAFETY: a request's pool lives as long as it.
        unsafe { Pool::new(self.get().pool) }
    }

    /// Keeps at most `len` values as long as the request.
    ///
    /// # Errors
    ///
    /// [`OutOfMemory`].
    pub(crate) fn list<T: Copy>(
        self,
        len: usize,
        values: impl Iterator<Item = T>,
    ) -> Result<&'r [T], OutOfMemory> {
        self.pool()?.list(len, values)
    }

    /// Returns the bytes of one of the request's strings.
    fn text(self, text: sys::ngx_str_t) -> &'r [u8] {
        // SAFETY: nginx never changes a request's strings in place after it has parsed them; it sets new ones.
        unsafe { text::bytes(text) }
    }

    /// Reads invalid memory, to test that a sanitizer detects it.
    #[cfg(feature = "panic-probe")]
    pub(crate) fn read_beyond_its_memory(self) {
        let _byte = self.pool().and_then(Pool::read_beyond);
    }

    /// Returns the method as the client sent it.
    pub(crate) fn method(self) -> &'r [u8] {
        self.text(self.get().method_name)
    }

    /// Whether it is a GET or HEAD.
    pub(crate) fn is_get_or_head(self) -> bool {
        self.get().method & (sys::NGX_HTTP_GET | sys::NGX_HTTP_HEAD) as usize != 0
    }

    /// Whether it is a HEAD.
    pub(crate) fn is_head(self) -> bool {
        self.get().method & sys::NGX_HTTP_HEAD as usize != 0
    }

    /// Returns the path, decoded and normalised.
    pub(crate) fn uri(self) -> &'r [u8] {
        self.text(self.get().uri)
    }

    /// Returns the query, without its question mark.
    pub(crate) fn args(self) -> &'r [u8] {
        self.text(self.get().args)
    }

    /// Returns the URI as the client sent it, or escaped again where nginx has changed it: after an internal redirect,
    /// and for a subrequest.
    ///
    /// # Errors
    ///
    /// [`OutOfMemory`].
    pub(crate) fn forwarded_uri(self) -> Result<&'r [u8], OutOfMemory> {
        let raw = self.get();
        if self.is_main() && raw.valid_unparsed_uri() != 0 {
            return Ok(self.text(raw.unparsed_uri));
        }
        let (uri, args) = (self.uri(), self.args());
        let from = uri.as_ptr().cast_mut();
        // SAFETY: with a null destination nginx counts the bytes that take two more when escaped.
        let growing = unsafe { sys::ngx_escape_uri(core::ptr::null_mut(), from, uri.len(), ESCAPE_URI) };
        let escaped = uri.len() + 2 * growing;
        let query = if args.is_empty() { 0 } else { 1 + args.len() };
        let to = self.pool()?.bytes(escaped + query)?.as_ptr();
        // SAFETY: the memory is fresh, as long as the escaped path, a question mark and the query, all of which are
        // written, and the request's.
        unsafe {
            sys::ngx_escape_uri(to, from, uri.len(), ESCAPE_URI);
            if query > 0 {
                to.add(escaped).write(b'?');
                to.add(escaped + 1).copy_from_nonoverlapping(args.as_ptr(), args.len());
            }
            Ok(core::slice::from_raw_parts(to, escaped + query))
        }
    }

    /// Whether it is the client's own request, not a subrequest.
    pub(crate) fn is_main(self) -> bool {
        self.get().main == self.as_ptr()
    }

    /// Whether the client uses HTTP/1.1, where a connection can change its protocol.
    pub(crate) fn is_http_1_1(self) -> bool {
        self.get().http_version == sys::NGX_HTTP_VERSION_11 as usize
    }

    /// Whether the version is HTTP/1.0, HTTP/1.1 or earlier. A subrequest has the version of its main request.
    pub(crate) fn is_http_1(self) -> bool {
        self.get().http_version <= sys::NGX_HTTP_VERSION_11 as usize
    }

    /// Returns the client's HTTP version, as in `SERVER_PROTOCOL`; `None` for 1.1 and for an unknown one.
    pub(crate) fn other_protocol(self) -> Option<&'static [u8]> {
        // nginx's NGX_HTTP_VERSION_*; the release that the module is built for may lack the last.
        match self.get().http_version {
            1000 => Some(b"HTTP/1.0"),
            2000 => Some(b"HTTP/2.0"),
            3000 => Some(b"HTTP/3.0"),
            _ => None,
        }
    }

    /// Iterates over the client's headers: name and value, in their order.
    pub(crate) fn headers(self) -> impl Iterator<Item = (&'r [u8], &'r [u8])> {
        // SAFETY: nginx fills the list while it parses the request, which has ended.
        let headers =
            unsafe { elements::<sys::ngx_table_elt_t>(&raw const (*self.as_ptr()).headers_in.headers) };
        headers.map(move |header| {
            // SAFETY: elements of the request's list.
            let header = unsafe { header.as_ref() };
            (self.text(header.key), self.text(header.value))
        })
    }

    /// Whether there is an `Upgrade` header.
    pub(crate) fn has_upgrade_header(self) -> bool {
        !self.get().headers_in.upgrade.is_null()
    }

    /// Returns the client's `Content-Length`. Without the header nginx adds up in the same field what it receives.
    pub(crate) fn content_length(self) -> Option<u64> {
        let headers = &self.get().headers_in;
        if headers.content_length.is_null() {
            return None;
        }
        u64::try_from(headers.content_length_n).ok()
    }

    /// Returns the host that the request is for, without its port, from its line or its `Host`; empty when neither has
    /// one.
    pub(crate) fn host(self) -> &'r [u8] {
        self.text(self.get().headers_in.server)
    }

    /// Whether nginx has read a body without bytes, with a `Content-Length` of 0 or in chunks. Without a body the
    /// number is -1.
    pub(crate) fn has_empty_body(self) -> bool {
        self.get().headers_in.content_length_n == 0
    }

    /// Returns the user that nginx authenticated; empty when there is none.
    pub(crate) fn remote_user(self) -> &'r [u8] {
        self.text(self.get().headers_in.user)
    }

    /// Returns the client's address and port as nginx sees them. Empty and 0 for a client on a unix socket.
    pub(crate) fn remote_address(self) -> (&'r [u8], u16) {
        let connection = self.connection();
        // SAFETY: a connection has its peer's address as long as it lives.
        let port = unsafe { sys::ngx_inet_get_port(connection.sockaddr) };
        let address = self.text(connection.addr_text);
        if address.starts_with(b"unix:") { (&[], 0) } else { (address, port) }
    }

    /// Whether the client's connection is encrypted.
    pub(crate) fn is_https(self) -> bool {
        #[cfg(nginx_has_ssl)]
        return !self.connection().ssl.is_null();
        #[cfg(not(nginx_has_ssl))]
        return false;
    }

    /// Returns when nginx started to process the request, in milliseconds since 1970.
    pub(crate) fn started_ms(self) -> u64 {
        let raw = self.get();
        u64::try_from(raw.start_sec).unwrap_or(0).saturating_mul(1000).saturating_add(raw.start_msec as u64)
    }
}

const ESCAPE_URI: usize = sys::NGX_ESCAPE_URI as usize;

/// Returns nginx's cached time, in seconds since 1970, without a system call.
pub(crate) fn now() -> i64 {
    // SAFETY: nginx points this to the current one of its cached times before it starts, and never to nothing.
    unsafe { (*sys::ngx_cached_time).sec }
}

/// Returns nginx's cached time, in milliseconds since 1970. It does not change while a configuration is read.
pub(crate) fn now_ms() -> u64 {
    // SAFETY: as in `now`.
    let (seconds, milliseconds) = unsafe { ((*sys::ngx_cached_time).sec, (*sys::ngx_cached_time).msec) };
    u64::try_from(seconds).unwrap_or(0).saturating_mul(1000).saturating_add(milliseconds as u64)
}

/// Iterates over the elements of one of nginx's lists.
///
/// # Safety
///
/// `list` is valid, holds `T`s, and is not changed while the iterator lives.
unsafe fn elements<T>(list: *const sys::ngx_list_t) -> impl Iterator<Item = NonNull<T>> {
    // SAFETY: by this function's contract.
    let mut part: *const sys::ngx_list_part_t = unsafe { &raw const (*list).part };
    let mut at = 0;
    core::iter::from_fn(move || {
        loop {
            // SAFETY: a list's parts form a chain that ends with null.
            let current = unsafe { part.as_ref() }?;
            if at < current.nelts {
                // SAFETY: a part holds `nelts` elements.
                let element = unsafe { current.elts.cast::<T>().add(at) };
                at += 1;
                return NonNull::new(element);
            }
            part = current.next;
            at = 0;
        }
    })
}
