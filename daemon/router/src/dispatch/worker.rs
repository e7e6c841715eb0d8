//! A live app process as the router uses it: where it listens, and the connections to it that are idle.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;

use protocol::request::AppKind;
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

/// Most idle connections kept to one process. Each costs a descriptor on both sides.
const MAX_IDLE: usize = 512;

/// A process that is ready, or was.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) slot: Slot,
    pub(crate) record: ProcessRecord,
    pub(crate) route: Rc<Route>,
    /// Its number in the cookies of sticky sessions.
    pub(crate) sticky_number: u32,
    idle: RefCell<Vec<Stream>>,
    /// It gets no further request; connections are not kept.
    leaving: Cell<bool>,
    /// It is being replaced, and finishes what it has.
    draining: Cell<bool>,
    told_to_drain: Notify,
    /// Signals a connection that was kept.
    kept: Notify,
    pub(crate) probe: Probe,
    /// That it gets no further request was told.
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
            leaving: Cell::default(),
            draining: Cell::default(),
            told_to_drain: Notify::new(),
            kept: Notify::new(),
            probe: Probe::default(),
            detached: Cell::default(),
        }
    }

    /// Loaders speak the session protocol; everything else speaks HTTP.
    pub(crate) fn speaks_session(&self) -> bool {
        matches!(self.route.kind, AppKind::Ruby | AppKind::Python)
    }

    /// An idle connection, the one used last, or a new one; true with it when it was used before. While a loader lets a
    /// new one wait, its thread may have greeted another, which was opened earlier: then that is taken.
    pub(crate) async fn connection(&self) -> io::Result<(Stream, bool)> {
        loop {
            let kept = self.kept.notified();
            tokio::pin!(kept);
            kept.as_mut().enable();
            while let Some(stream) = self.take_idle() {
                if stream.is_quiet() {
                    return Ok((stream, true));
                }
            }
            tokio::select! {
                biased;
                stream = self.connect() => return Ok((stream?, false)),
                // Only the probe's connection may have been opened earlier.
                () = kept, if self.probe.is_at_work() => {}
            }
        }
    }

    /// Idle connections.
    pub(crate) fn count_idle(&self) -> usize {
        self.idle.borrow().len()
    }

    /// A new connection. A loader greets when it takes it, and not while it is busy with another one.
    pub(crate) async fn connect(&self) -> io::Result<Stream> {
        let stream = connect::connect(&self.record).await?;
        if self.speaks_session() {
            let mut greeting = [0; GREETING.len()];
            (&mut &stream).read_exact(&mut greeting).await?;
            if greeting != GREETING {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "its loader did not greet"));
            }
        }
        Ok(stream)
    }

    /// Keeps a connection for the next request; false when it is closed instead.
    pub(crate) fn keep(&self, stream: Stream) -> bool {
        let mut idle = self.idle.borrow_mut();
        let keeps = !self.leaving.get() && idle.len() < MAX_IDLE;
        if keeps {
            idle.push(stream);
            self.kept.notify_waiters();
        }
        keeps
    }

    /// It is being replaced: who holds a connection that has no end of its own may let go.
    pub(crate) fn drain(&self) {
        self.draining.set(true);
        self.told_to_drain.notify_waiters();
    }

    /// Resolves when a tunnel to it is to be ended; never where the app's settings keep tunnels.
    pub(crate) async fn tunnels_end(&self) {
        if !self.route.settings.aborts_tunnels {
            std::future::pending::<()>().await;
        }
        while !self.draining.get() {
            self.told_to_drain.notified().await;
        }
    }

    /// Closes the idle connections, so that a loader which waits on one wakes up, and keeps none from here on.
    pub(crate) fn leave(&self) {
        self.leaving.set(true);
        self.idle.borrow_mut().clear();
    }

    /// Gives the descriptors of idle connections back.
    pub(crate) fn close_idle(&self) {
        self.idle.borrow_mut().clear();
    }

    /// It gets no further request: true the first time that this is asked.
    pub(crate) fn detaches(&self) -> bool {
        !self.detached.replace(true)
    }

    fn take_idle(&self) -> Option<Stream> {
        self.idle.borrow_mut().pop()
    }
}
