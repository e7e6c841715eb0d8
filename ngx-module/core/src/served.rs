//! How a request was served: recorded as it becomes known, for the variables of log lines.

use std::cell::Cell;
use std::rc::Rc;

use crate::app_location::AppLocation;

/// How a request was served.
#[derive(Debug)]
pub struct Served {
    /// The application that it was for.
    pub location: Rc<AppLocation>,
    served_by: Cell<Option<ServedBy>>,
}

/// Which process sent the response, and the times that took.
#[derive(Debug, Clone, Copy)]
pub struct ServedBy {
    /// The process; 0 for a page of the daemon itself.
    pub pid: u32,
    /// Microseconds in the app's queue.
    pub queue_us: u64,
    /// Microseconds until the app's head was complete.
    pub app_us: u64,
}

impl Served {
    /// Returns the record of a request to this location.
    pub fn new(location: Rc<AppLocation>) -> Self {
        Self { location, served_by: Cell::new(None) }
    }

    /// Records the head of a response.
    pub fn set_served_by(&self, served_by: ServedBy) {
        self.served_by.set(Some(served_by));
    }

    /// Returns the process that sent the response; `None` for the daemon's own pages, which have no such times.
    pub fn process(&self) -> Option<ServedBy> {
        self.served_by.get().filter(|served_by| served_by.pid != 0)
    }
}
