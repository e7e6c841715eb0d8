//! Reads `/proc`, and signals processes that a test has started.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A process as `/proc` describes it.
#[derive(Debug, Clone)]
pub(crate) struct ProcessInfo {
    pub(crate) pid: u32,
    pub(crate) parent: u32,
    pub(crate) group: u32,
    zombie: bool,
}

/// Memory of a process.
#[derive(Debug, Clone, Copy)]
pub struct Memory;

impl Memory {
    /// Resident memory of a process (VmRSS), in KiB.
    pub fn resident_kib(pid: u32) -> u64 {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process is gone");
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().nth(1));
        number.and_then(|kib| kib.parse().ok()).unwrap_or(0)
    }
}

/// Whether the process runs; a zombie does not.
pub fn is_alive(pid: u32) -> bool {
    read_process(pid).is_some_and(|seen| !seen.zombie)
}

/// The user that a process runs as.
pub fn owner_uid(pid: u32) -> u32 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process is gone");
    let line = status.lines().find(|line| line.starts_with("Uid:")).unwrap();
    line.split_whitespace().nth(2).unwrap().parse().unwrap()
}

/// The scheduling policies of the threads of a process, as chrt(1) names them.
pub fn scheduling_policies(pid: u32) -> BTreeSet<&'static str> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("the process is gone").flatten();
    threads
        .map(|thread| scheduling_policy(&fs::read_to_string(thread.path().join("stat")).unwrap()))
        .collect()
}

/// The scheduling policy in the text of `/proc/PID/stat`.
#[track_caller]
pub fn scheduling_policy(stat: &str) -> &'static str {
    match stat_field(stat, 41) {
        "0" => "other",
        "3" => "batch",
        "5" => "idle",
        policy => panic!("unexpected scheduling policy {policy}"),
    }
}

/// The nice value of a process.
pub fn nice_value(pid: u32) -> i32 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process is gone");
    stat_field(&stat, 19).parse().unwrap()
}

/// A field of `/proc/PID/stat` by its number in proc(5). The name in parentheses, the second one, may contain anything.
fn stat_field(stat: &str, number: usize) -> &str {
    let rest = stat.rsplit_once(')').expect("a name in parentheses").1;
    rest.split_whitespace().nth(number - 3).unwrap()
}

/// How many descriptors a process has open.
pub fn open_descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// The process's children, their children, and so on.
pub fn descendants(pid: u32) -> Vec<u32> {
    let all = all_processes();
    let mut found = vec![pid];
    let mut at = 0;
    while at < found.len() {
        let parent = found[at];
        found.extend(all.iter().filter(|seen| seen.parent == parent).map(|seen| seen.pid));
        at += 1;
    }
    found.split_off(1)
}

/// Sends SIGKILL to a process that this test has started.
pub fn kill_9(pid: u32) {
    signal(pid, Signal::SIGKILL);
}

/// Sends a signal to a process that this test has started. A process that has exited is not an error.
pub fn signal(pid: u32, signal: Signal) {
    let _gone_already = kill(Pid::from_raw(pid as i32), signal);
}

/// Every process that a test has started: in one of its process groups, with its mark in the environment, or with a
/// working directory below the test's directory.
pub(crate) fn started_by(groups: &[u32], mark: &str, dir: &Path) -> Vec<u32> {
    let me = std::process::id();
    let mine = |seen: &ProcessInfo| {
        groups.contains(&seen.group)
            || fs::read(format!("/proc/{}/environ", seen.pid))
                .is_ok_and(|environ| environ.split(|byte| *byte == 0).any(|pair| pair == mark.as_bytes()))
            || fs::read_link(format!("/proc/{}/cwd", seen.pid)).is_ok_and(|cwd| cwd.starts_with(dir))
    };
    all_processes()
        .into_iter()
        .filter(|seen| seen.pid != me && !seen.zombie && mine(seen))
        .map(|seen| seen.pid)
        .collect()
}

/// Members of a process group.
pub(crate) fn in_group(group: u32) -> Vec<u32> {
    let members = all_processes().into_iter().filter(|seen| seen.group == group && !seen.zombie);
    members.map(|seen| seen.pid).collect()
}

/// Number of children that have exited and were not reaped.
pub fn zombies(parent: u32) -> usize {
    all_processes().into_iter().filter(|seen| seen.parent == parent && seen.zombie).count()
}

/// Direct children.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let mine = all_processes().into_iter().filter(|seen| seen.parent == pid && !seen.zombie);
    mine.map(|seen| seen.pid).collect()
}

/// The command line, for messages.
pub(crate) fn title(pid: u32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ").trim().to_owned()
}

fn all_processes() -> Vec<ProcessInfo> {
    let entries = fs::read_dir("/proc").expect("/proc is mounted").flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter_map(read_process).collect()
}

fn read_process(pid: u32) -> Option<ProcessInfo> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may contain anything; after the last parenthesis there are only numbers.
    let mut words = stat.rsplit_once(')')?.1.split_whitespace();
    let state = words.next()?;
    Some(ProcessInfo {
        pid,
        zombie: state == "Z" || state == "X",
        parent: words.next()?.parse().ok()?,
        group: words.next()?.parse().ok()?,
    })
}
