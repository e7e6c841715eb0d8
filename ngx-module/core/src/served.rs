//! How a request was served: recorded as it becomes known, for the variables of log lines.

use std::cell::Cell;
use std::rc::Rc;

use crate::app_location::AppLocation;

/// How a request was served.
#[derive(Debug)]
pub struct Served {
    /// The application that it was for.
    pub location: Rc<AppLocation>,
    answered: Cell<Option<ServedBy>>,
}

/// Which process answered it, and the times that took.
#[derive(Debug, Clone, Copy)]
pub struct ServedBy {
    /// The process; 0 when the daemon itself answered.
    pub pid: u32,
    /// Microseconds in the app's queue.
    pub queue_us: u64,
    /// Microseconds until the app's head was complete.
    pub app_us: u64,
}

impl Served {
    /// Returns the record of a request to this location.
    pub fn new(location: Rc<AppLocation>) -> Self {
        Self { location, answered: Cell::new(None) }
    }

    /// Records the head of a response.
    pub fn answered(&self, answered: ServedBy) {
        self.answered.set(Some(answered));
    }

    /// Returns the answer of a process; `None` for the daemon's own pages, which have no such times.
    pub fn process(&self) -> Option<ServedBy> {
        self.answered.get().filter(|answered| answered.pid != 0)
    }
}
