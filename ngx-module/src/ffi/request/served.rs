//! How a request was served, kept in its pool: nginx clears a module's context at an internal redirect, and the access
//! log is written after that.

use core::ffi::c_void;
use core::ptr::NonNull;
use std::cell::Cell;

use module_core::request_id::{self, GeneratedId};
use module_core::served::Served;

use super::Request;
use crate::ffi::guard::guard;
use crate::ffi::log::Log;
use crate::ffi::pool::OutOfMemory;
use crate::ffi::sys;

/// An entry in the pool. Subrequests share their main request's pool, so it contains the request that it belongs to.
struct Record {
    request: NonNull<sys::ngx_http_request_t>,
    served: Option<Served>,
    /// The generated request ID.
    id: Cell<Option<GeneratedId>>,
}

type Handler = unsafe extern "C" fn(*mut c_void);

/// Identifies our entries among the pool's others. A static, as a function may have several addresses.
static DROP_RECORD: Handler = drop_record;

/// Keeps the record as long as the request. It replaces an earlier one.
///
/// # Errors
///
/// [`OutOfMemory`].
pub(crate) fn store(request: Request<'_>, served: Served) -> Result<(), OutOfMemory> {
    let record = Record { request: owner(request)?, served: Some(served), id: Cell::new(None) };
    request.pool()?.place_until(record, DROP_RECORD).map(drop)
}

/// Returns the latest record of this request.
pub(crate) fn of<'r>(request: Request<'r>) -> Option<&'r Served> {
    find(request, |record| record.request.as_ptr() == request.as_ptr() && record.served.is_some())?
        .served
        .as_ref()
}

/// Returns the generated ID of this request and its subrequests, which share the pool; generates it if there is none.
pub(crate) fn request_id(request: Request<'_>) -> GeneratedId {
    if let Some(id) = find(request, |record| record.id.get().is_some()).and_then(|record| record.id.get()) {
        return id;
    }
    let id = request_id::generate();
    if let Some(record) = find(request, |_| true) {
        record.id.set(Some(id));
    } else if let (Ok(owner), Ok(pool)) = (owner(request), request.pool()) {
        let record = Record { request: owner, served: None, id: Cell::new(Some(id)) };
        // Without memory the next caller gets another ID.
        let _kept = pool.place_until(record, DROP_RECORD);
    }
    id
}

fn owner(request: Request<'_>) -> Result<NonNull<sys::ngx_http_request_t>, OutOfMemory> {
    NonNull::new(request.as_ptr()).ok_or(OutOfMemory)
}

fn find<'r>(request: Request<'r>, matches: impl Fn(&Record) -> bool) -> Option<&'r Record> {
    let pool = request.pool().ok()?;
    // SAFETY: a pool's cleanup entries form a chain that ends with null, the last one first. One with our handler has
    // a `Record`, which lives as long as the pool.
    unsafe {
        let mut next = (*pool.as_ptr()).cleanup;
        while let Some(entry) = next.as_ref() {
            if entry.handler.is_some_and(|handler| handler as usize == DROP_RECORD as usize)
                && let Some(record) = entry.data.cast::<Record>().as_ref()
                && matches(record)
            {
                return Some(record);
            }
            next = entry.next;
        }
    }
    None
}

/// # Safety
///
/// nginx's call, once, with the `Record` that [`store`] placed.
unsafe extern "C" fn drop_record(data: *mut c_void) {
    // SAFETY: a log that takes nothing.
    guard(unsafe { Log::new(core::ptr::null_mut()) }, (), || {
        // SAFETY: by this function's contract.
        unsafe { data.cast::<Record>().drop_in_place() };
    });
}
