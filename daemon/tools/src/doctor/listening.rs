//! Ports on which an app's processes actually listen, from the kernel's tables while they run.

use std::collections::{BTreeSet, HashSet};
use std::fs;

use super::process_tree::descendants;

/// `TCP_LISTEN`, as written in the kernel's tables.
const LISTENING: &str = "0A";

/// Returns the ports on which descendants of `pid` listen.
pub(super) fn ports_below(pid: u32) -> BTreeSet<u16> {
    let sockets: HashSet<u64> = descendants(pid).into_iter().flat_map(sockets_of).collect();
    if sockets.is_empty() {
        return BTreeSet::new();
    }
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    let lines = tables.iter().flat_map(|table| table.lines()).filter_map(listener);
    lines.filter(|(_, inode)| sockets.contains(inode)).map(|(port, _)| port).collect()
}

/// Returns port and inode of a line's socket if it listens.
fn listener(line: &str) -> Option<(u16, u64)> {
    let mut fields = line.split_whitespace().skip(1);
    let (_, port) = fields.next()?.rsplit_once(':')?;
    let state = fields.nth(1)?;
    let inode = fields.nth(5)?.parse().ok()?;
    (state == LISTENING).then_some((u16::from_str_radix(port, 16).ok()?, inode))
}

fn sockets_of(pid: u32) -> Vec<u64> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let links =
        entries.filter_map(|entry| fs::read_link(entry.path()).ok()?.into_os_string().into_string().ok());
    links.filter_map(|link| link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_listener_is_told_by_its_line() {
        let line =
            "  12: 0100007F:1388 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 77 1";
        assert_eq!(listener(line), Some((5000, 77)));
        assert_eq!(listener(&line.replace(" 0A ", " 01 ")), None);
        assert_eq!(listener("  sl  local_address rem_address   st"), None);
    }

    #[test]
    fn a_port_belongs_to_who_has_its_socket() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let parent = std::os::unix::process::parent_id();
        assert!(ports_below(parent).contains(&port));
        assert!(!ports_below(std::process::id()).contains(&port), "it has no children that listen");
    }
}
