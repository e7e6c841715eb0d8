//! Identifiers in the messages between supervisor and router.

use serde::{Deserialize, Serialize};

/// Identifies an app process for the life of the daemon. Never reused, unlike a PID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ProcessId(pub u64);

/// Associates an answer with its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Ticket(pub u64);
