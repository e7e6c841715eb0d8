//! Sample of the counters in `/proc`.

use std::fs;
use std::time::Instant;

use super::cgroup::Limits;

/// A sample.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    pub(super) at: Instant,
    pub(super) kernel: String,
    /// Seconds since the machine booted.
    pub(super) uptime: u64,
    pub(super) load: Load,
    pub(super) counters: Counters,
    pub(super) memory: Memory,
    /// Size of a page in KiB, the unit of the swap counters.
    pub(super) page_kib: f64,
    pub(super) limits: Limits,
}

/// `/proc/loadavg`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Load {
    /// Load averages over 1, 5 and 15 minutes.
    pub(super) averages: [f64; 3],
    pub(super) running: u64,
    pub(super) processes: u64,
}

/// Counters since the machine booted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Counters {
    /// All CPUs together.
    pub(super) cpu: Times,
    pub(super) cpus: Vec<Times>,
    pub(super) forks: u64,
    /// In pages.
    pub(super) swapped_in: u64,
    pub(super) swapped_out: u64,
}

/// Time of a CPU by type, in ticks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) user: u64,
    pub(super) nice: u64,
    /// Interrupts included.
    pub(super) system: u64,
    pub(super) idle: u64,
    pub(super) iowait: u64,
    /// Time used by other virtual machines.
    pub(super) steal: u64,
}

/// `/proc/meminfo`, in KiB.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Memory {
    pub(super) total: u64,
    pub(super) available: u64,
    pub(super) swap_total: u64,
    pub(super) swap_free: u64,
}

impl Sample {
    /// Takes a sample.
    ///
    /// # Errors
    ///
    /// Returns a message that names the file of `/proc`.
    pub(super) fn take() -> Result<Self, String> {
        Ok(Self {
            at: Instant::now(),
            kernel: read("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            uptime: first(&read("/proc/uptime")?).unwrap_or_default() as u64,
            load: load(&read("/proc/loadavg")?),
            counters: counters(&read("/proc/stat")?, &read("/proc/vmstat")?),
            memory: memory(&read("/proc/meminfo")?),
            page_kib: page_kib(&read("/proc/self/smaps")?),
            limits: Limits::read(),
        })
    }
}

fn read(path: &str) -> Result<String, String> {
    fs::read_to_string(path).map_err(|why| format!("{path} cannot be read: {why}"))
}

fn first(text: &str) -> Option<f64> {
    text.split_whitespace().next()?.parse().ok()
}

/// Parses `0.05 0.10 0.15 1/234 5678`.
fn load(text: &str) -> Load {
    let mut words = text.split_whitespace();
    let mut average = || words.next().and_then(|word| word.parse().ok()).unwrap_or_default();
    let averages = [average(), average(), average()];
    let (running, processes) = words.next().and_then(|word| word.split_once('/')).unwrap_or_default();
    let number = |text: &str| text.parse().unwrap_or_default();
    Load { averages, running: number(running), processes: number(processes) }
}

fn counters(stat: &str, vmstat: &str) -> Counters {
    let of = |text: &str, name: &str| {
        text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap_or_default()
    };
    let line = |line: &str| line.split_once(' ').map(|(name, rest)| (name.to_owned(), times(rest)));
    let mut cpus: Vec<_> = stat.lines().filter(|line| line.starts_with("cpu")).filter_map(line).collect();
    let all = cpus.iter().position(|(name, _)| name == "cpu").map(|at| cpus.remove(at).1);
    Counters {
        cpu: all.unwrap_or_default(),
        cpus: cpus.into_iter().map(|(_, times)| times).collect(),
        forks: of(stat, "processes "),
        swapped_in: of(vmstat, "pswpin "),
        swapped_out: of(vmstat, "pswpout "),
    }
}

/// Parses `user nice system idle iowait irq softirq steal …`.
fn times(text: &str) -> Times {
    let numbers: Vec<u64> = text.split_whitespace().map_while(|word| word.parse().ok()).collect();
    let number = |at: usize| numbers.get(at).copied().unwrap_or_default();
    Times {
        user: number(0),
        nice: number(1),
        system: number(2) + number(5) + number(6),
        idle: number(3),
        iowait: number(4),
        steal: number(7),
    }
}

fn memory(meminfo: &str) -> Memory {
    let field = |name: &str| kib(meminfo, name).unwrap_or_default();
    Memory {
        total: field("MemTotal:"),
        available: field("MemAvailable:"),
        swap_total: field("SwapTotal:"),
        swap_free: field("SwapFree:"),
    }
}

fn page_kib(smaps: &str) -> f64 {
    kib(smaps, "KernelPageSize:").map_or(4.0, |kib| kib as f64)
}

/// Returns the number in a line such as `MemTotal:  8000 kB`.
fn kib(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_texts_are_read() {
        let stat = "cpu  10 1 5 100 4 2 1 3 0 0\ncpu0 5 0 2 50 2 1 1 2 0 0\ncpu1 5 1 3 50 2 1 0 1 0 0\nctxt 9\nprocesses 42\n";
        let counters = counters(stat, "pgpgin 3\npswpin 7\npswpout 8\n");
        assert_eq!(counters.cpu, Times { user: 10, nice: 1, system: 8, idle: 100, iowait: 4, steal: 3 });
        assert_eq!((counters.cpus.len(), counters.cpus[1].system), (2, 4));
        assert_eq!((counters.forks, counters.swapped_in, counters.swapped_out), (42, 7, 8));
        let load = load("0.05 0.10 0.15 1/234 5678\n");
        assert_eq!(load, Load { averages: [0.05, 0.10, 0.15], running: 1, processes: 234 });
        let memory = memory(
            "MemTotal: 8000 kB\nMemFree: 1 kB\nMemAvailable:  3000 kB\nSwapTotal: 10 kB\nSwapFree: 4 kB\n",
        );
        assert_eq!(memory, Memory { total: 8000, available: 3000, swap_total: 10, swap_free: 4 });
    }

    #[test]
    fn this_machine_can_be_sampled() {
        let sample = Sample::take().unwrap();
        assert!(sample.memory.total > 0 && !sample.counters.cpus.is_empty() && !sample.kernel.is_empty());
    }
}
