//! CPU and memory usage of processes from `/proc`. It is read in batches, so that requests are served in between, and
//! cached briefly for all readers.
//!
//! The router may not read other users' `smaps`, so memory is resident minus shared pages: what the process would free
//! if it ended, except for pages that it still shares with the process that forked it.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::time::{Duration, Instant};

use nix::unistd::{SysconfVar, sysconf};
use tokio::sync::Mutex;

use crate::dispatch::Dispatcher;
use crate::lock::Lock;
use common::link::ProcessId;

/// How old a displayed value may be.
const FRESH: Duration = Duration::from_millis(400);
/// Processes read before other tasks get their turn: each takes the kernel about 50 µs.
const BATCH: usize = 16;

/// Resource usage of a process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// CPU time since its start, in milliseconds.
    pub(crate) cpu_ms: u64,
    /// Private memory, in bytes.
    pub(crate) memory: u64,
}

/// The last values read.
#[derive(Debug, Default)]
pub(crate) struct Usages {
    seen: Lock<HashMap<i32, (Instant, Usage)>>,
    /// The CPU time of each process that its app's metrics contain.
    counted: Lock<HashMap<i32, (ProcessId, u64)>>,
    /// Held by the task that reads, while others wait for it.
    turn: Mutex<()>,
}

impl Usage {
    /// Reads the usage; zeros when the process has just ended.
    fn read(pid: i32) -> Self {
        let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
        Self {
            cpu_ms: cpu_ms(&read("stat"), constant(SysconfVar::CLK_TCK, 100)),
            memory: private_pages(&read("statm")) * constant(SysconfVar::PAGE_SIZE, 4096),
        }
    }

    /// Returns the share of one core over the seconds that the process has run, in percent.
    pub(crate) fn cpu_percent(self, uptime: u64) -> u64 {
        let seconds = uptime.max(1);
        self.cpu_ms.saturating_add(5 * seconds) / (10 * seconds)
    }
}

impl Usages {
    /// Reads the usage of all processes, except values that are still fresh.
    pub(crate) async fn refresh(&self, dispatcher: &Dispatcher) {
        let _turn = self.turn.lock().await;
        let pids: HashSet<i32> =
            dispatcher.inspect(|_, workers| workers.values().map(|worker| worker.record.pid).collect());
        let old: Vec<i32> = pids.iter().copied().filter(|pid| self.fresh(*pid).is_none()).collect();
        for some in old.chunks(BATCH) {
            for pid in some {
                self.read(*pid);
            }
            tokio::task::yield_now().await;
        }
        self.add_cpu_time(dispatcher);
        self.seen.lock().retain(|pid, _| pids.contains(pid));
    }

    /// Adds the CPU time that processes have used since the last call to the metrics of their apps.
    fn add_cpu_time(&self, dispatcher: &Dispatcher) {
        let mut counted = self.counted.lock();
        let seen = self.seen.lock();
        dispatcher.inspect(|_, workers| {
            for worker in workers.values() {
                let pid = worker.record.pid;
                let Some((_, usage)) = seen.get(&pid) else { continue };
                // Another process may have got the PID.
                let (process, before) = counted.insert(pid, (worker.record.process, usage.cpu_ms)).unzip();
                let before = before.filter(|_| process == Some(worker.record.process)).unwrap_or(0);
                worker.route.metrics.cpu_ms.add(usage.cpu_ms.saturating_sub(before));
            }
        });
        counted.retain(|pid, _| seen.contains_key(pid));
    }

    /// Returns the usage of a process, from the cache if that is fresh.
    pub(crate) fn of(&self, pid: i32) -> Usage {
        self.fresh(pid).unwrap_or_else(|| self.read(pid))
    }

    fn fresh(&self, pid: i32) -> Option<Usage> {
        let seen = self.seen.lock().get(&pid).copied();
        seen.filter(|(at, _)| at.elapsed() < FRESH).map(|(_, usage)| usage)
    }

    fn read(&self, pid: i32) -> Usage {
        let usage = Usage::read(pid);
        self.seen.lock().insert(pid, (Instant::now(), usage));
        usage
    }
}

/// Returns user and system time.
fn cpu_ms(stat: &str, ticks_per_second: u64) -> u64 {
    // The name in parentheses may contain anything; fields are counted after it.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: u64 = fields.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum();
    ticks.saturating_mul(1000) / ticks_per_second.max(1)
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
    fn fields_are_found_whatever_the_process_name_is() {
        let stat = "7 (a) b (c) S 1 1 1 0 -1 0 0 0 0 0 150 50 0 0 20 0 1";
        assert_eq!(cpu_ms(stat, 100), 2000);
        assert_eq!(private_pages("1000 300 120 1 0 5 0"), 180);
    }

    #[test]
    fn a_process_that_has_ended_uses_nothing() {
        assert_eq!(Usage::read(-1), Usage::default());
    }

    #[test]
    fn this_process_uses_memory() {
        assert!(Usage::read(std::process::id() as i32).memory > 0);
    }

    #[test]
    fn a_share_of_a_core_is_rounded() {
        let percent = |cpu_ms, uptime| Usage { cpu_ms, memory: 0 }.cpu_percent(uptime);
        assert_eq!([percent(0, 0), percent(1500, 10), percent(1549, 10), percent(1551, 10)], [0, 15, 15, 16]);
    }

    #[test]
    fn a_fresh_value_is_not_read_again() {
        let (usages, kept) = (Usages::default(), Usage { cpu_ms: 7, memory: 11 });
        usages.seen.lock().insert(-1, (Instant::now(), kept));
        assert_eq!(usages.of(-1), kept);
        usages.seen.lock().insert(-1, (Instant::now() - FRESH, kept));
        assert_eq!(usages.of(-1), Usage::default());
    }
}
