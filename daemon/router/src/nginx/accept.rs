//! Accept loop for connections from nginx, each of which is served by its own task on one of the threads.

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixListener;

use crate::nginx_conn::descriptors;
use crate::state::RouterState;
use crate::threads::Threads;
use common::link::Problem;

/// Pause after a failed accept.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections until the daemon is about to end, or until the socket was replaced and its queue is empty.
pub(crate) async fn run(router: Arc<RouterState>, threads: Rc<Threads>, listener: UnixListener) {
    let number = router.connections.socket_number();
    loop {
        descriptors::wait_for_room(&router).await;
        let accepted = tokio::select! {
            biased;
            () = router.connections.closing() => return,
            accepted = accept(&listener) => accepted,
            () = router.connections.socket_replaced_since(number) => return,
        };
        match accepted {
            Ok(connection) => {
                router.connections.opened();
                threads.serve(&router, connection);
            }
            Err(why) => {
                let what = || format!("cannot accept connections from nginx: {why}");
                router.problems.occurs(Problem::Accepting, what);
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Accepts at the socket that replaces the current one; the loop of the former socket ends when its queue is empty.
pub(crate) fn replace_socket(router: &Arc<RouterState>, threads: &Rc<Threads>, listener: UnixListener) {
    router.connections.socket_replaced();
    tokio::task::spawn_local(run(router.clone(), threads.clone(), listener));
}

async fn accept(listener: &UnixListener) -> io::Result<OwnedFd> {
    let (stream, _) = listener.accept().await?;
    Ok(stream.into_std()?.into())
}
