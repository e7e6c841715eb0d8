//! Memory use of processes, measured for the router, which may not inspect processes of other users.

use std::collections::VecDeque;
use std::fs;
use std::time::{Duration, Instant};

use nix::unistd::{SysconfVar, sysconf};

use crate::router::outstanding::{Outstanding, Share};
use common::link::{Notice, ProcessId, Ticket};

/// How long the supervisor measures before it checks its other events again.
const TIME_AT_A_TIME: Duration = Duration::from_millis(5);

/// Incomplete measurements.
#[derive(Debug, Default)]
pub(super) struct Measurements(VecDeque<Measurement>);

#[derive(Debug)]
struct Measurement {
    ticket: Ticket,
    left: Vec<ProcessId>,
    held: Vec<(ProcessId, u64)>,
    _share: Share,
}

impl Measurements {
    /// Returns the current time when a measurement is incomplete.
    pub(super) fn due(&self) -> Option<Instant> {
        (!self.0.is_empty()).then(Instant::now)
    }

    pub(super) fn add(&mut self, ticket: Ticket, left: Vec<ProcessId>, outstanding: &Outstanding) {
        let _share = outstanding.take(size_of::<Measurement>() + left.len() * size_of::<(ProcessId, u64)>());
        self.0.push_back(Measurement { ticket, left, held: Vec::new(), _share });
    }

    /// Measures for a limited time; measuring a process takes longer the more memory it has. `pid_of` returns the PID
    /// of a process that has not ended. Returns the completed measurements.
    pub(super) fn proceed(&mut self, pid_of: impl Fn(ProcessId) -> Option<i32>) -> Vec<Notice> {
        let until = Instant::now() + TIME_AT_A_TIME;
        let mut complete = Vec::new();
        while let Some(first) = self.0.front_mut() {
            if let Some(id) = first.left.pop() {
                first.held.extend(pid_of(id).and_then(held).map(|held| (id, held)));
            } else if let Some(Measurement { ticket, held, .. }) = self.0.pop_front() {
                complete.push(Notice::Measured { ticket, held });
            }
            if Instant::now() >= until {
                break;
            }
        }
        complete
    }
}

/// Returns a process's memory in bytes; shared pages count proportionally. `None` when it has just ended.
fn held(pid: i32) -> Option<u64> {
    let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).ok();
    proportional(&read("smaps_rollup").unwrap_or_default()).or_else(|| private(&read("statm")?))
}

/// Returns the process's proportional share of shared memory, plus all of the rest.
fn proportional(rollup: &str) -> Option<u64> {
    let kib = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?.trim().strip_suffix("kB")?;
    kib.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// Returns resident minus shared pages, for kernels without `smaps_rollup`.
fn private(statm: &str) -> Option<u64> {
    let mut fields = statm.split_whitespace().skip(1).map(|field| field.parse::<u64>().ok());
    let (resident, shared) = (fields.next()??, fields.next()??);
    let page = sysconf(SysconfVar::PAGE_SIZE).ok().flatten().and_then(|size| u64::try_from(size).ok())?;
    resident.saturating_sub(shared).checked_mul(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_pages_count_proportionally() {
        let rollup = "5600-7ffc [rollup]\nRss:  5000 kB\nPss:  1234 kB\nPss_Dirty: 7 kB\n";
        assert_eq!(proportional(rollup), Some(1234 * 1024));
        assert_eq!(proportional(""), None);
    }

    #[test]
    fn a_live_process_uses_memory_and_an_ended_one_has_none() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(held(own).is_some_and(|held| held > 1 << 16));
        let statm = fs::read_to_string("/proc/self/statm").unwrap();
        assert!(private(&statm).is_some_and(|held| held > 0));
        assert_eq!(held(-1), None);
    }
}
