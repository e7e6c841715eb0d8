//! Connections from nginx: accepted one by one, each served by a task of its own.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::UnixListener;
use tracing::error;

use super::connection;
use super::wiring::Router;
use crate::sys::stream::Stream;

/// Pause after a failed accept: descriptors may be used up, and others may give some back.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts until the daemon is about to end.
pub(crate) async fn run(router: Rc<Router>, listener: UnixListener) {
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener) => accepted,
            () = router.closing() => return,
        };
        match accepted {
            Ok(stream) => drop(tokio::task::spawn_local(connection::serve(router.clone(), stream))),
            Err(err) => {
                error!(
                    "a connection from nginx cannot be accepted: {err}; trying again in {} ms",
                    PAUSE.as_millis()
                );
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn accept(listener: &UnixListener) -> io::Result<Stream> {
    let (stream, _) = listener.accept().await?;
    Stream::new(stream.into_std()?.into())
}
