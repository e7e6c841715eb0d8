//! nginx's memory pools: values and bytes that live as long as the pool.

use core::mem::{MaybeUninit, needs_drop};
use core::ptr::NonNull;

use super::guard::guard;
use super::log::Log;
use super::sys;

/// nginx is out of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OutOfMemory;

/// A pool that is valid for `'p`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pool<'p> {
    raw: NonNull<sys::ngx_pool_t>,
    lifetime: core::marker::PhantomData<&'p ()>,
}

impl<'p> Pool<'p> {
    /// # Safety
    ///
    /// `raw` is a pool that is not destroyed during `'p`.
    pub(super) unsafe fn new(raw: *mut sys::ngx_pool_t) -> Result<Self, OutOfMemory> {
        let raw = NonNull::new(raw).ok_or(OutOfMemory)?;
        Ok(Self { raw, lifetime: core::marker::PhantomData })
    }

    pub(super) fn as_ptr(self) -> *mut sys::ngx_pool_t {
        self.raw.as_ptr()
    }

    /// Moves a value into the pool. It is dropped when the pool is destroyed.
    pub(super) fn place<T>(self, value: T) -> Result<NonNull<T>, OutOfMemory> {
        if needs_drop::<T>() {
            return self.place_until(value, drop_in_pool::<T>);
        }
        let at = self.room_for::<T>()?;
        // SAFETY: the memory is fresh, large enough and aligned by `room_for`.
        unsafe { at.as_ptr().write(value) };
        Ok(at)
    }

    /// Moves a value into the pool. `end` gets it when the pool is destroyed, and must drop it.
    pub(super) fn place_until<T>(
        self,
        value: T,
        end: unsafe extern "C" fn(*mut core::ffi::c_void),
    ) -> Result<NonNull<T>, OutOfMemory> {
        let at = self.room_for::<T>()?;
        // SAFETY: the pool is valid by `new`.
        let cleanup = unsafe { sys::ngx_pool_cleanup_add(self.as_ptr(), 0) };
        let cleanup = NonNull::new(cleanup).ok_or(OutOfMemory)?;
        // SAFETY: nginx has just given us this entry. The memory is fresh, large enough and aligned by `room_for`.
        unsafe {
            at.as_ptr().write(value);
            (*cleanup.as_ptr()).data = at.as_ptr().cast();
            (*cleanup.as_ptr()).handler = Some(end);
        }
        Ok(at)
    }

    fn room_for<T>(self) -> Result<NonNull<T>, OutOfMemory> {
        self.room_for_list(1)
    }

    /// Allocates memory for `len` values. nginx aligns to a machine word only, so a stricter type gets spare bytes.
    fn room_for_list<T>(self, len: usize) -> Result<NonNull<T>, OutOfMemory> {
        let align = align_of::<T>();
        let spare = if align > size_of::<usize>() { align } else { 0 };
        let size = size_of::<T>().saturating_mul(len).max(1).saturating_add(spare);
        // SAFETY: the pool is valid by `new`.
        let raw = unsafe { sys::ngx_palloc(self.as_ptr(), size) }.cast::<u8>();
        let raw = NonNull::new(raw).ok_or(OutOfMemory)?;
        let skip = raw.as_ptr().align_offset(align);
        if skip > spare {
            return Err(OutOfMemory);
        }
        // SAFETY: `skip` is 0 for a type that nginx aligns, and otherwise at most `align`, which was added to the size.
        Ok(unsafe { raw.add(skip) }.cast())
    }

    /// Allocates zeroed memory for a C structure for which zero is a valid value.
    ///
    /// # Safety
    ///
    /// All-zero bytes are a valid `T`.
    pub(super) unsafe fn zeroed<T>(self) -> Result<NonNull<T>, OutOfMemory> {
        let at = self.room_for::<MaybeUninit<T>>()?.cast::<T>();
        // SAFETY: the memory is fresh and large enough.
        unsafe { at.as_ptr().write_bytes(0, 1) };
        Ok(at)
    }

    /// Whether nginx allocated memory that starts at this address from this pool.
    pub(super) fn has(self, at: NonNull<u8>) -> bool {
        let mut block = self.raw.as_ptr();
        // SAFETY: a pool is a chain of blocks, each with its end in its header.
        unsafe {
            while let Some(header) = block.as_ref() {
                if (block.cast::<u8>()..header.d.end).contains(&at.as_ptr()) {
                    return true;
                }
                block = header.d.next;
            }
        }
        // SAFETY: what did not fit into blocks is in a list of the first one.
        unsafe {
            let mut large = self.raw.as_ref().large;
            while let Some(entry) = large.as_ref() {
                if entry.alloc.cast() == at.as_ptr() {
                    return true;
                }
                large = entry.next;
            }
        }
        false
    }

    /// Allocates bytes, which are not initialised.
    pub(super) fn bytes(self, len: usize) -> Result<NonNull<u8>, OutOfMemory> {
        // SAFETY: the pool is valid by `new`.
        let raw = unsafe { sys::ngx_pnalloc(self.as_ptr(), len) }.cast::<u8>();
        NonNull::new(raw).ok_or(OutOfMemory)
    }

    /// Copies the parts one after another, followed by a zero.
    pub(super) fn copy(self, parts: &[&[u8]]) -> Result<NonNull<u8>, OutOfMemory> {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        let start = self.bytes(len + 1)?;
        let mut to = start.as_ptr();
        for part in parts {
            // SAFETY: the parts' lengths add up to `len`; fresh memory overlaps nothing.
            unsafe {
                to.copy_from_nonoverlapping(part.as_ptr(), part.len());
                to = to.add(part.len());
            }
        }
        // SAFETY: one byte was allocated beyond the parts.
        unsafe { to.write(0) };
        Ok(start)
    }

    /// Moves values into the pool, next to each other.
    pub(super) fn list<T: Copy>(
        self,
        len: usize,
        values: impl Iterator<Item = T>,
    ) -> Result<&'p [T], OutOfMemory> {
        if len == 0 {
            return Ok(&[]);
        }
        let start = self.room_for_list::<T>(len)?;
        let mut count = 0;
        for value in values.take(len) {
            // SAFETY: there is room for `len` values, which are fresh memory.
            unsafe { start.as_ptr().add(count).write(value) };
            count += 1;
        }
        // SAFETY: `count` values have just been written; the pool lives for `'p`, and nothing else refers to them.
        Ok(unsafe { core::slice::from_raw_parts(start.as_ptr(), count) })
    }

    /// Reads one byte after an allocation, to test that a sanitizer detects it.
    #[cfg(feature = "panic-probe")]
    pub(super) fn read_beyond(self) -> Result<u8, OutOfMemory> {
        let start = self.copy(&[b"1234567"])?;
        // SAFETY: none: this is the fault that a sanitizer has to find. In other builds the byte is the pool's own.
        Ok(unsafe { start.as_ptr().add(8).read_volatile() })
    }

    /// Copies a string.
    pub(super) fn text(self, text: &[u8]) -> Result<sys::ngx_str_t, OutOfMemory> {
        self.joined(&[text])
    }

    /// Copies the parts into one string.
    pub(super) fn joined(self, parts: &[&[u8]]) -> Result<sys::ngx_str_t, OutOfMemory> {
        let len = parts.iter().map(|part| part.len()).sum();
        Ok(sys::ngx_str_t { len, data: self.copy(parts)?.as_ptr() })
    }
}

/// nginx's cleanup callback for a value that [`Pool::place`] put there.
///
/// # Safety
///
/// `data` is that value, and nginx calls this once, when it destroys the pool.
unsafe extern "C" fn drop_in_pool<T>(data: *mut core::ffi::c_void) {
    // SAFETY: a log that takes nothing.
    guard(unsafe { Log::new(core::ptr::null_mut()) }, (), || {
        // SAFETY: by this function's contract.
        unsafe { data.cast::<T>().drop_in_place() };
    });
}
