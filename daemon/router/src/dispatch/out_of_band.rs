//! Out-of-band work of a process: a request of the router starts it, and the response ends it.
//!
//! Only loaders receive this request. Clients cannot forge it.

use std::io;
use std::time::Duration;

use tracing::{debug, warn};

use super::worker::Worker;
use crate::app_protocol::buffer::{Input, SMALL};
use crate::app_protocol::response_head::{Event, Head};
use crate::app_protocol::session;
use crate::sys::stream::Stream;

/// How long the work may take before a warning is logged, as in Passenger.
const LIMIT: Duration = Duration::from_secs(60);

/// Has the process do its out-of-band work; returns when it can take requests again.
pub(crate) async fn work(worker: &Worker) {
    let (name, pid) = (&worker.route.name, worker.record.pid);
    debug!("app {name}: process {pid} starts its out-of-band work");
    match tokio::time::timeout(LIMIT, send_request(worker)).await {
        Ok(Ok(stream)) => {
            worker.keep(stream, false);
        }
        Ok(Err(why)) => warn!("app {name}: process {pid} did not do its out-of-band work: {why}"),
        Err(_) => {
            let limit = LIMIT.as_secs();
            warn!(
                "app {name}: process {pid} has not finished its out-of-band work within {limit} s; it gets no request until it has"
            );
            // A loader accepts a new connection when the work is done.
            if let Ok(stream) = worker.connect().await {
                worker.keep(stream, false);
            }
        }
    }
}

async fn send_request(worker: &Worker) -> io::Result<Stream> {
    let (stream, _) = worker.connection().await?;
    // It is idle but for this.
    worker.uncount();
    let mut request = Vec::new();
    session::write_out_of_band(&worker.route.settings.process.env_var, &mut request);
    tokio::io::AsyncWriteExt::write_all(&mut &stream, &request).await?;
    let (mut decoder, mut input, mut head) =
        (session::Decoder::new(false, false), Input::default(), Head::default());
    loop {
        if input.fill(&mut &stream, SMALL).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        loop {
            let (used, event) = decoder.next(input.unread(), &mut head).map_err(io::Error::other)?;
            let more = matches!(event, Event::More);
            input.consume(used);
            if decoder.is_done() && decoder.is_reusable() && input.is_empty() {
                return Ok(stream);
            }
            if more {
                break;
            }
        }
    }
}
