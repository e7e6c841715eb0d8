//! The table of inotify watches of restart files. Every operation costs the same with ten watches and with a thousand, as one
//! is made for each check of an app.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use super::restart_files::{Names, Watched};

/// The watches, by number, and in the orders in which they are looked for.
#[derive(Debug, Default)]
pub(super) struct Watches {
    by_number: HashMap<i32, Watch>,
    /// The watches that serve a directory of restart files.
    by_dir: HashMap<PathBuf, BTreeSet<i32>>,
    /// All watches, the least recently wanted one first.
    by_age: BTreeSet<(u64, i32)>,
    /// Those of directories that belong to one user.
    by_owner: HashMap<u32, BTreeSet<(u64, i32)>>,
}

/// A watch of a directory.
#[derive(Debug, Default)]
pub(super) struct Watch {
    owner: u32,
    /// The names that matter, each with the directory of restart files that has changed then.
    pub(super) names: Vec<(Names, PathBuf)>,
    last_wanted: u64,
    /// Number of events of other files in the current window.
    pub(super) noise: usize,
}

impl Watches {
    pub(super) fn len(&self) -> usize {
        self.by_number.len()
    }

    /// Returns the number of watches of directories that belong to this user.
    pub(super) fn owned_by(&self, owner: u32) -> usize {
        self.by_owner.get(&owner).map_or(0, BTreeSet::len)
    }

    pub(super) fn get_mut(&mut self, number: i32) -> Option<&mut Watch> {
        self.by_number.get_mut(&number)
    }

    /// Begins a new window, in which no event of another file was seen.
    pub(super) fn reset_noise(&mut self) {
        self.by_number.values_mut().for_each(|watch| watch.noise = 0);
    }

    /// Returns the directories of restart files that are watched.
    pub(super) fn dirs(&self) -> impl Iterator<Item = &PathBuf> {
        self.by_dir.keys()
    }

    /// Adds a watch for the restart files in `dir`, or records that it was wanted again, at `time`.
    pub(super) fn add(&mut self, dir: &Path, Watched { number, owner, names }: Watched, time: u64) {
        self.remove_from_orders(number);
        let watch = self.by_number.entry(number).or_default();
        (watch.owner, watch.last_wanted) = (owner, time);
        self.by_age.insert((time, number));
        self.by_owner.entry(owner).or_default().insert((time, number));
        let names = (names, dir.to_path_buf());
        if !watch.names.contains(&names) {
            watch.names.push(names);
            self.by_dir.entry(dir.to_path_buf()).or_default().insert(number);
        }
    }

    /// Removes `dir` from all watches but these; returns the watches that serve no other directory, which are removed.
    pub(super) fn forget(&mut self, dir: &Path, is_kept: impl Fn(i32) -> bool) -> Vec<i32> {
        let of_dir = self.by_dir.get(dir).into_iter().flatten().copied();
        let outdated: Vec<i32> = of_dir.filter(|number| !is_kept(*number)).collect();
        for number in &outdated {
            self.remove_from_dir(dir, *number);
            if let Some(watch) = self.by_number.get_mut(number) {
                watch.names.retain(|(_, of)| of != dir);
            }
        }
        let is_unused = |number: &i32| self.by_number.get(number).is_some_and(|watch| watch.names.is_empty());
        let unused: Vec<i32> = outdated.into_iter().filter(is_unused).collect();
        unused.iter().for_each(|number| drop(self.remove(*number)));
        unused
    }

    /// Returns the least recently wanted watch, of this user or of all.
    pub(super) fn oldest(&self, owner: Option<u32>) -> Option<i32> {
        let order = owner.map_or(Some(&self.by_age), |owner| self.by_owner.get(&owner));
        order?.first().map(|(_, number)| *number)
    }

    pub(super) fn remove(&mut self, number: i32) -> Option<Watch> {
        self.remove_from_orders(number);
        let watch = self.by_number.remove(&number)?;
        watch.names.iter().for_each(|(_, dir)| self.remove_from_dir(dir, number));
        Some(watch)
    }

    fn remove_from_orders(&mut self, number: i32) {
        let Some(watch) = self.by_number.get(&number) else { return };
        let place = (watch.last_wanted, number);
        self.by_age.remove(&place);
        if let Some(owned) = self.by_owner.get_mut(&watch.owner) {
            owned.remove(&place);
            if owned.is_empty() {
                self.by_owner.remove(&watch.owner);
            }
        }
    }

    fn remove_from_dir(&mut self, dir: &Path, number: i32) {
        let Some(of_dir) = self.by_dir.get_mut(dir) else { return };
        of_dir.remove(&number);
        if of_dir.is_empty() {
            self.by_dir.remove(dir);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(watches: &mut Watches, dir: &str, number: i32, owner: u32, time: u64) {
        watches.add(Path::new(dir), Watched { number, owner, names: Names::Files }, time);
    }

    #[test]
    fn the_orders_follow_what_is_wanted_and_removed() {
        let mut watches = Watches::default();
        add(&mut watches, "/a", 1, 7, 1);
        add(&mut watches, "/b", 2, 7, 2);
        add(&mut watches, "/c", 3, 8, 3);
        assert_eq!(
            (watches.oldest(None), watches.oldest(Some(8)), watches.oldest(Some(9))),
            (Some(1), Some(3), None)
        );
        add(&mut watches, "/a", 1, 7, 4);
        assert_eq!((watches.oldest(None), watches.owned_by(7)), (Some(2), 2), "it was wanted again");
        add(&mut watches, "/a", 1, 8, 5);
        assert_eq!((watches.owned_by(7), watches.owned_by(8)), (1, 2), "the directory has another owner");
        for number in [1, 2, 3, 3] {
            watches.remove(number);
        }
        assert_eq!(watches.len() + watches.by_age.len() + watches.by_owner.len() + watches.by_dir.len(), 0);
    }
}
