//! Limits on the memory of an app's processes.

use std::time::Duration;

/// Limits on the memory of each process of an app, in bytes, and how often it is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MemoryLimits {
    /// A process that uses more is replaced after its requests.
    pub(crate) soft: Option<u64>,
    /// A process that uses more is killed.
    pub(crate) hard: Option<u64>,
    /// Time between two checks.
    pub(crate) every: Duration,
}

impl MemoryLimits {
    pub(crate) fn is_any(self) -> bool {
        self.soft.is_some() || self.hard.is_some()
    }
}
