//! A connection: TCP or a unix socket, read and written through a shared reference, so that both directions can be used
//! at the same time.

use std::io;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use nix::sys::socket::{MsgFlags, recv};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
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
        loop {
            match self {
                Self::Tcp(stream) => stream.readable().await?,
                Self::Unix(stream) => stream.readable().await?,
            }
            // tokio also returns for what was read already, until an attempt finds nothing.
            match self.peek() {
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => {}
                other => return other.map(|_| ()),
            }
        }
    }

    fn peek(&self) -> io::Result<usize> {
        let descriptor = match self {
            Self::Tcp(stream) => stream.as_raw_fd(),
            Self::Unix(stream) => stream.as_raw_fd(),
        };
        let peek = || recv(descriptor, &mut [0], MsgFlags::MSG_PEEK).map_err(io::Error::from);
        match self {
            Self::Tcp(stream) => stream.try_io(Interest::READABLE, peek),
            Self::Unix(stream) => stream.try_io(Interest::READABLE, peek),
        }
    }

    /// Writes all bytes, unless the peer takes none for a minute.
    pub(crate) async fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        self.write(bytes, Some(WRITE_TIMEOUT)).await
    }

    /// Writes all bytes, however long the peer takes: an application may read a body late.
    pub(crate) async fn write_patiently(&self, bytes: &[u8]) -> io::Result<()> {
        self.write(bytes, None).await
    }

    async fn write(&self, mut bytes: &[u8], limit: Option<Duration>) -> io::Result<()> {
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
                    match limit {
                        Some(limit) => tokio::time::timeout(limit, writable)
                            .await
                            .map_err(|_| io::ErrorKind::TimedOut)??,
                        None => writable.await?,
                    }
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
            Self::Tcp(stream) => stream.as_raw_fd(),
            Self::Unix(stream) => stream.as_raw_fd(),
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

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_peer_may_take_a_body_late() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let (ours, body) = (Stream::Unix(ours), vec![b'x'; 4 << 20]);
        let late = async {
            tokio::time::sleep(2 * WRITE_TIMEOUT).await;
            let mut received = vec![0; 4 << 20];
            theirs.read_exact(&mut received).await.map(|_| ())
        };
        let (sent, received) = tokio::join!(ours.write_patiently(&body), late);
        assert!(sent.is_ok() && received.is_ok(), "{sent:?} {received:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_read_is_not_readable() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let ours = Stream::Unix(ours);
        tokio::io::AsyncWriteExt::write_all(&mut theirs, b"request").await.unwrap();
        ours.readable().await.unwrap();
        let mut buffer = BytesMut::with_capacity(64);
        assert_eq!(ours.read(&mut buffer).await.unwrap(), 7);
        let again = tokio::time::timeout(Duration::from_secs(1), ours.readable()).await;
        assert!(again.is_err(), "nothing more was sent");
        drop(theirs);
        ours.readable().await.unwrap();
    }
}
