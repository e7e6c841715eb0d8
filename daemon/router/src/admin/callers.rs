//! Limits on connections to the admin socket: every user may connect, no user may use up all connections.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

/// Maximum number of connections of one user. A tool has one, briefly; `restart-app --wait` keeps one longer.
const MAX_PER_USER: usize = 64;
/// Maximum number of connections in total, apart from the first connection of each user.
const MAX_TOTAL: usize = 256;

/// Number of connections by user.
#[derive(Debug, Default)]
pub(super) struct Callers(RefCell<HashMap<u32, usize>>);

/// A connection that is counted against its user's limit until this is dropped.
#[derive(Debug)]
pub(super) struct CountedCaller {
    callers: Rc<Callers>,
    pub(super) uid: u32,
}

impl Callers {
    /// Counts one more connection of this user; `None` when its limit is reached.
    pub(super) fn admit(self: &Rc<Self>, uid: u32) -> Option<CountedCaller> {
        let mut by_user = self.0.borrow_mut();
        let all: usize = by_user.values().sum();
        let mine = by_user.entry(uid).or_default();
        if *mine >= MAX_PER_USER || (*mine > 0 && all >= MAX_TOTAL) {
            return None;
        }
        *mine += 1;
        Some(CountedCaller { callers: self.clone(), uid })
    }
}

impl Drop for CountedCaller {
    fn drop(&mut self) {
        let mut by_user = self.callers.0.borrow_mut();
        if let Some(mine) = by_user.get_mut(&self.uid) {
            *mine -= 1;
            if *mine == 0 {
                by_user.remove(&self.uid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_user_cannot_use_up_all_connections() {
        let callers = Rc::new(Callers::default());
        let mut places: Vec<_> = std::iter::from_fn(|| callers.admit(1000)).collect();
        assert_eq!(places.len(), MAX_PER_USER);
        assert!(callers.admit(0).is_some());
        places.pop();
        assert!(callers.admit(1000).is_some());
    }

    #[test]
    fn every_user_gets_one_connection() {
        let callers = Rc::new(Callers::default());
        let places: Vec<_> = (0..300).filter_map(|uid| callers.admit(uid)).collect();
        assert_eq!(places.len(), 300);
        assert!(callers.admit(0).is_none(), "a second one when there are so many");
        drop(places);
        assert!(callers.0.borrow().is_empty());
    }
}
