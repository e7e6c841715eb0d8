//! Connections to app processes: to their unix sockets, or to their ports at loopback addresses. The user who listens
//! there is checked wherever it could be another one than the app's.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, sleep};

use super::port_owner;
use crate::sys::stream::Stream;
use common::link::{Address, AppUser, ProcessRecord};
use common::sys::descriptors;

/// How long a connection to a port may take before its listener is checked: a local connection is established at once,
/// unless the listener's backlog is full.
const CHECK_AFTER: Duration = Duration::from_millis(20);

/// How long a process may leave its unix socket's backlog full.
const FULL_LIMIT: Duration = Duration::from_secs(10);
/// Pause before the next attempt to connect to it.
const FULL_PAUSE: Duration = Duration::from_millis(5);

/// Connects to a process. A port is used only if the process at the other end runs as the app's user or root.
pub(crate) async fn connect(record: &ProcessRecord) -> io::Result<Stream> {
    match &record.address {
        Address::Unix(path) => Stream::new(to_socket(path).await?.into_std()?.into()),
        Address::Own(path) => Stream::new(to_app_socket(path, &record.user).await?.into_std()?.into()),
        Address::Tcp(port) => Stream::new(to_port(*port, &record.user).await?.into_std()?.into()),
        Address::Nowhere => Err(io::Error::other("a preloader accepts no connections")),
    }
}

/// Connects to a unix socket. Where its backlog is full, Linux refuses a connection that does not block: a burst of
/// requests waits, as a blocking connection would.
async fn to_socket(path: &Path) -> io::Result<UnixStream> {
    let began = Instant::now();
    loop {
        match UnixStream::connect(path).await {
            Err(full) if full.kind() == io::ErrorKind::WouldBlock && began.elapsed() < FULL_LIMIT => {
                sleep(FULL_PAUSE).await;
            }
            ended => return ended,
        }
    }
}

/// Connects to a socket on which the app's user listens. An app may replace its socket with a symlink, which leads the
/// router, with the router's privileges, to the socket of another app or of the tools.
async fn to_app_socket(path: &Path, user: &AppUser) -> io::Result<UnixStream> {
    let stream = to_socket(path).await?;
    let uid = stream.peer_cred()?.uid();
    if uid != user.uid {
        let what =
            format!("{} belongs to user ID {uid}, not to the app's user {}", path.display(), user.name);
        return Err(io::Error::other(what));
    }
    Ok(stream)
}

/// Connects to a port. Most apps listen at 127.0.0.1 or at all addresses; one at `localhost` may use `::1` alone.
async fn to_port(port: u16, user: &AppUser) -> io::Result<TcpStream> {
    let first = match to_address(Ipv4Addr::LOCALHOST.into(), port, user).await {
        Err(why) if !descriptors::are_used_up(&why) => why,
        settled => return settled,
    };
    to_address(Ipv6Addr::LOCALHOST.into(), port, user).await.map_err(|second| {
        // Most apps do not listen on ::1: that error explains nothing.
        if descriptors::are_used_up(&second) { second } else { first }
    })
}

async fn to_address(ip: IpAddr, port: u16, user: &AppUser) -> io::Result<TcpStream> {
    let at = SocketAddr::new(ip, port);
    let connecting = TcpStream::connect(at);
    tokio::pin!(connecting);
    let stream = match tokio::time::timeout(CHECK_AFTER, &mut connecting).await {
        Ok(connected) => connected?,
        Err(_) if port_owner::listens(at, user.uid)? => connecting.await?,
        Err(_) => return Err(io::Error::other(format!("no process of user {} listens on {at}", user.name))),
    };
    port_owner::check(stream.local_addr()?, at, user).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixListener, UnixStream};

    use nix::sys::socket::{Backlog, listen};

    use super::*;

    #[test]
    fn a_connection_waits_while_the_backlog_is_full() {
        let path = std::env::temp_dir().join(format!("router-backlog-{}", std::process::id()));
        let listener = UnixListener::bind(&path).unwrap();
        listen(&listener, Backlog::new(0).unwrap()).unwrap();
        let first = UnixStream::connect(&path).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let full = tokio::net::UnixStream::connect(&path).await.unwrap_err();
            assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
            let accept = async {
                sleep(FULL_PAUSE * 2).await;
                listener.accept().unwrap()
            };
            let (connected, _) = tokio::join!(to_socket(&path), accept);
            connected.unwrap();
        });
        drop(first);
        std::fs::remove_file(&path).unwrap();
    }
}
