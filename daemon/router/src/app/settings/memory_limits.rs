//! How much memory processes of an app may hold.

use std::time::Duration;

/// What an app's processes may hold, in bytes, and how often to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MemoryLimits {
    /// One that holds more is replaced after its requests.
    pub(crate) soft: Option<u64>,
    /// One that holds more is killed.
    pub(crate) hard: Option<u64>,
    /// Time between two looks.
    pub(crate) every: Duration,
}

impl MemoryLimits {
    pub(crate) fn is_any(self) -> bool {
        self.soft.is_some() || self.hard.is_some()
    }
}
