//! Report computed from two samples: rates between them, and the state at the second.

use super::cgroup::Limits;
use super::sample::{Counters, Load, Memory, Sample, Times};

/// The report.
#[derive(Debug, Clone)]
pub(super) struct Report {
    pub(super) kernel: String,
    pub(super) uptime: u64,
    pub(super) load: Load,
    /// Processes created per second.
    pub(super) fork_rate: f64,
    /// All CPUs together.
    pub(super) cpu: Usage,
    pub(super) cpus: Vec<Usage>,
    pub(super) memory: Memory,
    /// In KiB per second.
    pub(super) swap_in: f64,
    pub(super) swap_out: f64,
    pub(super) limits: Limits,
}

/// CPU time by type, in percent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// The sum of user, nice and system time.
    pub(super) busy: u64,
    pub(super) user: u64,
    pub(super) nice: u64,
    pub(super) system: u64,
    pub(super) idle: u64,
    pub(super) iowait: u64,
    pub(super) steal: u64,
}

impl Report {
    pub(super) fn between(before: &Sample, now: &Sample) -> Self {
        let seconds = now.at.saturating_duration_since(before.at).as_secs_f64().max(0.001);
        let rate = |count: fn(&Counters) -> u64| {
            count(&now.counters).saturating_sub(count(&before.counters)) as f64 / seconds
        };
        let cpus = before.counters.cpus.iter().zip(&now.counters.cpus);
        Self {
            kernel: now.kernel.clone(),
            uptime: now.uptime,
            load: now.load.clone(),
            fork_rate: rate(|counters| counters.forks),
            cpu: Usage::between(&before.counters.cpu, &now.counters.cpu),
            cpus: cpus.map(|(before, now)| Usage::between(before, now)).collect(),
            memory: now.memory,
            swap_in: rate(|counters| counters.swapped_in) * now.page_kib,
            swap_out: rate(|counters| counters.swapped_out) * now.page_kib,
            limits: now.limits.clone(),
        }
    }
}

impl Usage {
    fn between(before: &Times, now: &Times) -> Self {
        let spent = |of: fn(&Times) -> u64| of(now).saturating_sub(of(before));
        let parts = [
            spent(|t| t.user),
            spent(|t| t.nice),
            spent(|t| t.system),
            spent(|t| t.idle),
            spent(|t| t.iowait),
            spent(|t| t.steal),
        ];
        let all: u64 = parts.iter().sum();
        let percent = |ticks: u64| (ticks * 100 + all / 2).checked_div(all).unwrap_or_default();
        let busy = percent(parts[0] + parts[1] + parts[2]);
        let [user, nice, system, idle, iowait, steal] = parts.map(percent);
        Self { busy, user, nice, system, idle, iowait, steal }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_what_was_spent_between_two_looks() {
        let before = Times { user: 100, nice: 0, system: 50, idle: 1000, iowait: 0, steal: 0 };
        let now = Times { user: 150, nice: 5, system: 75, idle: 1110, iowait: 8, steal: 2 };
        let usage = Usage::between(&before, &now);
        assert_eq!(usage, Usage { busy: 40, user: 25, nice: 3, system: 13, idle: 55, iowait: 4, steal: 1 });
        assert_eq!(Usage::between(&now, &now), Usage::default());
    }
}
