//! Who listens on a port of this machine: before a request is entrusted to a generic app's port, it is looked up whether
//! the app, and not another user, has taken it.

use std::fs;

/// `TCP_LISTEN`, as the kernel's tables write it.
const LISTENING: &str = "0A";

/// Whether a process of this user, or root, listens on the port. Without the kernel's tables nothing can be said.
pub(super) fn is_of(uid: u32, port: u16) -> bool {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    if tables.iter().all(String::is_empty) {
        return true;
    }
    let mut owners = tables.iter().flat_map(|table| table.lines()).filter_map(|line| owner(line, port));
    owners.any(|owner| owner == uid || owner == 0)
}

/// The user of a line's socket, if it listens on the port.
fn owner(line: &str, port: u16) -> Option<u32> {
    let mut fields = line.split_whitespace().skip(1);
    let (_, local) = fields.next()?.rsplit_once(':')?;
    let state = fields.nth(1)?;
    let uid = fields.nth(3)?;
    let listens = state == LISTENING && u16::from_str_radix(local, 16) == Ok(port);
    if listens { uid.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    const LINE: &str =
        "  12: 0100007F:1388 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 77 1";

    #[test]
    fn the_owner_stands_in_the_line_of_a_listening_socket() {
        assert_eq!(owner(LINE, 5000), Some(1000));
        assert_eq!(owner(LINE, 5001), None);
        assert_eq!(owner(&LINE.replace(" 0A ", " 01 "), 5000), None);
        assert_eq!(
            owner("  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid", 5000),
            None
        );
    }

    #[test]
    fn a_listener_of_another_user_is_none_of_ours() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let me = nix::unistd::geteuid().as_raw();
        assert!(is_of(me, port));
        assert_eq!(is_of(me + 1, port), me == 0, "root may listen for anybody");
        drop(listener);
        assert!(!is_of(me, port), "nobody listens any more");
    }
}
