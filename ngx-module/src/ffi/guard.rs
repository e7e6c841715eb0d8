//! The border to C: whatever runs in a callback comes in, and a panic does not get out.
//!
//! A panic that left an `extern "C"` function would abort the worker with all its requests. Here it becomes the
//! value that the callback returns for failure, and one line in the log: the request is lost, the worker is not.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::Once;

use super::log::{Level, Log};

thread_local! {
    /// What the last panic said, kept by the hook for the line in the log.
    static LAST_WORDS: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs `body`; after a panic, logs one line and returns `failure`.
pub(super) fn guard<T>(log: Log<'_>, failure: T, body: impl FnOnce() -> T) -> T {
    // What the body was changing is the request's, which ends with this failure, so a broken invariant is not met again.
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(value) => value,
        Err(payload) => {
            let words = LAST_WORDS.try_with(|words| words.take()).unwrap_or_default();
            drop_payload(payload);
            log.write(
                Level::Alert,
                format_args!("a fault of the passenger module, which gives up what it was doing: {words}"),
            );
            failure
        }
    }
}

/// Dropping a payload may panic itself. What that leaves is leaked: a few bytes after two bugs are the lesser harm.
fn drop_payload(payload: Box<dyn Any + Send>) {
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        core::mem::forget(second);
    }
}

/// Replaces the default hook, which writes raw lines and a backtrace into the error log's file.
pub(super) fn install_quiet_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| std::panic::set_hook(Box::new(remember)));
}

fn remember(info: &PanicHookInfo<'_>) {
    let payload = info.payload();
    let text = payload.downcast_ref::<&str>().copied();
    let what = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("panic");
    let place = info.location().map(|at| format!(" at {}:{}", at.file(), at.line()));
    let words = format!("{what}{}", place.unwrap_or_default());
    // A second panic while the first is being kept has nowhere to go.
    let _kept = LAST_WORDS.try_with(|last| last.try_borrow_mut().map(|mut last| *last = words));
}
