//! What is wrong with the daemon itself, as long as it lasts: for the log, which tells beginning and end, and for whoever
//! looks at the status.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tracing::{error, info};

use common::link::Trouble;

/// After so long without having happened again, it is over.
const QUIET: Duration = Duration::from_secs(5);

/// All that is wrong at the moment.
#[derive(Debug, Default)]
pub(crate) struct Troubles(RefCell<BTreeMap<Trouble, Told>>);

#[derive(Debug)]
struct Told {
    what: String,
    since: Instant,
    /// When it happened last, unless it lasts until it is said to be over.
    happened: Option<Instant>,
}

impl Troubles {
    /// Those that the supervisor knew before this router was there.
    pub(crate) fn new(known: &[(Trouble, String)]) -> Self {
        let troubles = Self::default();
        known.iter().for_each(|(trouble, what)| troubles.relay(*trouble, Some(what.clone())));
        troubles
    }

    /// It has begun, and lasts until [`end`](Self::end): the log has a line about it once. True when it is new.
    pub(crate) fn begin(&self, trouble: Trouble, what: impl FnOnce() -> String) -> bool {
        self.note(trouble, what, None)
    }

    /// It has happened, and is over when it has not happened again for a while.
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

    /// It is over, or never was.
    pub(crate) fn end(&self, trouble: Trouble) {
        if let Some(told) = self.0.borrow_mut().remove(&trouble) {
            told.is_over();
        }
    }

    /// As the supervisor says, which has its own line in the log; `None` when it is over.
    pub(crate) fn relay(&self, trouble: Trouble, what: Option<String>) {
        let mut all = self.0.borrow_mut();
        match what {
            Some(what) => drop(all.insert(trouble, Told { what, since: Instant::now(), happened: None })),
            None => drop(all.remove(&trouble)),
        }
    }

    /// Ends what has not happened for a while. To be called now and then.
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

    /// A sentence for each, and for how many seconds it has been true.
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
