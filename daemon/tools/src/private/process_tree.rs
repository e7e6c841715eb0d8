//! Descendants of a process and the ports on which they listen, from `/proc`.

use std::collections::{BTreeSet, HashSet};

use procfs::net::{TcpState, tcp, tcp6};
use procfs::process::{FDTarget, Process, all_processes};

/// Returns all descendants of a process.
fn descendants(pid: i32) -> Vec<i32> {
    let parents = parents();
    let (mut found, mut at) = (vec![pid], 0);
    while let Some(parent) = found.get(at).copied() {
        found.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        at += 1;
    }
    found.split_off(1)
}

/// Returns the children of a process.
pub(crate) fn children(pid: i32) -> Vec<i32> {
    parents().into_iter().filter(|(_, of)| *of == pid).map(|(pid, _)| pid).collect()
}

/// Returns each process with its parent.
fn parents() -> Vec<(i32, i32)> {
    let processes = all_processes().into_iter().flatten().flatten();
    processes.filter_map(|process| process.stat().ok()).map(|stat| (stat.pid, stat.ppid)).collect()
}

/// Returns the ports on which descendants of `pid` listen.
pub(crate) fn listening_ports_below(pid: i32) -> BTreeSet<u16> {
    let sockets: HashSet<u64> = descendants(pid).into_iter().flat_map(sockets_of).collect();
    let entries = [tcp(), tcp6()].into_iter().flatten().flatten();
    let listening = entries.filter(|entry| entry.state == TcpState::Listen && sockets.contains(&entry.inode));
    listening.map(|entry| entry.local_address.port()).collect()
}

fn sockets_of(pid: i32) -> Vec<u64> {
    let descriptors = Process::new(pid).and_then(|process| process.fd()).into_iter().flatten().flatten();
    let inode = |target| if let FDTarget::Socket(inode) = target { Some(inode) } else { None };
    descriptors.filter_map(|descriptor| inode(descriptor.target)).collect()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use nix::unistd::{getpid, getppid};

    use super::*;

    #[test]
    fn a_process_is_below_its_parent() {
        let (me, parent) = (getpid().as_raw(), getppid().as_raw());
        assert!(children(parent).contains(&me) && descendants(parent).contains(&me));
        assert!(!descendants(me).contains(&me));
    }

    #[test]
    fn a_port_belongs_to_the_process_with_its_socket() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(listening_ports_below(getppid().as_raw()).contains(&port));
        assert!(
            !listening_ports_below(getpid().as_raw()).contains(&port),
            "no child of this process listens"
        );
    }
}
