//! Connections to app processes: to their unix sockets, or to their ports at loopback addresses. The user who listens
//! there is checked wherever it could be another one than the app's.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};

use super::port_owner;
use crate::sys::stream::Stream;
use common::link::{Address, AppUser, ProcessRecord};
use common::sys::descriptors;

/// How long a connection to a port may take before its listener is checked: a local connection is established at once,
/// unless the listener's backlog is full.
const CHECK_AFTER: Duration = Duration::from_millis(20);

/// Connects to a process. A port is used only if the process at the other end runs as the app's user or root.
pub(crate) async fn connect(record: &ProcessRecord) -> io::Result<Stream> {
    match &record.address {
        Address::Unix(path) => Stream::new(UnixStream::connect(path).await?.into_std()?.into()),
        Address::Own(path) => Stream::new(to_app_socket(path, &record.user).await?.into_std()?.into()),
        Address::Tcp(port) => Stream::new(to_port(*port, &record.user).await?.into_std()?.into()),
        Address::Nowhere => Err(io::Error::other("a preloader accepts no connections")),
    }
}

/// Connects to a socket on which the app's user listens. An app may replace its socket with a symlink, which leads the
/// router, with the router's privileges, to the socket of another app or of the tools.
async fn to_app_socket(path: &Path, user: &AppUser) -> io::Result<UnixStream> {
    let stream = UnixStream::connect(path).await?;
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
