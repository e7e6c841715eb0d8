//! By what supervisor and router name to each other what they speak of.

use serde::{Deserialize, Serialize};

/// Names an app process for the life of the daemon. Never used twice, unlike a PID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ProcessId(pub u64);

/// Joins an answer to its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Ticket(pub u64);
