//! Owner check of new TCP connections to apps: every local user may listen on a port that an app has released, so the
//! user at the other end of each connection is determined before a byte is sent.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use tracing::warn;

use super::proc_net;
use crate::output::log_limit::LogLimit;
use common::link::AppUser;
use common::sys::descriptors;
use common::sys::sock_diag;
use common::sys::sock_diag::{ESTABLISHED, LISTEN, TcpSocket};

/// `TCP_SYN_RECV` in `net/tcp_states.h`: the last packet of the handshake has not been processed.
const SYN_RECV: u8 = 3;
/// How long the kernel may take to register both ends of a connection.
const TIMEOUT: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(5);
/// Maximum number of log messages per minute.
const PER_MINUTE: u32 = 6;

/// Owner of the other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// The app's user, or root.
    Trusted,
    /// Another user.
    OtherUser(u32),
    /// Not accepted yet, on a kernel that reports no owner until then: the listening sockets decide.
    Waiting,
    /// The kernel has no such connection yet.
    Absent,
    /// It is closed already, so no process can read from it.
    Closed,
}

/// Checks that the process at the other end of the connection between these addresses runs as `user` or as root.
///
/// # Errors
///
/// If it runs as another user, or if this cannot be determined.
pub(super) async fn check(own: SocketAddr, peer: SocketAddr, user: &AppUser) -> io::Result<()> {
    let until = Instant::now() + TIMEOUT;
    loop {
        let found = match verdict(peer_of(own, peer), user.uid)? {
            Verdict::Waiting => match of_listeners(&listeners(peer.port())?, peer.ip(), user.uid) {
                // If still not accepted, its listener was among those listed. If accepted, its owner is known.
                Verdict::Trusted => match verdict(peer_of(own, peer), user.uid)? {
                    Verdict::Waiting => Verdict::Trusted,
                    settled => settled,
                },
                other => other,
            },
            settled => settled,
        };
        match found {
            Verdict::Trusted => return Ok(()),
            Verdict::OtherUser(uid) => return Err(other_user(peer, uid, user)),
            Verdict::Absent | Verdict::Waiting if Instant::now() < until => tokio::time::sleep(PAUSE).await,
            Verdict::Absent | Verdict::Waiting | Verdict::Closed => {
                return Err(io::Error::other(format!("the connection to {peer} was closed immediately")));
            }
        }
    }
}

/// Whether a socket of `uid` or of root listens for connections to this address, and no other user's socket does.
pub(super) fn listens(at: SocketAddr, uid: u32) -> io::Result<bool> {
    Ok(of_listeners(&listeners(at.port())?, at.ip(), uid) == Verdict::Trusted)
}

fn verdict(found: io::Result<TcpSocket>, uid: u32) -> io::Result<Verdict> {
    let socket = match found {
        Ok(socket) => socket,
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(Verdict::Absent),
        Err(why) => return Err(why),
    };
    Ok(match socket {
        TcpSocket { state: LISTEN, .. } => Verdict::Absent,
        TcpSocket { inode: 0, state, .. } if !matches!(state, ESTABLISHED | SYN_RECV) => Verdict::Closed,
        TcpSocket { inode: 0, uid: 0, .. } => Verdict::Waiting,
        TcpSocket { uid: 0, .. } => Verdict::Trusted,
        TcpSocket { uid: found, .. } if found == uid => Verdict::Trusted,
        TcpSocket { uid: found, .. } => Verdict::OtherUser(found),
    })
}

/// Checks that all sockets that accept connections to `ip` belong to the app's user or to root.
fn of_listeners(listeners: &[TcpSocket], ip: IpAddr, uid: u32) -> Verdict {
    let mut verdict = Verdict::Absent;
    for socket in listeners.iter().filter(|socket| accepts(socket, ip)) {
        if socket.uid != uid && socket.uid != 0 {
            return Verdict::OtherUser(socket.uid);
        }
        verdict = Verdict::Trusted;
    }
    verdict
}

/// Whether a listening socket accepts connections to this address.
fn accepts(socket: &TcpSocket, ip: IpAddr) -> bool {
    match socket.local.ip().to_canonical() {
        IpAddr::V6(any) if any == Ipv6Addr::UNSPECIFIED => ip.is_ipv6() || !socket.v6_only,
        IpAddr::V4(any) if any.is_unspecified() => ip.is_ipv4(),
        one => one == ip,
    }
}

fn peer_of(own: SocketAddr, peer: SocketAddr) -> io::Result<TcpSocket> {
    or_from_proc(sock_diag::peer_of(own, peer), || proc_net::peer_of(own, peer))
}

fn listeners(port: u16) -> io::Result<Vec<TcpSocket>> {
    or_from_proc(sock_diag::listeners(port), || proc_net::listeners(port))
}

/// Returns the kernel's answer, or that of its text tables: "not found" may also mean that it cannot be queried.
fn or_from_proc<T>(queried: io::Result<T>, from_proc: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let why = match queried {
        Err(why) if !descriptors::are_used_up(&why) => why,
        settled => return settled,
    };
    from_proc().map_err(|second| match second.kind() {
        io::ErrorKind::NotFound if why.kind() == io::ErrorKind::NotFound => second,
        _ if descriptors::are_used_up(&second) => second,
        _ => {
            io::Error::other(format!(
                "cannot determine the owner of the port: {why}; /proc/net/tcp: {second}; if the program can listen on a \
                 unix socket, set \"passenger_app_listen socket\", which does not need to know it"
            ))
        }
    })
}

fn other_user(peer: SocketAddr, uid: u32, user: &AppUser) -> io::Error {
    let what = format!("{peer} belongs to user ID {uid}, not to the app's user {}", user.name);
    static LIMIT: LazyLock<Arc<LogLimit>> =
        LazyLock::new(|| LogLimit::new("ports that belong to another user than the app's", PER_MINUTE));
    if LIMIT.admits() {
        warn!(
            "{what}: no request is sent to it; with \"passenger_app_listen socket\" the app gets a socket that no other \
             user can use"
        );
    }
    io::Error::other(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(state: u8, local: &str, uid: u32, inode: u32) -> TcpSocket {
        TcpSocket { state, local: local.parse().unwrap(), uid, inode, v6_only: false }
    }

    #[test]
    fn the_owner_of_an_accepted_connection_decides() {
        let of = |uid, inode, state| verdict(Ok(socket(state, "127.0.0.1:80", uid, inode)), 1000).unwrap();
        assert_eq!(of(1000, 7, ESTABLISHED), Verdict::Trusted);
        assert_eq!(of(0, 7, ESTABLISHED), Verdict::Trusted);
        assert_eq!(of(1001, 7, ESTABLISHED), Verdict::OtherUser(1001));
        assert_eq!(of(1000, 0, ESTABLISHED), Verdict::Trusted, "its listener's user");
        assert_eq!(of(1001, 0, ESTABLISHED), Verdict::OtherUser(1001));
        assert_eq!(of(0, 0, ESTABLISHED), Verdict::Waiting);
        assert_eq!(of(0, 0, SYN_RECV), Verdict::Waiting);
        assert_eq!(of(0, 0, 5), Verdict::Closed);
        assert_eq!(of(1000, 9, LISTEN), Verdict::Absent, "that is no connection");
        assert_eq!(verdict(Err(io::ErrorKind::NotFound.into()), 1000).unwrap(), Verdict::Absent);
        assert!(verdict(Err(io::ErrorKind::PermissionDenied.into()), 1000).is_err());
    }

    #[test]
    fn every_listener_must_belong_to_the_app() {
        let of = |listeners: &[(&str, u32)], ip: &str| {
            let listeners: Vec<_> = listeners.iter().map(|(at, uid)| socket(LISTEN, at, *uid, 1)).collect();
            of_listeners(&listeners, ip.parse().unwrap(), 1000)
        };
        let (v4, v6) = ("127.0.0.1", "::1");
        assert_eq!(of(&[], v4), Verdict::Absent);
        for at in ["127.0.0.1:80", "0.0.0.0:80", "[::]:80", "[::ffff:127.0.0.1]:80", "[::ffff:0.0.0.0]:80"] {
            assert_eq!(of(&[(at, 1000)], v4), Verdict::Trusted, "{at}");
            assert_eq!(of(&[(at, 0)], v4), Verdict::Trusted, "{at}");
            assert_eq!(of(&[(at, 1001)], v4), Verdict::OtherUser(1001), "{at}");
            assert_eq!(of(&[(at, 1000), ("127.0.0.1:80", 1001)], v4), Verdict::OtherUser(1001), "{at}");
            assert_eq!(of(&[(at, 1000), ("[::1]:80", 1001)], v4), Verdict::Trusted, "{at}");
        }
        assert_eq!(of(&[("[::1]:80", 1000)], v4), Verdict::Absent);
        assert_eq!(of(&[("[::1]:80", 1000), ("127.0.0.1:80", 1001)], v6), Verdict::Trusted);
        assert_eq!(of(&[("[::]:80", 1000)], v6), Verdict::Trusted);
        assert_eq!(of(&[("192.0.2.1:80", 1001)], v4), Verdict::Absent);
        let v6_only = TcpSocket { v6_only: true, ..socket(LISTEN, "[::]:80", 1000, 1) };
        assert_eq!(of_listeners(&[v6_only], v4.parse().unwrap(), 1000), Verdict::Absent);
    }

    #[test]
    fn a_connection_to_another_users_port_is_refused() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (own, peer) = (client.local_addr().unwrap(), client.peer_addr().unwrap());
        let me = nix::unistd::geteuid().as_raw();
        let user = |uid| AppUser { uid, gid: uid, name: "app".into() };
        runtime.block_on(async {
            check(own, peer, &user(me)).await.unwrap();
            let other = check(own, peer, &user(me + 1)).await;
            let _accepted = listener.accept().unwrap();
            check(own, peer, &user(me)).await.unwrap();
            let accepted = check(own, peer, &user(me + 1)).await;
            assert_eq!((other.is_ok(), accepted.is_ok()), (me == 0, me == 0), "root may listen for an app");
        });
    }
}
