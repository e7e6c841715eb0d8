//! A new connection to an app process: to its unix socket, or to its port at 127.0.0.1.

use std::io;
use std::net::Ipv4Addr;

use tokio::net::{TcpStream, UnixStream};

use crate::link::Address;
use crate::sys::stream::Stream;

/// Connects.
pub(crate) async fn connect(address: &Address) -> io::Result<Stream> {
    match address {
        Address::Unix(path) | Address::Own(path) => {
            Stream::new(UnixStream::connect(path).await?.into_std()?.into())
        }
        Address::Tcp(port) => {
            let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).await?;
            stream.set_nodelay(true)?;
            Stream::new(stream.into_std()?.into())
        }
        Address::Nowhere => Err(io::Error::other("a preloader takes no connections")),
    }
}
