//! Why a request gets no process: words for the log.

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use super::super::start_report::SpawnFailure;
use crate::link::Maintenance;

/// Why a request gets no process.
#[derive(Debug, Clone)]
pub(crate) enum Refused {
    /// The app's queue is full.
    QueueFull,
    /// It waited for as long as it may.
    QueuedTooLong(Duration),
    /// The app does not start.
    SpawnFailed(Rc<SpawnFailure>),
    /// An administrator works on it.
    Maintenance(Rc<Maintenance>),
    /// The router has no descriptor left for a connection to its process.
    NoDescriptors,
    /// The daemon is about to end.
    ShuttingDown,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::QueueFull => f.write_str("its request queue is full"),
            Self::QueuedTooLong(limit) => {
                write!(f, "it waited for {} s (passenger_max_request_queue_time)", limit.as_secs())
            }
            Self::SpawnFailed(failure) => write!(f, "it does not start (error ID {})", failure.id),
            Self::Maintenance(_) => f.write_str("it is under maintenance"),
            Self::NoDescriptors => f.write_str("no descriptor was free for a connection to its process"),
            Self::ShuttingDown => f.write_str("the daemon is about to end"),
        }
    }
}
