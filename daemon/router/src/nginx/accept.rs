//! Connections from nginx: accepted one by one, each served by a task of its own.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::UnixListener;

use super::connection;
use crate::nginx_conn::descriptors;
use crate::state::Router;
use crate::sys::stream::Stream;
use common::link::Trouble;

/// Pause after a failed accept.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts until the daemon is about to end, or until the socket has been made anew and nobody waits in this one.
pub(crate) async fn run(router: Rc<Router>, listener: UnixListener) {
    let number = router.doors.moves();
    loop {
        descriptors::room(&router).await;
        let accepted = tokio::select! {
            biased;
            () = router.doors.closing() => return,
            accepted = accept(&listener) => accepted,
            () = router.doors.moved_from(number) => return,
        };
        match accepted {
            Ok(stream) => {
                router.doors.enter();
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
pub(crate) fn move_to(router: &Rc<Router>, listener: UnixListener) {
    router.doors.move_on();
    tokio::task::spawn_local(run(router.clone(), listener));
}

async fn serve(router: Rc<Router>, stream: Stream) {
    let _connected = router.doors.inside();
    connection::serve(router.clone(), stream).await;
}

async fn accept(listener: &UnixListener) -> io::Result<Stream> {
    let (stream, _) = listener.accept().await?;
    Stream::new(stream.into_std()?.into())
}
