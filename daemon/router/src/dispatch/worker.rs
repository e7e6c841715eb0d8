//! An app process as the router uses it: its address and the idle connections to it.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;

use tokio::io::AsyncReadExt;
use tokio::sync::Notify;

use super::slot_probe::Probe;
use crate::app::route::Route;
use crate::app::sticky;
use crate::app_protocol::connect;
use crate::app_protocol::session::GREETING;
use crate::pool::Slot;
use crate::sys::stream::Stream;
use common::link::ProcessRecord;

/// Maximum number of idle connections kept to one process. Each uses a descriptor on both sides.
const MAX_IDLE: usize = 512;

/// A process that has become ready.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) slot: Slot,
    pub(crate) record: ProcessRecord,
    pub(crate) route: Rc<Route>,
    /// The number that identifies the process in sticky session cookies.
    pub(crate) sticky_number: u32,
    idle: RefCell<Vec<Stream>>,
    /// The process gets no further request; connections are not kept.
    is_closed: Cell<bool>,
    /// The process is being replaced, and finishes the requests it has.
    draining: Cell<bool>,
    drain_started: Notify,
    /// Notified when a connection was kept.
    kept: Notify,
    pub(crate) probe: Probe,
    /// It was reported that the process gets no further request.
    detached: Cell<bool>,
}

impl Worker {
    pub(crate) fn new(slot: Slot, record: ProcessRecord, route: Rc<Route>) -> Self {
        let sticky_number = sticky::number_of(&record);
        Self {
            slot,
            record,
            route,
            sticky_number,
            idle: RefCell::default(),
            is_closed: Cell::default(),
            draining: Cell::default(),
            drain_started: Notify::new(),
            kept: Notify::new(),
            probe: Probe::default(),
            detached: Cell::default(),
        }
    }

    /// Whether the process uses the session protocol, as loaders do; all others use HTTP.
    pub(crate) fn speaks_session(&self) -> bool {
        self.route.kind.has_sessions()
    }

    /// Returns the most recently used idle connection, or a new one; true with it when it was used before. While a new
    /// one waits for a loader's greeting, the loader may have greeted one that was opened earlier: then that is used.
    pub(crate) async fn connection(&self) -> io::Result<(Stream, bool)> {
        loop {
            let kept = self.kept.notified();
            while let Some(stream) = self.idle.borrow_mut().pop() {
                if stream.is_quiet() {
                    return Ok((stream, true));
                }
            }
            tokio::select! {
                biased;
                stream = self.connect() => return Ok((stream?, false)),
                // Only the probe may have opened a connection earlier.
                () = kept, if self.probe.is_running.get() => {}
            }
        }
    }

    /// Returns the number of idle connections.
    pub(crate) fn count_idle(&self) -> usize {
        self.idle.borrow().len()
    }

    /// Opens a new connection. A loader greets it when a thread accepts it, not while all are busy.
    pub(crate) async fn connect(&self) -> io::Result<Stream> {
        let stream = connect::connect(&self.record).await?;
        if self.speaks_session() {
            let mut greeting = [0; GREETING.len()];
            (&mut &stream).read_exact(&mut greeting).await?;
            if greeting != GREETING {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "the loader did not greet the connection",
                ));
            }
        }
        Ok(stream)
    }

    /// Keeps a connection for the next request; false when it is closed instead.
    pub(crate) fn keep(&self, stream: Stream) -> bool {
        let mut idle = self.idle.borrow_mut();
        let keeps = !self.is_closed.get() && idle.len() < MAX_IDLE;
        if keeps {
            idle.push(stream);
            self.kept.notify_waiters();
        }
        keeps
    }

    /// Marks the process as being replaced: requests whose connection has no natural end may close it.
    pub(crate) fn drain(&self) {
        self.draining.set(true);
        self.drain_started.notify_waiters();
    }

    /// Resolves when tunnels to the process are to end; never when the app's settings keep tunnels.
    pub(crate) async fn tunnels_end(&self) {
        if !self.route.settings.router.abort_websockets_on_process_shutdown {
            std::future::pending::<()>().await;
        }
        while !self.draining.get() {
            self.drain_started.notified().await;
        }
    }

    /// Closes the idle connections, so that a loader that waits on one wakes up, and keeps no further ones.
    pub(crate) fn close(&self) {
        self.is_closed.set(true);
        self.close_idle();
    }

    /// Closes the idle connections to free their descriptors.
    pub(crate) fn close_idle(&self) {
        self.idle.borrow_mut().clear();
    }

    /// Records that it was reported that the process gets no further request; true the first time.
    pub(crate) fn mark_detached(&self) -> bool {
        !self.detached.replace(true)
    }
}
