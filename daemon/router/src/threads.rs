//! The router's threads: one, so far.

use std::cell::Cell;

thread_local! {
    static CURRENT: Cell<usize> = const { Cell::new(0) };
}

/// Returns the number of this thread; 0 is the main thread.
pub(crate) fn current() -> usize {
    CURRENT.get()
}
