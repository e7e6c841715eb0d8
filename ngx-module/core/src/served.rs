//! How a request was served: it comes in as it becomes known, for the variables of log lines.

use std::cell::Cell;
use std::rc::Rc;

use crate::place::Place;

/// How a request was served.
#[derive(Debug)]
pub struct Served {
    /// Where it led.
    pub place: Rc<Place>,
    answered: Cell<Option<Answered>>,
}

/// Who answered it, and how long that took.
#[derive(Debug, Clone, Copy)]
pub struct Answered {
    /// The process; 0 when the daemon answered itself.
    pub pid: u32,
    /// Microseconds in the app's queue.
    pub queue_us: u64,
    /// Microseconds until the app's head was complete.
    pub app_us: u64,
}

impl Served {
    /// For a request that goes to this place.
    pub fn new(place: Rc<Place>) -> Self {
        Self { place, answered: Cell::new(None) }
    }

    /// The head of an answer has come.
    pub fn answered(&self, answered: Answered) {
        self.answered.set(Some(answered));
    }

    /// Who answered it, of a process's answer only: the daemon's own pages have no such times.
    pub fn by_a_process(&self) -> Option<Answered> {
        self.answered.get().filter(|answered| answered.pid != 0)
    }
}
