//! nginx's arrays as slices.

use super::sys;

/// Returns the elements of an array; none if nginx was built with another layout of `T`.
///
/// # Safety
///
/// `array` holds `T`s, which live and stay unchanged for `'a`.
pub(super) unsafe fn elements<'a, T>(array: &sys::ngx_array_t) -> &'a [T] {
    if array.size != size_of::<T>() {
        return &[];
    }
    // SAFETY: by this function's contract.
    unsafe { slice(array.elts.cast(), array.nelts) }
}

/// # Safety
///
/// There are `len` elements, which live and stay unchanged for `'a`, unless the pointer is null.
pub(super) unsafe fn slice<'a, T>(start: *const T, len: usize) -> &'a [T] {
    if start.is_null() || len == 0 {
        return &[];
    }
    // SAFETY: by this function's contract.
    unsafe { core::slice::from_raw_parts(start, len) }
}
