//! Descendants of a process, from `/proc`.

use std::fs;

/// Returns all descendants of a process.
pub(super) fn descendants(pid: u32) -> Vec<u32> {
    let parents = parents();
    let (mut found, mut at) = (vec![pid], 0);
    while let Some(parent) = found.get(at).copied() {
        found.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        at += 1;
    }
    found.split_off(1)
}

/// Returns the children of a process.
pub(super) fn children(pid: u32) -> Vec<u32> {
    parents().into_iter().filter(|(_, of)| *of == pid).map(|(pid, _)| pid).collect()
}

/// Returns each process with its parent.
fn parents() -> Vec<(u32, u32)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| Some((pid, parent(pid)?))).collect()
}

fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may contain any character; only numbers follow the last parenthesis.
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_below_its_parent() {
        let (me, parent) = (std::process::id(), std::os::unix::process::parent_id());
        assert!(children(parent).contains(&me) && descendants(parent).contains(&me));
        assert!(!descendants(me).contains(&me));
    }
}
