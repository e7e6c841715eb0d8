//! The address on which the app is served: a free port, or an error that names the process that uses it.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::PathBuf;

use procfs::process::{FDTarget, Process, all_processes};

use common::sys::sock_diag;

/// Ports below this one are reserved for root.
const FIRST_FREE_FOR_USERS: u16 = 1024;

/// Checks that the address can be used, and chooses a port for port 0.
pub(super) fn choose(address: IpAddr, port: u16) -> Result<SocketAddr, String> {
    let wanted = SocketAddr::new(address, port);
    // Closed again: the gate opens it.
    match TcpListener::bind(wanted).and_then(|listener| listener.local_addr()) {
        Ok(chosen) => Ok(chosen),
        Err(err) => Err(match err.kind() {
            ErrorKind::AddrInUse => {
                format!("port {port} of {address} is used by {}; {}", user_of(port), other_port(port))
            }
            ErrorKind::PermissionDenied => {
                format!(
                    "cannot listen on {wanted}: ports below 1024 are reserved for root, and nothing runs as root here; {}",
                    other_port(port)
                )
            }
            ErrorKind::AddrNotAvailable => {
                format!(
                    "cannot listen on {wanted}: this machine does not have that address; specify another --address"
                )
            }
            _ => format!("cannot listen on {wanted}: {err}"),
        }),
    }
}

/// Returns the remedy for a port that cannot be used.
fn other_port(port: u16) -> String {
    let next = if port < FIRST_FREE_FOR_USERS { 3000 } else { port.saturating_add(1) };
    format!("specify another port, such as --port {next}, or --port 0 for any that is free")
}

/// Returns the process that listens on a port, as a phrase.
fn user_of(port: u16) -> String {
    let sockets = sock_diag::listeners(port).unwrap_or_default();
    let inodes: Vec<u64> = sockets.iter().map(|socket| u64::from(socket.inode)).collect();
    let holder = all_processes().into_iter().flatten().flatten().find(|process| has_one_of(process, &inodes));
    let name = |process: &Process| {
        let program = process.cmdline().ok()?.first().map(PathBuf::from)?;
        Some((program.file_name()?.to_string_lossy().into_owned(), process.pid()))
    };
    match (holder.as_ref().and_then(name), sockets.first()) {
        (Some((name, pid)), _) => format!("{name} (PID {pid})"),
        (None, Some(socket)) => format!("a process of the user with the ID {}", socket.uid),
        (None, None) => "another process".to_owned(),
    }
}

fn has_one_of(process: &Process, inodes: &[u64]) -> bool {
    let descriptors = process.fd().into_iter().flatten().flatten();
    descriptors
        .into_iter()
        .any(|descriptor| matches!(descriptor.target, FDTarget::Socket(inode) if inodes.contains(&inode)))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn the_process_that_uses_a_port_is_named() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let err = choose(Ipv4Addr::LOCALHOST.into(), port).unwrap_err();
        let pid = std::process::id();
        assert!(err.contains(&format!("(PID {pid}); specify another port")), "{err}");
    }

    #[test]
    fn port_0_is_replaced_by_a_free_one() {
        assert_ne!(choose(Ipv4Addr::LOCALHOST.into(), 0).unwrap().port(), 0);
    }

    #[test]
    fn a_foreign_address_is_refused() {
        let err = choose(Ipv4Addr::new(203, 0, 113, 1).into(), 0).unwrap_err();
        assert!(err.contains("does not have that address"), "{err}");
    }
}
