//! Current problems of the daemon itself. The log contains their beginning and end, the status lists them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Serialize;
use tracing::{error, info};

use crate::lock::Lock;
use common::link::Problem;

/// Time without a recurrence after which a problem is resolved.
const QUIET_TIME: Duration = Duration::from_secs(5);

/// All current problems.
#[derive(Debug, Default)]
pub(crate) struct Problems(Lock<BTreeMap<Problem, Ongoing>>);

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

impl Problems {
    /// Starts with the problems that the supervisor already knew.
    pub(crate) fn new(known: &[(Problem, String)]) -> Self {
        let problems = Self::default();
        known.iter().for_each(|(problem, what)| problems.set(*problem, Some(what.clone())));
        problems
    }

    /// Records a problem that lasts until [`end`](Self::end), and logs it once. True when it is new.
    pub(crate) fn begin(&self, problem: Problem, what: impl FnOnce() -> String) -> bool {
        self.record(problem, what, None)
    }

    /// Records an occurrence of a problem that is resolved when it has not occurred again for [`QUIET_TIME`].
    pub(crate) fn occurs(&self, problem: Problem, what: impl FnOnce() -> String) {
        self.record(problem, what, Some(Instant::now()));
    }

    fn record(&self, problem: Problem, what: impl FnOnce() -> String, occurred: Option<Instant>) -> bool {
        let mut all = self.0.lock();
        if let Some(problem) = all.get_mut(&problem) {
            problem.occurred = occurred;
            return false;
        }
        let what = what();
        error!("{what}");
        all.insert(problem, Ongoing { what, since: Instant::now(), occurred });
        true
    }

    /// Records the end of a problem, if there was one.
    pub(crate) fn end(&self, problem: Problem) {
        if let Some(problem) = self.0.lock().remove(&problem) {
            problem.log_end();
        }
    }

    /// Records what the supervisor reports and has already logged; `None` when the problem is resolved.
    pub(crate) fn set(&self, problem: Problem, what: Option<String>) {
        let mut all = self.0.lock();
        match what {
            Some(what) => drop(all.insert(problem, Ongoing { what, since: Instant::now(), occurred: None })),
            None => drop(all.remove(&problem)),
        }
    }

    /// Records a problem that is logged by the caller, or its new description, until [`set`](Self::set) ends it.
    pub(crate) fn show(&self, problem: Problem, what: String) {
        let mut all = self.0.lock();
        let since = all.get(&problem).map_or_else(Instant::now, |problem| problem.since);
        all.insert(problem, Ongoing { what, since, occurred: None });
    }

    /// Ends problems that have not occurred for [`QUIET_TIME`]. Must be called regularly.
    pub(crate) fn expire(&self) {
        self.0.lock().retain(|_, problem| {
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
        let all = self.0.lock();
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
        let problems = Problems::default();
        for _ in 0..3 {
            problems.begin(Problem::Accepting, || "cannot accept".to_owned());
        }
        problems.set(Problem::LogFile, Some("no log".to_owned()));
        problems.occurs(Problem::Buffers, || "no room".to_owned());
        let all = ["no log", "cannot accept", "no room"]
            .map(|what| CurrentProblem { what: what.to_owned(), seconds: 0 });
        assert_eq!(problems.list(), all);
        problems.end(Problem::Accepting);
        problems.end(Problem::Buffers);
        problems.set(Problem::LogFile, None);
        assert_eq!(problems.list(), []);
    }
}
