//! A connection to an app process: a unix socket or a TCP socket at 127.0.0.1, behind one type.

use std::io;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream, tcp, unix};

use crate::link::Address;

/// An open connection to an app process.
#[derive(Debug)]
pub(crate) enum AppStream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl AppStream {
    pub(crate) async fn connect(address: &Address) -> io::Result<Self> {
        Ok(match address {
            Address::Unix(path) => Self::Unix(UnixStream::connect(path).await?),
            Address::Tcp(port) => {
                let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).await?;
                stream.set_nodelay(true)?;
                Self::Tcp(stream)
            }
        })
    }

    /// Both halves, to be used at the same time.
    pub(crate) fn split(&mut self) -> (AppReader<'_>, AppWriter<'_>) {
        match self {
            Self::Unix(stream) => {
                let (reader, writer) = stream.split();
                (AppReader::Unix(reader), AppWriter::Unix(writer))
            }
            Self::Tcp(stream) => {
                let (reader, writer) = stream.split();
                (AppReader::Tcp(reader), AppWriter::Tcp(writer))
            }
        }
    }

    /// Reads exactly as many bytes as `buffer` holds.
    pub(crate) async fn read_exact(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        self.split().0.read_exact(buffer).await.map(drop)
    }

    /// False when the app has closed an idle connection, or has sent something nobody asked for.
    pub(crate) fn is_quiet(&self) -> bool {
        let mut byte = [0];
        let seen = match self {
            Self::Unix(stream) => stream.try_read(&mut byte),
            Self::Tcp(stream) => stream.try_read(&mut byte),
        };
        matches!(seen, Err(err) if err.kind() == io::ErrorKind::WouldBlock)
    }
}

/// The reading half of an [`AppStream`].
#[derive(Debug)]
pub(crate) enum AppReader<'a> {
    Unix(unix::ReadHalf<'a>),
    Tcp(tcp::ReadHalf<'a>),
}

/// The writing half of an [`AppStream`].
#[derive(Debug)]
pub(crate) enum AppWriter<'a> {
    Unix(unix::WriteHalf<'a>),
    Tcp(tcp::WriteHalf<'a>),
}

impl AsyncRead for AppReader<'_> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(half) => Pin::new(half).poll_read(cx, buf),
            Self::Tcp(half) => Pin::new(half).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for AppWriter<'_> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Unix(half) => Pin::new(half).poll_write(cx, buf),
            Self::Tcp(half) => Pin::new(half).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(half) => Pin::new(half).poll_shutdown(cx),
            Self::Tcp(half) => Pin::new(half).poll_shutdown(cx),
        }
    }
}
