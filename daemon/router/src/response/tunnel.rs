//! After 101: bytes both ways, as they come, until both sides have ended.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::app_protocol::buffer::{Input, SMALL};
use crate::sys::stream::Stream;

/// How long an app may go on after the client has gone. nginx ends its side only when the client is gone for good.
const GRACE: Duration = Duration::from_secs(5);

/// One side of a tunnel, and what was read from it already.
pub(crate) struct Side<'a> {
    pub(crate) stream: &'a Stream,
    pub(crate) input: &'a mut Input,
}

/// Runs until both directions have ended, or one has failed, or `cut` resolves: then the app's side is told by the end
/// of what it reads, and may say goodbye.
pub(crate) async fn run(nginx: Side<'_>, app: Side<'_>, cut: impl Future<Output = ()>) {
    let mut to_be_ended = app.stream;
    let to_app = pass(nginx.stream, nginx.input, app.stream);
    let to_client = pass(app.stream, app.input, nginx.stream);
    tokio::pin!(to_app, to_client);
    tokio::select! {
        () = &mut to_client => {}
        () = &mut to_app => drop(tokio::time::timeout(GRACE, to_client).await),
        () = cut => {
            // It may have gone already.
            drop(to_be_ended.shutdown().await);
            drop(tokio::time::timeout(GRACE, to_client).await);
        }
    }
}

/// Passes bytes on until the reader ends; then the writer's side ends too. Errors end it in the same way.
async fn pass(mut reader: &Stream, input: &mut Input, mut writer: &Stream) {
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
