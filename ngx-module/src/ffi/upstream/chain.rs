//! nginx's buffers and chains: C macros as functions on raw buffers, for the other modules of `ffi`.

use core::ptr::{NonNull, null_mut};

use crate::ffi::pool::{OutOfMemory, Pool};
use crate::ffi::sys;

/// Whether a buffer's bytes are in memory. `ngx_buf_in_memory`.
pub(in crate::ffi) fn in_memory(buf: &sys::ngx_buf_t) -> bool {
    buf.temporary() != 0 || buf.memory() != 0 || buf.mmap() != 0
}

/// Returns how many bytes a buffer contains. `ngx_buf_size`.
pub(in crate::ffi) fn size(buf: &sys::ngx_buf_t) -> u64 {
    let bytes = if in_memory(buf) {
        (buf.last as usize).saturating_sub(buf.pos as usize) as u64
    } else {
        u64::try_from(buf.file_last - buf.file_pos).unwrap_or(0)
    };
    // A special buffer has neither memory nor file, and both its file positions are zero.
    bytes
}

/// Returns a link to `buf`, at the end of its chain.
pub(in crate::ffi) fn link(
    pool: Pool<'_>,
    buf: NonNull<sys::ngx_buf_t>,
) -> Result<NonNull<sys::ngx_chain_t>, OutOfMemory> {
    // SAFETY: the pool is valid by its type.
    let link = unsafe { sys::ngx_alloc_chain_link(pool.as_ptr()) };
    let link = NonNull::new(link).ok_or(OutOfMemory)?;
    // SAFETY: nginx has just given us this link.
    unsafe { link.as_ptr().write(sys::ngx_chain_t { buf: buf.as_ptr(), next: null_mut() }) };
    Ok(link)
}

/// Returns a buffer with its own copy of `bytes`.
pub(in crate::ffi) fn copied(pool: Pool<'_>, bytes: &[u8]) -> Result<NonNull<sys::ngx_buf_t>, OutOfMemory> {
    // SAFETY: the pool is valid by its type.
    let buf = unsafe { sys::ngx_create_temp_buf(pool.as_ptr(), bytes.len()) };
    let buf = NonNull::new(buf).ok_or(OutOfMemory)?;
    // SAFETY: nginx has just given us this buffer with room for `bytes.len()` bytes.
    unsafe {
        (*buf.as_ptr()).last.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        (*buf.as_ptr()).last = (*buf.as_ptr()).last.add(bytes.len());
    }
    Ok(buf)
}

/// A chain that is built from its first link to its last.
pub(in crate::ffi) struct Builder {
    first: *mut sys::ngx_chain_t,
    last: *mut sys::ngx_chain_t,
}

impl Builder {
    pub(in crate::ffi) fn new() -> Self {
        Self { first: null_mut(), last: null_mut() }
    }

    /// Appends a link.
    pub(in crate::ffi) fn push(&mut self, link: NonNull<sys::ngx_chain_t>) {
        if self.last.is_null() {
            self.first = link.as_ptr();
        } else {
            // SAFETY: `last` is a link that was pushed and is still the chain's end.
            unsafe { (*self.last).next = link.as_ptr() };
        }
        self.last = link.as_ptr();
    }

    pub(in crate::ffi) fn first(&self) -> *mut sys::ngx_chain_t {
        self.first
    }
}

/// Iterates over the links of a chain.
///
/// # Safety
///
/// `chain` is null or a valid chain that is not changed while the iterator lives.
pub(in crate::ffi) unsafe fn links(
    mut chain: *mut sys::ngx_chain_t,
) -> impl Iterator<Item = NonNull<sys::ngx_chain_t>> {
    core::iter::from_fn(move || {
        let link = NonNull::new(chain)?;
        // SAFETY: by this function's contract.
        chain = unsafe { (*link.as_ptr()).next };
        Some(link)
    })
}
