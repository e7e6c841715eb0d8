//! What is wrong with the daemon itself, as long as it lasts: for the log, which tells beginning and end, and for whoever
//! looks at the status.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Instant;

use tracing::{error, info};

use crate::link::Trouble;

/// All that is wrong at the moment.
#[derive(Debug, Default)]
pub(crate) struct Troubles(RefCell<BTreeMap<Trouble, Told>>);

#[derive(Debug)]
struct Told {
    what: String,
    since: Instant,
}

impl Troubles {
    /// Those that the supervisor knew before this router was there.
    pub(crate) fn new(known: &[(Trouble, String)]) -> Self {
        let troubles = Self::default();
        known.iter().for_each(|(trouble, what)| troubles.relay(*trouble, Some(what.clone())));
        troubles
    }

    /// It has begun, or goes on: the log has a line about it once. True when it has just begun.
    pub(crate) fn begin(&self, trouble: Trouble, what: impl FnOnce() -> String) -> bool {
        let mut all = self.0.borrow_mut();
        let begins = !all.contains_key(&trouble);
        if begins {
            let what = what();
            error!("{what}");
            all.insert(trouble, Told { what, since: Instant::now() });
        }
        begins
    }

    /// It is over, or never was.
    pub(crate) fn end(&self, trouble: Trouble) {
        if let Some(Told { what, since }) = self.0.borrow_mut().remove(&trouble) {
            info!("after {} s this is over: {what}", since.elapsed().as_secs());
        }
    }

    /// As the supervisor says, which has its own line in the log; `None` when it is over.
    pub(crate) fn relay(&self, trouble: Trouble, what: Option<String>) {
        let mut all = self.0.borrow_mut();
        match what {
            Some(what) => drop(all.insert(trouble, Told { what, since: Instant::now() })),
            None => drop(all.remove(&trouble)),
        }
    }

    /// A sentence for each, and for how many seconds it has been true.
    pub(crate) fn list(&self) -> Vec<(String, u64)> {
        self.0.borrow().values().map(|told| (told.what.clone(), told.since.elapsed().as_secs())).collect()
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
        assert_eq!(troubles.list(), [("no log".to_owned(), 0), ("nobody gets in".to_owned(), 0)]);
        troubles.end(Trouble::Accepting);
        troubles.end(Trouble::Buffers);
        troubles.relay(Trouble::LogFile, None);
        assert_eq!(troubles.list(), []);
    }
}
