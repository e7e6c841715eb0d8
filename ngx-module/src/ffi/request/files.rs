//! Files on disk, through nginx's cache of them: the path of a request's URI and whether a file exists there.

use core::mem::MaybeUninit;
use std::ffi::CString;
use std::io;

use super::Request;
use crate::ffi::conf::core_conf;
use crate::ffi::{sys, text};

/// The file that nginx maps a request's URI to.
pub(crate) struct MappedFile<'r> {
    request: Request<'r>,
    /// Zero-terminated, followed by [`SPARE_BYTES`] spare bytes.
    path: sys::ngx_str_t,
    root_len: usize,
}

/// Most bytes by which a file's name may be extended.
const SPARE_BYTES: usize = 32;

/// A file cannot be checked. nginx has logged why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Inaccessible;

impl<'r> MappedFile<'r> {
    /// Maps the request's URI with `root` or `alias`.
    pub(crate) fn new(request: Request<'r>) -> Option<Self> {
        let mut path = sys::ngx_str_t { len: 0, data: core::ptr::null_mut() };
        let mut root_len = 0;
        // SAFETY: nginx writes the path into the request's pool, with `SPARE_BYTES` bytes to spare, and returns its end.
        let end = unsafe {
            sys::ngx_http_map_uri_to_path(request.as_ptr(), &raw mut path, &raw mut root_len, SPARE_BYTES)
        };
        if end.is_null() {
            return None;
        }
        // nginx includes the spare bytes in the length.
        path.len = (end as usize).checked_sub(path.data as usize)?;
        Some(Self { request, path, root_len })
    }

    /// Returns the path, and how many of its bytes are nginx's root.
    pub(crate) fn path(&self) -> (&'r [u8], usize) {
        // SAFETY: the path is in the request's pool. It is only ever changed behind its end.
        (unsafe { text::bytes(self.path) }, self.root_len)
    }

    /// Whether there is a regular file at the path extended by `suffix`.
    ///
    /// # Errors
    ///
    /// [`Inaccessible`] when nginx ran out of memory or its `disable_symlinks` cannot be evaluated.
    pub(crate) fn is_file(&mut self, suffix: &str) -> Result<bool, Inaccessible> {
        if suffix.len() >= SPARE_BYTES {
            return Err(Inaccessible);
        }
        let mut path = self.path;
        path.len += suffix.len();
        // SAFETY: the path has `SPARE_BYTES` spare bytes behind its end, more than the suffix and its final zero.
        unsafe {
            let end = self.path.data.add(self.path.len);
            end.copy_from_nonoverlapping(suffix.as_ptr(), suffix.len());
            end.add(suffix.len()).write(0);
        }
        let found = self.stat(&mut path);
        // SAFETY: as above; the path is what it was.
        unsafe { self.path.data.add(self.path.len).write(0) };
        found
    }

    /// Whether there is nothing at the path: neither a file nor a directory, nor one that nginx may not access.
    pub(crate) fn is_missing(&mut self) -> bool {
        let mut path = self.path;
        match self.look(&mut path) {
            Ok(Err(err)) => [sys::NGX_ENOENT, sys::NGX_ENOTDIR].contains(&err),
            Ok(Ok(_)) | Err(Inaccessible) => false,
        }
    }

    fn stat(&self, path: &mut sys::ngx_str_t) -> Result<bool, Inaccessible> {
        // Missing, or inaccessible to the worker: in both cases nginx cannot serve it.
        Ok(self.look(path)?.unwrap_or(false))
    }

    /// Returns whether a regular file is at the path, or the number of the error of the system.
    fn look(&self, path: &mut sys::ngx_str_t) -> Result<Result<bool, u32>, Inaccessible> {
        let request = self.request.as_ptr();
        let core = core_conf::of(self.request);
        // SAFETY: zero is a valid value of this plain structure.
        let mut info: sys::ngx_open_file_info_t = unsafe { MaybeUninit::zeroed().assume_init() };
        // SAFETY: the core's configuration of the request's location outlives the request.
        let cache = unsafe {
            let core = &*core;
            info.valid = core.open_file_cache_valid;
            info.min_uses = core.open_file_cache_min_uses;
            info.set_errors(u32::from(core.open_file_cache_errors != 0));
            info.set_events(u32::from(core.open_file_cache_events != 0));
            core.open_file_cache
        };
        // Only checked: one stat, or none when the file is in the cache.
        info.set_test_only(1);
        // SAFETY: nginx's call; the path is zero-terminated.
        unsafe {
            if sys::ngx_http_set_disable_symlinks(request, core, path, &raw mut info) != 0 {
                return Err(Inaccessible);
            }
            let opened = sys::ngx_open_cached_file(cache, path, &raw mut info, (*request).pool);
            if opened != 0 {
                return if info.err == 0 { Err(Inaccessible) } else { Ok(Err(info.err.unsigned_abs())) };
            }
        }
        Ok(Ok(info.is_file() != 0))
    }
}

/// Whether a socket can be written to, and therefore connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// It can.
    Granted,
    /// It does not exist.
    Missing,
    /// It cannot.
    Denied,
}

/// Checks with the kernel without opening the socket.
pub(crate) fn socket_access(path: &[u8]) -> Access {
    let Ok(path) = CString::new(path) else {
        return Access::Missing;
    };
    // SAFETY: a zero-terminated path.
    if unsafe { sys::access(path.as_ptr(), sys::W_OK as i32) } == 0 {
        return Access::Granted;
    }
    match io::Error::last_os_error().kind() {
        io::ErrorKind::PermissionDenied => Access::Denied,
        _ => Access::Missing,
    }
}
