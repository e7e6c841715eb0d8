//! The log of evictions: processes that end to make room for other apps, as the pool is full.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::Dispatcher;
use crate::metrics::counters::count;
use crate::pool::{Eviction, GroupId};

/// Least time between two lines about one app: apps that share too small a pool may alternate.
const PAUSE: Duration = Duration::from_secs(60);

/// The last line about each app, and the evictions since then.
#[derive(Debug, Default)]
pub(super) struct EvictionLog(RefCell<HashMap<GroupId, Logged>>);

#[derive(Debug)]
struct Logged {
    at: Instant,
    unreported: u64,
}

impl EvictionLog {
    /// Whether an eviction is to be logged; returns the number of those since the last line.
    fn admit(&self, group: GroupId, now: Instant) -> Option<u64> {
        let mut all = self.0.borrow_mut();
        match all.get_mut(&group) {
            Some(logged) if now.duration_since(logged.at) < PAUSE => {
                logged.unreported += 1;
                None
            }
            _ => all
                .insert(group, Logged { at: now, unreported: 0 })
                .map_or(Some(0), |last| Some(last.unreported)),
        }
    }

    pub(super) fn remove_group(&self, group: GroupId) {
        self.0.borrow_mut().remove(&group);
    }
}

impl Dispatcher {
    /// Counts and logs the pool's evictions. To be called before their processes end.
    pub(super) fn report_evictions(&self) {
        let evictions = self.pool.borrow_mut().take_evictions();
        for eviction in evictions {
            let now = Instant::now();
            let metrics = self.metrics(eviction.group);
            count(&metrics.evicted);
            metrics.last_evicted.set(Some(now));
            if let Some(unreported) = self.evictions.admit(eviction.group, now) {
                self.log_eviction(&eviction, unreported);
            }
        }
    }

    fn log_eviction(&self, eviction: &Eviction, unreported: u64) {
        let name = |group| self.route(group).map_or_else(|| "?".to_owned(), |route| route.name.clone());
        let process = self.workers.borrow().get(&eviction.slot).map(|worker| worker.record.pid);
        let process = process.map_or_else(|| "a starting process".to_owned(), |pid| format!("process {pid}"));
        let (left, min, max) = self.inspect(|pool, _| {
            let group = pool.group(eviction.group);
            (group.capacity_used(), group.options.min_instances, pool.limits().max_processes)
        });
        let more = if unreported == 0 {
            String::new()
        } else {
            format!(" ({unreported} more since the last message)")
        };
        let line = format!(
            "app {}: {process} ends to make room for app {}, as the pool is full ({max} processes); the app has {left} \
             left; raise passenger_max_pool_size{more}",
            name(eviction.group),
            name(eviction.for_group)
        );
        if left < min {
            warn!("{line}, as passenger_min_instances is {min}");
        } else {
            info!("{line}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_has_one_line_a_minute_with_the_number_of_the_others() {
        let (log, now) = (EvictionLog::default(), Instant::now());
        assert_eq!(log.admit(GroupId(1), now), Some(0));
        assert_eq!(log.admit(GroupId(1), now), None);
        assert_eq!(log.admit(GroupId(2), now), Some(0));
        assert_eq!(log.admit(GroupId(1), now + PAUSE / 2), None);
        assert_eq!(log.admit(GroupId(1), now + PAUSE), Some(2));
        assert_eq!(log.admit(GroupId(1), now + PAUSE * 2), Some(0));
    }
}
