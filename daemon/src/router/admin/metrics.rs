//! CPU and memory of a process, out of `/proc`.
//!
//! The router may not read other users' `smaps`, so memory is resident minus shared pages: what the process would
//! give back if it ended, but for pages it still shares with the process that forked it.

use std::fs;

use nix::unistd::{SysconfVar, sysconf};

/// What a process uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// Share of one core since it was started, in percent.
    pub(super) cpu_percent: u64,
    /// Time of processors since it was started, in milliseconds.
    pub(super) cpu_ms: u64,
    /// Private memory, in bytes.
    pub(super) memory: u64,
}

/// Usage of a process that has run for `uptime` seconds; zeros when it has just ended.
pub(super) fn usage(pid: i32, uptime: u64) -> Usage {
    let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let seconds = cpu_seconds(&read("stat"), constant(SysconfVar::CLK_TCK, 100));
    Usage {
        cpu_ms: (seconds * 1000.0) as u64,
        cpu_percent: (seconds * 100.0 / uptime.max(1) as f64).round() as u64,
        memory: private_pages(&read("statm")) * constant(SysconfVar::PAGE_SIZE, 4096),
    }
}

/// User and system time, in seconds.
fn cpu_seconds(stat: &str, ticks_per_second: u64) -> f64 {
    // The name in parentheses may hold anything; fields are counted behind it.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: u64 = fields.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum();
    ticks as f64 / ticks_per_second as f64
}

fn private_pages(statm: &str) -> u64 {
    let mut fields = statm.split_whitespace().skip(1).map(|n| n.parse::<u64>().unwrap_or(0));
    let (resident, shared) = (fields.next().unwrap_or(0), fields.next().unwrap_or(0));
    resident.saturating_sub(shared)
}

fn constant(name: SysconfVar, default: u64) -> u64 {
    sysconf(name).ok().flatten().and_then(|n| u64::try_from(n).ok()).filter(|n| *n > 0).unwrap_or(default)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_whatever_the_name_is() {
        let stat = "7 (a) b (c) S 1 1 1 0 -1 0 0 0 0 0 150 50 0 0 20 0 1";
        assert!((cpu_seconds(stat, 100) - 2.0).abs() < f64::EPSILON);
        assert_eq!(private_pages("1000 300 120 1 0 5 0"), 180);
    }

    #[test]
    fn a_process_that_is_gone_uses_nothing() {
        assert_eq!(usage(-1, 10), Usage::default());
    }

    #[test]
    fn this_process_uses_memory() {
        assert!(usage(std::process::id() as i32, 1).memory > 0);
    }
}
