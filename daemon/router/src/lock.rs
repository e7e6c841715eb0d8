//! A value that the router's threads use in turn.
//!
//! A lock is held for a few instructions: nothing is awaited, logged, read or written while it is held, except where
//! the owner says so, and no other lock is taken but in the order that `state.rs` documents.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A mutex. A panic of a thread that holds it costs that thread's request, as without threads.
#[derive(Debug, Default)]
pub(crate) struct Lock<T>(Mutex<T>);

impl<T> Lock<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    /// Waits until no other thread holds the lock.
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
