//! How much memory processes hold, on the router's behalf: it may not look into those of other users.

use std::fs;

use nix::unistd::{SysconfVar, sysconf};

/// What a process holds, in bytes: pages that it shares count by its part. `None` when it has just ended.
pub(super) fn held(pid: i32) -> Option<u64> {
    let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).ok();
    proportional(&read("smaps_rollup").unwrap_or_default()).or_else(|| private(&read("statm")?))
}

/// The part that is this process's of what it shares, and all of the rest.
fn proportional(rollup: &str) -> Option<u64> {
    let kib = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?.trim().strip_suffix("kB")?;
    kib.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// Without `smaps_rollup`: resident minus shared pages.
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
    fn shared_pages_count_by_their_part() {
        let rollup = "5600-7ffc [rollup]\nRss:  5000 kB\nPss:  1234 kB\nPss_Dirty: 7 kB\n";
        assert_eq!(proportional(rollup), Some(1234 * 1024));
        assert_eq!(proportional(""), None);
    }

    #[test]
    fn this_process_holds_memory_and_one_that_is_gone_does_not() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(held(own).is_some_and(|held| held > 1 << 16));
        let statm = fs::read_to_string("/proc/self/statm").unwrap();
        assert!(private(&statm).is_some_and(|held| held > 0));
        assert_eq!(held(-1), None);
    }
}
