//! A connection: TCP or a unix socket, read and written through a shared reference, so that both directions can be used
//! at the same time.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// A connection of a client, or to the daemon.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// The time that a peer may take to accept some bytes.
pub(crate) const WRITE_TIMEOUT: Duration = Duration::from_secs(60);

impl Stream {
    /// Reads what is available, once there is something; 0 at the end.
    pub(crate) async fn read(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        loop {
            match self.try_read(buffer) {
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => {}
                other => return other,
            }
            match self {
                Self::Tcp(stream) => stream.readable().await?,
                Self::Unix(stream) => stream.readable().await?,
            }
        }
    }

    /// Reads what is available now.
    pub(crate) fn try_read(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_read_buf(buffer),
            Self::Unix(stream) => stream.try_read_buf(buffer),
        }
    }

    /// Waits until there is something to read, or the peer has closed the connection.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.readable().await,
            Self::Unix(stream) => stream.readable().await,
        }
    }

    /// Writes all bytes, unless the peer takes none for a minute.
    pub(crate) async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = match self {
                Self::Tcp(stream) => stream.try_write(bytes),
                Self::Unix(stream) => stream.try_write(bytes),
            };
            match written {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => bytes = &bytes[count..],
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => {
                    let writable = async {
                        match self {
                            Self::Tcp(stream) => stream.writable().await,
                            Self::Unix(stream) => stream.writable().await,
                        }
                    };
                    tokio::time::timeout(WRITE_TIMEOUT, writable)
                        .await
                        .map_err(|_| io::ErrorKind::TimedOut)??;
                }
                Err(err) => return Err(err),
            }
        }
        Ok(())
    }

    /// Ends the direction to the peer.
    pub(crate) fn shut_down(&self) {
        let how = nix::sys::socket::Shutdown::Write;
        let descriptor = match self {
            Self::Tcp(stream) => std::os::fd::AsRawFd::as_raw_fd(stream),
            Self::Unix(stream) => std::os::fd::AsRawFd::as_raw_fd(stream),
        };
        // The peer may have closed it.
        let _closed = nix::sys::socket::shutdown(descriptor, how);
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
