//! nginx's strings: conversions between `ngx_str_t` and slices.

use super::sys;

/// Returns the bytes of a string.
///
/// # Safety
///
/// `text` is null-length or points to memory that lives and stays unchanged for `'a`.
pub(super) unsafe fn bytes<'a>(text: sys::ngx_str_t) -> &'a [u8] {
    if text.len == 0 || text.data.is_null() {
        return &[];
    }
    // SAFETY: a non-empty `ngx_str_t` points to `len` bytes; the caller vouches for their lifetime.
    unsafe { core::slice::from_raw_parts(text.data, text.len) }
}

/// Returns a string over bytes that nginx only reads.
pub(super) const fn over(text: &'static [u8]) -> sys::ngx_str_t {
    sys::ngx_str_t { len: text.len(), data: text.as_ptr().cast_mut() }
}
