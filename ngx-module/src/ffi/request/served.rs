//! How a request was served, kept in its pool: nginx clears a module's context at an internal redirect, and the access
//! log is written after that.

use core::ffi::c_void;
use core::ptr::NonNull;
use std::rc::Rc;

use module_core::request_id::{self, Made};
use module_core::served::Served;

use super::Request;
use crate::ffi::guard::guard;
use crate::ffi::log::Log;
use crate::ffi::pool::OutOfMemory;
use crate::ffi::sys;

/// An entry in the pool. Subrequests share their main request's pool, so it contains the request that it belongs to.
struct Kept {
    request: NonNull<sys::ngx_http_request_t>,
    served: Option<Rc<Served>>,
    /// The generated request ID.
    name: Option<Made>,
}

type Handler = unsafe extern "C" fn(*mut c_void);

/// Identifies our entries among the pool's others. A static, as a function may have several addresses.
static FORGET: Handler = forget;

/// Keeps the record as long as the request. It replaces an earlier one.
///
/// # Errors
///
/// [`OutOfMemory`].
pub(crate) fn keep(request: Request<'_>, served: Rc<Served>) -> Result<(), OutOfMemory> {
    let owner = NonNull::new(request.as_ptr()).ok_or(OutOfMemory)?;
    request.pool()?.place_until(Kept { request: owner, served: Some(served), name: None }, FORGET).map(drop)
}

/// Returns the latest record of this request.
pub(crate) fn of<'r>(request: Request<'r>) -> Option<&'r Served> {
    find(request, |kept| kept.request.as_ptr() == request.as_ptr() && kept.served.is_some())?
        .served
        .as_deref()
}

/// Returns the generated ID of this request and its subrequests, which share the pool; generates it if there is none.
pub(crate) fn name(request: Request<'_>) -> Made {
    if let Some(name) = find(request, |kept| kept.name.is_some()).and_then(|kept| kept.name) {
        return name;
    }
    let name = request_id::make();
    if let (Some(owner), Ok(pool)) = (NonNull::new(request.as_ptr()), request.pool()) {
        // Without memory the next caller gets another ID.
        let _kept = pool.place_until(Kept { request: owner, served: None, name: Some(name) }, FORGET);
    }
    name
}

fn find<'r>(request: Request<'r>, is_meant: impl Fn(&Kept) -> bool) -> Option<&'r Kept> {
    let pool = request.pool().ok()?;
    // SAFETY: a pool's cleanup entries form a chain that ends with null, the last one first. One with our handler has
    // a `Kept`, which lives as long as the pool.
    unsafe {
        let mut next = (*pool.as_ptr()).cleanup;
        while let Some(entry) = next.as_ref() {
            if entry.handler.is_some_and(|handler| handler as usize == FORGET as usize)
                && let Some(kept) = entry.data.cast::<Kept>().as_ref()
                && is_meant(kept)
            {
                return Some(kept);
            }
            next = entry.next;
        }
    }
    None
}

/// # Safety
///
/// nginx's call, once, with the `Kept` that [`keep`] placed.
unsafe extern "C" fn forget(data: *mut c_void) {
    // SAFETY: a log that takes nothing.
    guard(unsafe { Log::new(core::ptr::null_mut()) }, (), || {
        // SAFETY: by this function's contract.
        unsafe { data.cast::<Kept>().drop_in_place() };
    });
}
