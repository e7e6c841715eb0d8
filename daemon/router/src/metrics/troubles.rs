//! Current problems of the daemon itself. The log contains their beginning and end, the status lists them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Serialize;
use tracing::{error, info};

use common::link::Trouble;

/// Time without a recurrence after which a problem is resolved.
const QUIET_TIME: Duration = Duration::from_secs(5);

/// All current problems.
#[derive(Debug, Default)]
pub(crate) struct Troubles(RefCell<BTreeMap<Trouble, Ongoing>>);

/// A current problem as shown to administrators.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct CurrentProblem {
    pub(crate) what: String,
    /// For how many seconds it has lasted.
    pub(crate) seconds: u64,
}

#[derive(Debug)]
struct Ongoing {
    what: String,
    since: Instant,
    /// When it last occurred; `None` if it lasts until its end is reported.
    occurred: Option<Instant>,
}

impl Troubles {
    /// Starts with the problems that the supervisor already knew.
    pub(crate) fn new(known: &[(Trouble, String)]) -> Self {
        let troubles = Self::default();
        known.iter().for_each(|(trouble, what)| troubles.set(*trouble, Some(what.clone())));
        troubles
    }

    /// Records a problem that lasts until [`end`](Self::end), and logs it once. True when it is new.
    pub(crate) fn begin(&self, trouble: Trouble, what: impl FnOnce() -> String) -> bool {
        self.record(trouble, what, None)
    }

    /// Records an occurrence of a problem that is resolved when it has not occurred again for [`QUIET_TIME`].
    pub(crate) fn occurs(&self, trouble: Trouble, what: impl FnOnce() -> String) {
        self.record(trouble, what, Some(Instant::now()));
    }

    fn record(&self, trouble: Trouble, what: impl FnOnce() -> String, occurred: Option<Instant>) -> bool {
        let mut all = self.0.borrow_mut();
        if let Some(problem) = all.get_mut(&trouble) {
            problem.occurred = occurred;
            return false;
        }
        let what = what();
        error!("{what}");
        all.insert(trouble, Ongoing { what, since: Instant::now(), occurred });
        true
    }

    /// Records the end of a problem, if there was one.
    pub(crate) fn end(&self, trouble: Trouble) {
        if let Some(problem) = self.0.borrow_mut().remove(&trouble) {
            problem.log_end();
        }
    }

    /// Records what the supervisor reports and has already logged; `None` when the problem is resolved.
    pub(crate) fn set(&self, trouble: Trouble, what: Option<String>) {
        let mut all = self.0.borrow_mut();
        match what {
            Some(what) => drop(all.insert(trouble, Ongoing { what, since: Instant::now(), occurred: None })),
            None => drop(all.remove(&trouble)),
        }
    }

    /// Ends problems that have not occurred for [`QUIET_TIME`]. Must be called regularly.
    pub(crate) fn expire(&self) {
        self.0.borrow_mut().retain(|_, problem| {
            let resolved = problem.occurred.is_some_and(|last| last.elapsed() >= QUIET_TIME);
            if resolved {
                problem.log_end();
            }
            !resolved
        });
    }

    /// Returns the current problems.
    pub(crate) fn list(&self) -> Vec<CurrentProblem> {
        self.expire();
        let all = self.0.borrow();
        let current = |problem: &Ongoing| CurrentProblem {
            what: problem.what.clone(),
            seconds: problem.since.elapsed().as_secs(),
        };
        all.values().map(current).collect()
    }
}

impl Ongoing {
    fn log_end(&self) {
        info!("resolved after {} s: {}", self.since.elapsed().as_secs(), self.what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_listed_once_until_it_is_resolved() {
        let troubles = Troubles::default();
        for _ in 0..3 {
            troubles.begin(Trouble::Accepting, || "cannot accept".to_owned());
        }
        troubles.set(Trouble::LogFile, Some("no log".to_owned()));
        troubles.occurs(Trouble::Buffers, || "no room".to_owned());
        let all = ["no log", "cannot accept", "no room"]
            .map(|what| CurrentProblem { what: what.to_owned(), seconds: 0 });
        assert_eq!(troubles.list(), all);
        troubles.end(Trouble::Accepting);
        troubles.end(Trouble::Buffers);
        troubles.set(Trouble::LogFile, None);
        assert_eq!(troubles.list(), []);
    }
}
