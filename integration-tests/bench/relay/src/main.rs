//! The dumbest relay that tokio allows: bytes from one unix socket to another and back, on one thread.
//!
//! Usage: relay LISTEN CONNECT. It understands nothing, allocates nothing per request and keeps every connection, so what
//! it costs is what a process between nginx and an app costs at least.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};

const BUFFER: usize = 64 * 1024;

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(listen), Some(connect)) = (arguments.next(), arguments.next()) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "usage: relay LISTEN CONNECT"));
    };
    tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(serve(&listen, &connect))
}

async fn serve(listen: &str, connect: &str) -> io::Result<()> {
    let listener = UnixListener::bind(listen)?;
    loop {
        let (front_read, front_write) = listener.accept().await?.0.into_split();
        let (back_read, back_write) = UnixStream::connect(connect).await?.into_split();
        tokio::spawn(pump(front_read, back_write));
        tokio::spawn(pump(back_read, front_write));
    }
}

/// Forwards all data until the end. A broken connection ends here: dropping the writer closes the other side.
async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..length]).await?;
    }
}
