//! What was looked for in vain a moment ago: paths come in, whether to look again goes out.
//!
//! Most requests are for the app, and for each nginx would ask the disk whether there is a file of that name after all.
//! A path that was missing several times within one second is not looked for again in that second: a busy URI costs a
//! few system calls a second instead of two for each request, and a file that appears is seen a second later at most.
//! A path that is asked for now and then is looked for each time.

use std::hash::{BuildHasher, RandomState};

/// Paths that are missing, by the hash of their name. Two paths with one hash would be mistaken for each other, which
/// the keyed 64-bit hash makes a matter of theory.
#[derive(Debug)]
pub struct Absences {
    hasher: RandomState,
    slots: Box<[Slot]>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    hash: u64,
    second: i64,
    times: u8,
}

/// A place for a verdict on one path.
#[derive(Debug, Clone, Copy)]
pub struct Ticket(u64);

/// So many times within a second it is looked for.
const PATIENCE: u8 = 4;

/// More than a worker's busy URIs; two that meet in a slot are looked for more often.
const SLOTS: usize = 1024;

impl Default for Absences {
    fn default() -> Self {
        Self { hasher: RandomState::new(), slots: vec![Slot::default(); SLOTS].into() }
    }
}

impl Absences {
    /// `None` when the path is known to be missing; otherwise it is to be looked for.
    ///
    /// `kind` distinguishes what is looked for under one name. `second` is the current one.
    pub fn look_for(&mut self, path: &[u8], kind: bool, second: i64) -> Option<Ticket> {
        let hash = self.hasher.hash_one((path, kind));
        let slot = self.slot(hash);
        let is_known = slot.hash == hash && slot.second == second && slot.times >= PATIENCE;
        (!is_known).then_some(Ticket(hash))
    }

    /// It was looked for and was missing.
    pub fn was_missing(&mut self, ticket: Ticket, second: i64) {
        let slot = self.slot(ticket.0);
        if slot.hash != ticket.0 || slot.second != second {
            *slot = Slot { hash: ticket.0, second, times: 0 };
        }
        slot.times = slot.times.saturating_add(1);
    }

    fn slot(&mut self, hash: u64) -> &mut Slot {
        &mut self.slots[hash as usize % SLOTS]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn miss(absences: &mut Absences, path: &[u8], second: i64) -> bool {
        match absences.look_for(path, true, second) {
            Some(ticket) => {
                absences.was_missing(ticket, second);
                true
            }
            None => false,
        }
    }

    #[test]
    fn a_path_is_looked_for_a_few_times_a_second() {
        let mut absences = Absences::default();
        let looked = (0..100).filter(|_| miss(&mut absences, b"/srv/app/public/posts", 7)).count();
        assert_eq!(looked, usize::from(PATIENCE));
        assert!(miss(&mut absences, b"/srv/app/public/posts", 8));
    }

    #[test]
    fn other_paths_are_looked_for() {
        let mut absences = Absences::default();
        while miss(&mut absences, b"/a", 7) {}
        assert!(absences.look_for(b"/b", true, 7).is_some());
        assert!(absences.look_for(b"/a", false, 7).is_some());
    }

    #[test]
    fn a_path_that_is_there_is_looked_for_each_time() {
        let mut absences = Absences::default();
        assert!((0..100).all(|_| absences.look_for(b"/a", true, 7).is_some()));
    }
}
