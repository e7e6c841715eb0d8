//! Groups by number. The place of a forgotten group is used again, its number is not: look-ups by an outdated number
//! find an empty group that no app uses.

use std::ops::{Index, IndexMut};

use super::group::{Group, GroupOptions};

/// Bits of a number that contain the index of the place; the others count how often the place was used before.
const PLACE_BITS: u32 = 24;

/// All groups, by number.
#[derive(Debug)]
pub(super) struct Slab {
    places: Vec<(usize, Option<Group>)>,
    free: Vec<usize>,
    /// An empty group, found by outdated numbers.
    nobody: Group,
}

impl Slab {
    pub(super) fn new() -> Self {
        let nobody = GroupOptions {
            min_instances: 0,
            max_instances: 1,
            max_queue: 1,
            max_requests: 0,
            resists_errors: false,
            takes_turns: false,
        };
        Self { places: Vec::new(), free: Vec::new(), nobody: Group::new(nobody) }
    }

    /// Adds a group and returns its number.
    pub(super) fn insert(&mut self, group: Group) -> usize {
        if let Some(place) = self.free.pop()
            && let Some((uses, there)) = self.places.get_mut(place)
        {
            *there = Some(group);
            return (*uses << PLACE_BITS) | place;
        }
        self.places.push((0, Some(group)));
        self.places.len() - 1
    }

    pub(super) fn remove(&mut self, number: usize) {
        let place = place(number);
        if let Some((uses, group)) = self.places.get_mut(place)
            && *uses == number >> PLACE_BITS
            && group.take().is_some()
        {
            *uses += 1;
            self.free.push(place);
        }
    }

    pub(super) fn contains(&self, number: usize) -> bool {
        self.places
            .get(place(number))
            .is_some_and(|(uses, group)| *uses == number >> PLACE_BITS && group.is_some())
    }

    /// Returns the numbers of all groups.
    pub(super) fn numbers(&self) -> Vec<usize> {
        let there = self.places.iter().enumerate().filter(|(_, (_, group))| group.is_some());
        there.map(|(place, (uses, _))| (uses << PLACE_BITS) | place).collect()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Group> {
        self.places.iter().filter_map(|(_, group)| group.as_ref())
    }
}

fn place(number: usize) -> usize {
    number & ((1 << PLACE_BITS) - 1)
}

impl Index<usize> for Slab {
    type Output = Group;

    fn index(&self, number: usize) -> &Group {
        let found = self.places.get(place(number)).filter(|(uses, _)| *uses == number >> PLACE_BITS);
        found.and_then(|(_, group)| group.as_ref()).unwrap_or(&self.nobody)
    }
}

impl IndexMut<usize> for Slab {
    fn index_mut(&mut self, number: usize) -> &mut Group {
        let found = self.places.get_mut(place(number)).filter(|(uses, _)| *uses == number >> PLACE_BITS);
        found.and_then(|(_, group)| group.as_mut()).unwrap_or(&mut self.nobody)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_never_used_again() {
        let mut slab = Slab::new();
        let options = slab.nobody.options;
        let first = slab.insert(Group::new(options));
        slab[first].generation = 7;
        slab.remove(first);
        slab.remove(first);
        let second = slab.insert(Group::new(options));
        assert_ne!(first, second);
        assert!(!slab.contains(first) && slab.contains(second));
        assert_eq!((slab[first].generation, slab[second].generation), (0, 0));
        assert_eq!((slab.numbers(), slab.iter().count()), (vec![second], 1));
        assert_eq!(slab.places.len(), 1, "its place is");
    }
}
