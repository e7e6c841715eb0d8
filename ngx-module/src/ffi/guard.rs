//! A guard for callbacks from C: it catches panics.
//!
//! A panic that left an `extern "C"` function would abort the worker with all its requests. Instead the callback
//! returns its value for failure and one line is logged: the request is lost, the worker is not.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::Once;

use super::log::{Level, Log};

thread_local! {
    /// The message of the last panic, stored by the hook for the log.
    static LAST_MESSAGE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs `body`; after a panic, logs one line and returns `failure`.
pub(super) fn guard<T>(log: Log<'_>, failure: T, body: impl FnOnce() -> T) -> T {
    // The data that the body was changing belongs to the request, which ends with this failure, so it is not used
    // again.
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(value) => value,
        Err(payload) => {
            let message = LAST_MESSAGE.try_with(|message| message.take()).unwrap_or_default();
            drop_payload(payload);
            log.write(
                Level::Alert,
                format_args!("internal error in the passenger module, operation aborted: {message}"),
            );
            failure
        }
    }
}

/// Drops a payload, which may itself panic. The second payload is leaked: losing a few bytes after two bugs is
/// acceptable.
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
    let message = format!("{what}{}", place.unwrap_or_default());
    // A second panic while the first is being stored cannot be recorded.
    let _kept = LAST_MESSAGE.try_with(|last| last.try_borrow_mut().map(|mut last| *last = message));
}
