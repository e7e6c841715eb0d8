//! Current problems of the daemon itself, for the log, which contains their beginning and end, and for the status.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tracing::{error, info};

use common::link::Trouble;

/// Time without a recurrence after which a problem is over.
const QUIET: Duration = Duration::from_secs(5);

/// All current problems.
#[derive(Debug, Default)]
pub(crate) struct Troubles(RefCell<BTreeMap<Trouble, Told>>);

#[derive(Debug)]
struct Told {
    what: String,
    since: Instant,
    /// When it last occurred; `None` if it lasts until its end is reported.
    happened: Option<Instant>,
}

impl Troubles {
    /// Starts with the problems that the supervisor already knew.
    pub(crate) fn new(known: &[(Trouble, String)]) -> Self {
        let troubles = Self::default();
        known.iter().for_each(|(trouble, what)| troubles.relay(*trouble, Some(what.clone())));
        troubles
    }

    /// Records a problem that lasts until [`end`](Self::end), and logs it once. True when it is new.
    pub(crate) fn begin(&self, trouble: Trouble, what: impl FnOnce() -> String) -> bool {
        self.note(trouble, what, None)
    }

    /// Records an occurrence of a problem that is over when it has not occurred again for [`QUIET`].
    pub(crate) fn happens(&self, trouble: Trouble, what: impl FnOnce() -> String) {
        self.note(trouble, what, Some(Instant::now()));
    }

    fn note(&self, trouble: Trouble, what: impl FnOnce() -> String, happened: Option<Instant>) -> bool {
        let mut all = self.0.borrow_mut();
        if let Some(told) = all.get_mut(&trouble) {
            told.happened = happened;
            return false;
        }
        let what = what();
        error!("{what}");
        all.insert(trouble, Told { what, since: Instant::now(), happened });
        true
    }

    /// Records the end of a problem, if there was one.
    pub(crate) fn end(&self, trouble: Trouble) {
        if let Some(told) = self.0.borrow_mut().remove(&trouble) {
            told.is_over();
        }
    }

    /// Records what the supervisor reports and has already logged; `None` when the problem is over.
    pub(crate) fn relay(&self, trouble: Trouble, what: Option<String>) {
        let mut all = self.0.borrow_mut();
        match what {
            Some(what) => drop(all.insert(trouble, Told { what, since: Instant::now(), happened: None })),
            None => drop(all.remove(&trouble)),
        }
    }

    /// Ends problems that have not occurred for [`QUIET`]. Must be called regularly.
    pub(crate) fn tidy(&self) {
        let is_quiet = |told: &Told| told.happened.is_some_and(|last| last.elapsed() >= QUIET);
        self.0.borrow_mut().retain(|_, told| {
            let over = is_quiet(told);
            if over {
                told.is_over();
            }
            !over
        });
    }

    /// Returns a sentence for each problem, and for how many seconds it has lasted.
    pub(crate) fn list(&self) -> Vec<(String, u64)> {
        self.tidy();
        self.0.borrow().values().map(|told| (told.what.clone(), told.since.elapsed().as_secs())).collect()
    }
}

impl Told {
    fn is_over(&self) {
        info!("after {} s this is over: {}", self.since.elapsed().as_secs(), self.what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_there_once_until_it_is_over() {
        let troubles = Troubles::default();
        for _ in 0..3 {
            troubles.begin(Trouble::Accepting, || "nobody gets in".to_owned());
        }
        troubles.relay(Trouble::LogFile, Some("no log".to_owned()));
        troubles.happens(Trouble::Buffers, || "no room".to_owned());
        let all = ["no log", "nobody gets in", "no room"].map(|what| (what.to_owned(), 0));
        assert_eq!(troubles.list(), all);
        troubles.end(Trouble::Accepting);
        troubles.end(Trouble::Buffers);
        troubles.relay(Trouble::LogFile, None);
        assert_eq!(troubles.list(), []);
    }
}
