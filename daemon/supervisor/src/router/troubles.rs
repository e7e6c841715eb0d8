//! Problems of the daemon itself that the supervisor knows, sent to every router for the status page. They are logged
//! where they are found.

use std::collections::BTreeMap;

use crate::Supervisor;
use common::link::{Notice, Trouble};

/// The description of each problem.
pub(crate) type Troubles = BTreeMap<Trouble, String>;

impl Supervisor {
    /// Sets the description of a problem; `None` when there is none. Returns whether this is a change.
    pub(crate) fn note_trouble(&mut self, trouble: Trouble, what: Option<&str>) -> bool {
        if self.troubles.get(&trouble).map(String::as_str) == what {
            return false;
        }
        match what {
            Some(what) => drop(self.troubles.insert(trouble, what.to_owned())),
            None => drop(self.troubles.remove(&trouble)),
        }
        self.tell_router(&Notice::Trouble { trouble, what: what.map(str::to_owned) }, &[]);
        true
    }
}
