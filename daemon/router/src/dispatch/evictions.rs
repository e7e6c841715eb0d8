//! The log of evictions: processes that end to make room for other apps, as the pool is full.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::effects::{Effects, Line};
use super::tables::Tables;
use crate::metrics::counters::count;
use crate::pool::{Eviction, GroupId};

/// Least time between two lines about one app: apps that share too small a pool may alternate.
const PAUSE: Duration = Duration::from_secs(60);

/// The last line about each app, and the evictions since then.
#[derive(Debug, Default)]
pub(super) struct EvictionLog(HashMap<GroupId, Logged>);

#[derive(Debug)]
struct Logged {
    at: Instant,
    unreported: u64,
}

impl EvictionLog {
    /// Whether an eviction is to be logged; returns the number of those since the last line.
    fn admit(&mut self, group: GroupId, now: Instant) -> Option<u64> {
        match self.0.get_mut(&group) {
            Some(logged) if now.duration_since(logged.at) < PAUSE => {
                logged.unreported += 1;
                None
            }
            _ => self
                .0
                .insert(group, Logged { at: now, unreported: 0 })
                .map_or(Some(0), |last| Some(last.unreported)),
        }
    }

    pub(super) fn remove_group(&mut self, group: GroupId) {
        self.0.remove(&group);
    }
}

impl Tables {
    /// Counts and logs the pool's evictions. To be called before their processes end.
    pub(super) fn report_evictions(&mut self, effects: &mut Effects) {
        for eviction in self.pool.take_evictions() {
            let now = Instant::now();
            let metrics = self.metrics(eviction.group);
            count(&metrics.evicted);
            *metrics.last_evicted.lock() = Some(now);
            if let Some(unreported) = self.evictions.admit(eviction.group, now) {
                effects.log(self.eviction_line(&eviction, unreported));
            }
        }
    }

    fn eviction_line(&self, eviction: &Eviction, unreported: u64) -> Line {
        let process = self.workers.get(&eviction.slot).map(|worker| worker.record.pid);
        let process = process.map_or_else(|| "a starting process".to_owned(), |pid| format!("process {pid}"));
        let group = self.pool.group(eviction.group);
        let (left, min) = (group.capacity_used(), group.options.min_instances);
        let max = self.pool.limits().max_processes;
        let more = if unreported == 0 {
            String::new()
        } else {
            format!(" ({unreported} more since the last message)")
        };
        let line = format!(
            "app {}: {process} ends to make room for app {}, as the pool is full ({max} processes); the app has {left} \
             left; raise passenger_max_pool_size{more}",
            self.name(eviction.group),
            self.name(eviction.for_group)
        );
        if left < min {
            Line::Warning(format!("{line}, as passenger_min_instances is {min}"))
        } else {
            Line::Info(line)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_has_one_line_a_minute_with_the_number_of_the_others() {
        let (mut log, now) = (EvictionLog::default(), Instant::now());
        assert_eq!(log.admit(GroupId(1), now), Some(0));
        assert_eq!(log.admit(GroupId(1), now), None);
        assert_eq!(log.admit(GroupId(2), now), Some(0));
        assert_eq!(log.admit(GroupId(1), now + PAUSE / 2), None);
        assert_eq!(log.admit(GroupId(1), now + PAUSE), Some(2));
        assert_eq!(log.admit(GroupId(1), now + PAUSE * 2), Some(0));
    }
}
