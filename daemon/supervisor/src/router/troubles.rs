//! What is wrong with the daemon itself, as far as the supervisor knows: told to every router, for whoever looks at the
//! status. The log has it from where it is found.

use std::collections::BTreeMap;

use crate::Supervisor;
use common::link::{Notice, Trouble};

/// A sentence for each.
pub(crate) type Troubles = BTreeMap<Trouble, String>;

impl Supervisor {
    /// It is as `what` says; `None` when it is over, or never was. True when that is news.
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
