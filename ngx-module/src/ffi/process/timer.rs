//! Timers: nginx's event loop calls a closure once after a pause.
//!
//! These timers are *cancelable*: a worker that has no other work exits without waiting for them.

use core::ptr::NonNull;
use std::cell::RefCell;

use super::worker;
use crate::ffi::guard::guard;
use crate::ffi::{log, sys};

struct Timer {
    event: sys::ngx_event_t,
    job: Box<dyn FnOnce()>,
}

thread_local! {
    /// Timers that nginx has not called yet.
    static PENDING: RefCell<Vec<NonNull<Timer>>> = const { RefCell::new(Vec::new()) };
}

/// Calls `job` after so many milliseconds, unless the worker exits before.
pub(crate) fn after(milliseconds: usize, job: impl FnOnce() + 'static) {
    // SAFETY: nginx makes events by zeroing them.
    let mut event: sys::ngx_event_t = unsafe { core::mem::zeroed() };
    event.handler = Some(fire);
    event.log = log::silent();
    event.set_cancelable(1);
    let timer = NonNull::from(Box::leak(Box::new(Timer { event, job: Box::new(job) })));
    PENDING.with_borrow_mut(|pending| pending.push(timer));
    // SAFETY: the event stays where it is until it has fired or `stop_all` has taken it out of nginx's tree.
    unsafe {
        let event = &raw mut (*timer.as_ptr()).event;
        (*event).data = timer.as_ptr().cast();
        // `ngx_add_timer`, which C has inline.
        (*event).timer.key = sys::ngx_current_msec.wrapping_add(milliseconds);
        sys::ngx_rbtree_insert(&raw mut sys::ngx_event_timer_rbtree, &raw mut (*event).timer);
        (*event).set_timer_set(1);
    }
}

/// Cancels all timers.
pub(in crate::ffi) fn stop_all() {
    for timer in PENDING.take() {
        // SAFETY: a pending timer was leaked by `after` and is in nginx's tree; no other reference to it is left.
        unsafe {
            // `ngx_del_timer`, which C has inline.
            let node = &raw mut (*timer.as_ptr()).event.timer;
            sys::ngx_rbtree_delete(&raw mut sys::ngx_event_timer_rbtree, node);
            drop(Box::from_raw(timer.as_ptr()));
        }
    }
}

/// # Safety
///
/// nginx's call, with the event of a pending [`Timer`], which it has taken out of its tree.
unsafe extern "C" fn fire(event: *mut sys::ngx_event_t) {
    guard(log::of_process(), (), || {
        // SAFETY: by this function's contract; `after` put the timer there.
        let Some(timer) = NonNull::new(unsafe { (*event).data }.cast::<Timer>()) else { return };
        PENDING.with_borrow_mut(|pending| pending.retain(|other| *other != timer));
        // SAFETY: leaked by `after`; nginx does not look at an event again after its handler.
        let timer = unsafe { Box::from_raw(timer.as_ptr()) };
        if !worker::is_exiting() {
            (timer.job)();
        }
    });
}
