//! Ports for generic apps: free ones at 127.0.0.1, each assigned to one process at a time.

use std::io;

use common::sys::inet;

/// Passenger's first port, too.
const FIRST: u16 = 5000;
const LAST: u16 = 65535;
/// With fewer ports than this below the kernel's range, the range is ignored.
const ENOUGH: u16 = 100;

/// Assigns ports in sequence, so that a port is not reused immediately after its release. Daemons begin at different
/// ports, so that two of them do not assign the same port to their apps at the same time.
#[derive(Debug)]
pub(crate) struct Ports {
    last: u16,
    next: u16,
}

impl Ports {
    /// Stays below the range from which the kernel takes ports for outgoing connections: one of those could take the
    /// port between the check here and the app's bind.
    pub(crate) fn new() -> Self {
        let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
        let last = last_outside(&range);
        // Knuth's multiplier spreads neighbouring PIDs over the whole range.
        let spread = std::process::id().wrapping_mul(2_654_435_761) % u32::from(last - FIRST + 1);
        let next = FIRST + u16::try_from(spread).unwrap_or(0);
        Self { last, next }
    }

    /// Returns a port that is free now and not in `taken`.
    pub(super) fn take(&mut self, taken: impl Fn(u16) -> bool) -> io::Result<u16> {
        for _ in FIRST..=self.last {
            let port = self.advance();
            if !taken(port) && inet::is_port_free(port)? {
                return Ok(port);
            }
        }
        Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            format!("no port from {FIRST} to {} is free", self.last),
        ))
    }

    fn advance(&mut self) -> u16 {
        let port = self.next;
        self.next = if port >= self.last { FIRST } else { port + 1 };
        port
    }
}

fn last_outside(kernel_range: &str) -> u16 {
    let first_of_kernel = kernel_range.split_whitespace().next().and_then(|text| text.parse::<u16>().ok());
    first_of_kernel.map(|port| port.saturating_sub(1)).filter(|last| *last >= FIRST + ENOUGH).unwrap_or(LAST)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use super::*;

    #[test]
    fn a_port_is_not_assigned_twice_in_a_row_nor_while_in_use() {
        let mut ports = Ports { last: LAST, next: 40000 };
        let first = ports.take(|_| false).unwrap();
        let second = ports.take(|_| false).unwrap();
        assert!(second > first);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let busy = listener.local_addr().unwrap().port();
        ports.next = busy;
        assert_ne!(ports.take(|_| false).unwrap(), busy);
        // Other processes on this machine may use some of them.
        assert!(ports.take(|port| port < 60000).unwrap() >= 60000);
    }

    #[test]
    fn ports_wrap_around_and_can_run_out() {
        let mut ports = Ports { last: FIRST + 1, next: FIRST + 1 };
        assert_eq!([ports.advance(), ports.advance(), ports.advance()], [FIRST + 1, FIRST, FIRST + 1]);
        assert!(ports.take(|_| true).is_err());
    }

    #[test]
    fn outgoing_connections_have_their_own_range() {
        assert_eq!(last_outside("32768\t60999\n"), 32767);
        assert_eq!(last_outside("1024\t65535\n"), LAST);
        assert_eq!(last_outside(""), LAST);
    }
}
