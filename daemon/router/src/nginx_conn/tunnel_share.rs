//! Each app's share of the router's descriptors for tunnels (WebSockets), which leaves enough for other apps and HTTP.
//!
//! An app's tunnels may use half of the descriptors that other apps' tunnels leave, so that some always remain.

use std::collections::HashMap;
use std::sync::Arc;

use crate::lock::Lock;
use crate::output::log_limit::LogLimit;
use crate::pool::GroupId;

/// Descriptors per tunnel: one to nginx, one to the app.
const PER_TUNNEL: u64 = 2;
/// Maximum number of messages per minute.
const PER_MINUTE: u32 = 10;

/// Number of tunnels of each app.
#[derive(Debug)]
pub(crate) struct Tunnels {
    open: Lock<HashMap<GroupId, u64>>,
    pub(crate) refusals: Arc<LogLimit>,
}

/// One counted tunnel, from the request for it to its end.
#[derive(Debug)]
pub(crate) struct Tunnel<'a> {
    tunnels: &'a Tunnels,
    group: GroupId,
}

impl Tunnels {
    pub(crate) fn new() -> Self {
        let refusals = LogLimit::new("an app has reached its share of tunnels (WebSockets)", PER_MINUTE);
        Self { open: Lock::default(), refusals }
    }

    /// Opens a tunnel of the app, of `descriptors` for all connections; `None` when the app's share is used up.
    pub(crate) fn open(&self, group: GroupId, descriptors: u64) -> Option<Tunnel<'_>> {
        let mut open = self.open.lock();
        let all: u64 = open.values().sum();
        let mine = open.get(&group).copied().unwrap_or(0);
        let share = descriptors.saturating_sub(PER_TUNNEL * (all - mine)) / 2;
        // The first tunnel is always allowed.
        if mine > 0 && PER_TUNNEL * (mine + 1) > share {
            return None;
        }
        *open.entry(group).or_default() += 1;
        Some(Tunnel { tunnels: self, group })
    }
}

impl Drop for Tunnel<'_> {
    fn drop(&mut self) {
        let mut open = self.tunnels.open.lock();
        if let Some(count) = open.get_mut(&self.group) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.group);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_uses_half_of_the_descriptors_left() {
        let tunnels = Tunnels::new();
        let fill = |group| std::iter::from_fn(|| tunnels.open(GroupId(group), 400)).collect::<Vec<_>>();
        let first = fill(0);
        assert_eq!(first.len(), 100, "half of the descriptors");
        let second = fill(1);
        assert_eq!(second.len(), 50, "half of what is left");
        drop(first);
        assert_eq!(fill(1).len(), 50, "as much as the first had");
    }
}
