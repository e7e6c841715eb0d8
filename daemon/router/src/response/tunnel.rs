//! Relay of bytes in both directions after a 101 response, until both sides have ended.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::app_protocol::buffer::{Input, SMALL};
use crate::fair_share::FairShare;
use crate::sys::stream::Stream;

/// How long an app may continue after its client has disconnected. nginx ends its side only then.
const GRACE: Duration = Duration::from_secs(5);

/// One side of a tunnel, and what was already read from it.
pub(crate) struct Side<'a> {
    pub(crate) stream: &'a Stream,
    pub(crate) input: &'a mut Input,
}

/// Runs until both directions have ended, one has failed or `cut` resolves. After `cut` the app reads end-of-file, and
/// may still send a close message.
pub(crate) async fn run(nginx: Side<'_>, app: Side<'_>, cut: impl Future<Output = ()>) {
    let mut app_writer = app.stream;
    let to_app = copy(nginx.stream, nginx.input, app.stream);
    let to_client = copy(app.stream, app.input, nginx.stream);
    tokio::pin!(to_app, to_client);
    tokio::select! {
        () = &mut to_client => {}
        () = &mut to_app => drop(tokio::time::timeout(GRACE, to_client).await),
        () = cut => {
            // The app may already have closed its side.
            drop(app_writer.shutdown().await);
            drop(tokio::time::timeout(GRACE, to_client).await);
        }
    }
}

/// Copies bytes until the reader ends, then shuts down the writer. A read error is treated as the end.
async fn copy(mut reader: &Stream, input: &mut Input, mut writer: &Stream) {
    let mut share = FairShare::default();
    let mut buffer = input.unread().to_vec();
    input.consume(buffer.len());
    loop {
        if writer.write_all(&buffer).await.is_err() {
            return;
        }
        share.pace(buffer.len()).await;
        buffer.clear();
        buffer.reserve(SMALL);
        if !matches!(reader.read_buf(&mut buffer).await, Ok(received) if received > 0) {
            break;
        }
        share.spend(buffer.len() / 1024 + 1).await;
    }
    // The other side may already be closed.
    drop(writer.shutdown().await);
}
