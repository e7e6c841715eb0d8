//! Times at which nginx read the configurations that its connections follow.
//!
//! A time comes from a worker of nginx, which may be compromised. A time in the future is replaced by the time at which
//! it was first received, and a configuration is in effect for as long as a connection follows it.

use std::collections::{BTreeMap, VecDeque};

use tracing::warn;

/// Maximum number of future times that are remembered, so that a configuration keeps its order among the others.
const MAX_FUTURE: usize = 64;

/// Pause between two warnings, in milliseconds.
const WARNING_PAUSE: u64 = 60_000;

/// Configurations that open connections follow. Times are in milliseconds since 1970.
#[derive(Debug, Default)]
pub(super) struct Configurations {
    /// Number of connections by time.
    open: BTreeMap<u64, usize>,
    /// Times in the future as received, with the time at which each was first received.
    future: VecDeque<(u64, u64)>,
    warned: Option<u64>,
}

impl Configurations {
    /// Adds a connection, and returns the time that applies to it.
    pub(super) fn open(&mut self, received: u64, now: u64) -> u64 {
        let lookup = self.future.iter().find(|(lookup, _)| *lookup == received).map(|(_, first)| *first);
        let time = match lookup {
            Some(first) => first,
            None if received > now => self.clamp(received, now),
            None => received,
        };
        *self.open.entry(time).or_default() += 1;
        time
    }

    /// Removes a connection. Returns the newest time that is left if the connection was the last one of a newer time.
    pub(super) fn close(&mut self, time: u64) -> Option<u64> {
        let count = self.open.get_mut(&time)?;
        *count -= 1;
        if *count > 0 {
            return None;
        }
        self.open.remove(&time);
        self.newest().filter(|left| *left < time)
    }

    /// Returns the newest time that a connection follows.
    pub(super) fn newest(&self) -> Option<u64> {
        self.open.last_key_value().map(|(time, _)| *time)
    }

    fn clamp(&mut self, received: u64, now: u64) -> u64 {
        if self.future.len() == MAX_FUTURE {
            self.future.pop_front();
        }
        self.future.push_back((received, now));
        if self.warned.is_none_or(|at| !(at..at.saturating_add(WARNING_PAUSE)).contains(&now)) {
            self.warned = Some(now);
            warn!(
                "a worker of nginx reports a configuration that was read in the future, {} seconds from now; it is \
                 treated as read now; check the clock, and whether that worker is compromised",
                (received - now) / 1000
            );
        }
        now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_in_the_future_is_replaced_by_one_that_stays() {
        let mut configurations = Configurations::default();
        assert_eq!(configurations.open(5, 10), 5);
        assert_eq!(configurations.open(u64::MAX, 10), 10);
        assert_eq!(configurations.open(u64::MAX, 11), 10, "one configuration has one time");
        assert_eq!(configurations.open(12, 12), 12, "a later one is newer");
    }

    #[test]
    fn the_number_of_times_in_the_future_is_limited() {
        let mut configurations = Configurations::default();
        for at in 0..1000 {
            let time = configurations.open(1_000_000 + at, at);
            assert_eq!(time, at);
            configurations.close(time);
        }
        assert_eq!((configurations.future.len(), configurations.open.len()), (MAX_FUTURE, 0));
    }

    #[test]
    fn a_configuration_ends_with_its_last_connection() {
        let mut configurations = Configurations::default();
        for time in [1, 5, 5] {
            configurations.open(time, 10);
        }
        assert_eq!(configurations.close(5), None, "one more follows it");
        assert_eq!(configurations.close(5), Some(1));
        assert_eq!(configurations.close(1), None, "nothing is left");
        configurations.open(1, 10);
        configurations.open(5, 10);
        assert_eq!(configurations.close(1), None, "the newer one is left");
        assert_eq!(configurations.close(7), None, "unknown");
    }
}
