//! Connections from nginx: accepted one by one, each served by a task of its own.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::UnixListener;

use super::connection;
use crate::nginx_conn::descriptors;
use crate::state::RouterState;
use crate::sys::stream::Stream;
use common::link::Trouble;

/// Pause after a failed accept.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts until the daemon is about to end, or until the socket has been made anew and nobody waits in this one.
pub(crate) async fn run(router: Rc<RouterState>, listener: UnixListener) {
    let number = router.connections.socket_number();
    loop {
        descriptors::room(&router).await;
        let accepted = tokio::select! {
            biased;
            () = router.connections.closing() => return,
            accepted = accept(&listener) => accepted,
            () = router.connections.socket_replaced_since(number) => return,
        };
        match accepted {
            Ok(stream) => {
                router.connections.opened();
                tokio::task::spawn_local(serve(router.clone(), stream));
            }
            Err(why) => {
                let what = || format!("connections from nginx cannot be accepted: {why}");
                router.troubles.happens(Trouble::Accepting, what);
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Goes on at a socket that was made anew; what accepts at the one before ends when that is empty.
pub(crate) fn move_to(router: &Rc<RouterState>, listener: UnixListener) {
    router.connections.socket_replaced();
    tokio::task::spawn_local(run(router.clone(), listener));
}

async fn serve(router: Rc<RouterState>, stream: Stream) {
    let _connected = router.connections.guard();
    connection::serve(router.clone(), stream).await;
}

async fn accept(listener: &UnixListener) -> io::Result<Stream> {
    let (stream, _) = listener.accept().await?;
    Stream::new(stream.into_std()?.into())
}
