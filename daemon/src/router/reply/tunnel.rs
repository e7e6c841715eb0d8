//! After 101: bytes both ways, as they come, until both sides have ended.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::super::input::{Input, SMALL};

/// How long an app may go on after the client has gone. nginx ends its side only when the client is gone for good.
const GRACE: Duration = Duration::from_secs(5);

/// One side of a tunnel: its two halves, and what was read from it already.
pub(crate) struct Side<'a, R, W> {
    pub(crate) reader: &'a mut R,
    pub(crate) writer: &'a mut W,
    pub(crate) input: &'a mut Input,
}

/// Runs until both directions have ended, or one has failed.
pub(crate) async fn run<R1, W1, R2, W2>(nginx: Side<'_, R1, W1>, app: Side<'_, R2, W2>)
where
    R1: AsyncRead + Unpin,
    W1: AsyncWrite + Unpin,
    R2: AsyncRead + Unpin,
    W2: AsyncWrite + Unpin,
{
    let to_app = pass(nginx.reader, nginx.input, app.writer);
    let to_client = pass(app.reader, app.input, nginx.writer);
    tokio::pin!(to_app, to_client);
    tokio::select! {
        () = &mut to_client => {}
        () = &mut to_app => drop(tokio::time::timeout(GRACE, to_client).await),
    }
}

/// Passes bytes on until the reader ends; then the writer's side ends too. Errors end it in the same way.
async fn pass(
    reader: &mut (impl AsyncRead + Unpin),
    input: &mut Input,
    writer: &mut (impl AsyncWrite + Unpin),
) {
    let mut buffer = input.unread().to_vec();
    input.consume(buffer.len());
    loop {
        if writer.write_all(&buffer).await.is_err() {
            return;
        }
        buffer.clear();
        buffer.reserve(SMALL);
        if !matches!(reader.read_buf(&mut buffer).await, Ok(came) if came > 0) {
            break;
        }
    }
    // The other side may have gone already.
    drop(writer.shutdown().await);
}
