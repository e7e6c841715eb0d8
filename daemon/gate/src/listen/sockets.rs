//! Listening sockets: TCP addresses and unix sockets, opened here or passed by systemd.

use std::fs;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use common::config::gate::Listen;
use common::sys::activation;
use nix::sys::socket::{AddressFamily, SockaddrLike, SockaddrStorage, getsockname};
use tokio::net::{TcpListener, TcpStream, UnixListener};

use super::stream::Stream;

/// A socket that accepts connections.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    /// With its path, if the gate has created it.
    Unix(UnixListener, Option<PathBuf>),
}

/// The address if none is configured.
const DEFAULT: &str = "127.0.0.1:3000";

/// Connections that wait to be accepted, as many as the kernel allows.
const BACKLOG: u32 = 4096;

/// Opens the configured sockets; if there are none, those of systemd, or the default.
///
/// # Errors
///
/// A message that names the address.
pub(crate) fn open(configured: &[Listen]) -> Result<Vec<Listener>, String> {
    let passed = activation::take_sockets().map_err(|err| format!("cannot use systemd's sockets: {err}"))?;
    if !passed.is_empty() {
        let listeners = passed
            .into_iter()
            .map(|fd| adopt(fd).map_err(|err| format!("cannot use a socket of systemd: {err}")));
        return listeners.collect();
    }
    let default = [Listen::parse(DEFAULT)?];
    let all = if configured.is_empty() { &default[..] } else { configured };
    all.iter()
        .map(|listen| bind(listen).map_err(|err| format!("cannot listen on {listen}: {}", advice(&err))))
        .collect()
}

fn advice(err: &io::Error) -> String {
    match err.kind() {
        ErrorKind::AddrInUse => {
            "another program uses the address; stop it or configure another one".to_owned()
        }
        ErrorKind::PermissionDenied => format!(
            "{err}; ports below 1024 and protected directories need a socket of systemd (ListenStream=)"
        ),
        _ => err.to_string(),
    }
}

fn bind(listen: &Listen) -> io::Result<Listener> {
    match listen {
        Listen::Tcp(address) => bind_tcp(*address).map(Listener::Tcp),
        Listen::Unix(path) => {
            remove_abandoned(path)?;
            let listener = UnixListener::bind(path)?;
            // As nginx does: who may connect is decided by the directory.
            fs::set_permissions(path, fs::Permissions::from_mode(0o666))?;
            Ok(Listener::Unix(listener, Some(path.clone())))
        }
    }
}

fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket =
        if address.is_ipv4() { tokio::net::TcpSocket::new_v4()? } else { tokio::net::TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Removes a socket that no program listens on any more.
fn remove_abandoned(path: &Path) -> io::Result<()> {
    let Ok(metadata) = fs::symlink_metadata(path) else { return Ok(()) };
    if !metadata.file_type().is_socket() {
        return Err(io::Error::new(ErrorKind::AlreadyExists, "it exists and is not a socket"));
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Err(err) if err.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path),
        Ok(_) => Err(ErrorKind::AddrInUse.into()),
        Err(err) => Err(err),
    }
}

fn adopt(fd: OwnedFd) -> io::Result<Listener> {
    let address: SockaddrStorage = getsockname(fd.as_raw_fd())?;
    match address.family() {
        Some(AddressFamily::Unix) => {
            let listener = std::os::unix::net::UnixListener::from(fd);
            listener.set_nonblocking(true)?;
            UnixListener::from_std(listener).map(|listener| Listener::Unix(listener, None))
        }
        Some(AddressFamily::Inet | AddressFamily::Inet6) => {
            let listener = std::net::TcpListener::from(fd);
            listener.set_nonblocking(true)?;
            TcpListener::from_std(listener).map(Listener::Tcp)
        }
        _ => Err(io::Error::new(ErrorKind::InvalidInput, "it is neither a TCP nor a unix socket")),
    }
}

impl Listener {
    /// Accepts a connection, with the address of its client.
    pub(crate) async fn accept(&self) -> io::Result<(Stream, Option<SocketAddr>)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                prepare(&stream);
                Ok((Stream::Tcp(stream), Some(address)))
            }
            Self::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                Ok((Stream::Unix(stream), None))
            }
        }
    }

    /// Describes its address.
    pub(crate) fn address(&self) -> String {
        match self {
            Self::Tcp(listener) => {
                listener.local_addr().map_or_else(|_| "TCP".to_owned(), |address| format!("http://{address}"))
            }
            Self::Unix(listener, _) => {
                let address = listener.local_addr().ok();
                let path = address.as_ref().and_then(|address| address.as_pathname());
                path.map_or_else(|| "unix:".to_owned(), |path| format!("unix:{}", path.display()))
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Self::Unix(_, Some(path)) = self {
            // It may have been removed.
            let _absent = fs::remove_file(path);
        }
    }
}

/// Sends small writes at once, and notices peers that no longer exist, as those of idle WebSockets.
fn prepare(stream: &TcpStream) {
    use nix::sys::socket::{setsockopt, sockopt};
    // A connection that the client has reset accepts no option.
    let _reset = stream.set_nodelay(true);
    let _reset = setsockopt(stream, sockopt::KeepAlive, &true);
    let _reset = setsockopt(stream, sockopt::TcpKeepIdle, &60);
    let _reset = setsockopt(stream, sockopt::TcpKeepInterval, &15);
}
