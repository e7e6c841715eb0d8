//! An app process as the router uses it: its address and the idle connections to it, which all threads share.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use tokio::io::AsyncReadExt;
use tokio::sync::Notify;

use super::slot_probe::Probe;
use crate::app::route::Route;
use crate::app::sticky;
use crate::app_protocol::connect;
use crate::app_protocol::session::GREETING;
use crate::lock::Lock;
use crate::pool::Slot;
use crate::sys::stream::Stream;
use crate::threads;
use common::link::{Address, ProcessRecord};

/// Maximum number of idle connections kept to one process. Each uses a descriptor on both sides.
const MAX_IDLE: usize = 512;

/// A process that has become ready.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) slot: Slot,
    pub(crate) record: ProcessRecord,
    pub(crate) route: Arc<Route>,
    /// The number that identifies the process in sticky session cookies.
    pub(crate) sticky_number: u32,
    connections: Lock<Connections>,
    /// The process is being replaced, and finishes the requests it has.
    draining: AtomicBool,
    drain_started: Notify,
    /// Notified when a connection was kept while tasks open one.
    kept: Notify,
    pub(crate) probe: Probe,
    /// It was reported that the process gets no further request.
    detached: AtomicBool,
}

/// The connections to the process, counted together: one that is taken or kept is never counted twice.
#[derive(Debug, Default)]
struct Connections {
    idle: Vec<Idle>,
    /// Greeted connections that requests hold.
    greeted: usize,
    /// Tasks that open a connection.
    opening: usize,
    /// The process gets no further request; connections are not kept.
    is_closed: bool,
}

/// An idle connection, and the thread whose event loop watches it.
#[derive(Debug)]
struct Idle {
    stream: Stream,
    thread: usize,
}

impl Worker {
    pub(crate) fn new(slot: Slot, record: ProcessRecord, route: Arc<Route>) -> Self {
        let sticky_number = sticky::number_of(&record);
        Self {
            slot,
            record,
            route,
            sticky_number,
            connections: Lock::default(),
            draining: AtomicBool::default(),
            drain_started: Notify::new(),
            kept: Notify::new(),
            probe: Probe::default(),
            detached: AtomicBool::default(),
        }
    }

    /// Whether the process uses the session protocol, as loaders do; all others use HTTP.
    pub(crate) fn speaks_session(&self) -> bool {
        self.route.kind.has_sessions()
    }

    /// Returns the most recently used idle connection, of those that this thread has used if there are any, or a new
    /// one; true with it when it was used before. While a new one waits for a loader's greeting, the loader may have
    /// greeted one that was opened earlier: then that is used. The connection is counted until [`Self::uncount`].
    pub(crate) async fn connection(&self) -> io::Result<(Stream, bool)> {
        loop {
            if let Some(stream) = self.idle_connection() {
                return Ok((stream?, true));
            }
            let kept = self.kept.notified();
            if let Some(stream) = self.quiet(Connections::take_or_open) {
                return Ok((stream?, true));
            }
            let _opening = Opening(self);
            tokio::select! {
                biased;
                stream = self.connect() => {
                    let stream = stream?;
                    self.connections.lock().greeted += 1;
                    return Ok((stream, false));
                }
                // Only the probe may have opened a connection earlier.
                () = kept, if self.probe.is_running() => {}
            }
        }
    }

    /// Returns the connection that [`Self::connection`] would return at once, if there is one.
    pub(super) fn idle_connection(&self) -> Option<io::Result<Stream>> {
        self.quiet(Connections::take)
    }

    /// Returns the first idle connection, as `take` returns them, on which nothing has arrived.
    fn quiet(&self, take: impl Fn(&mut Connections) -> Option<Idle>) -> Option<io::Result<Stream>> {
        loop {
            // A statement of its own, so that the lock is released.
            let idle = take(&mut self.connections.lock());
            match idle?.into_quiet(&self.record.address) {
                Some(Ok(stream)) => return Some(Ok(stream)),
                Some(Err(why)) => {
                    self.uncount();
                    return Some(Err(why));
                }
                None => self.uncount(),
            }
        }
    }

    /// Counts a connection no longer that a request holds.
    pub(crate) fn uncount(&self) {
        let mut connections = self.connections.lock();
        connections.greeted = connections.greeted.saturating_sub(1);
    }

    /// Returns the number of connections that the process has greeted, as far as it is certain that it has.
    pub(super) fn greeted(&self) -> usize {
        let connections = self.connections.lock();
        connections.greeted + connections.idle.len()
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

    /// Keeps a connection for the next request; false when it is closed instead. `is_counted` is true for one that
    /// [`Self::connection`] returned.
    pub(crate) fn keep(&self, stream: Stream, is_counted: bool) -> bool {
        let mut connections = self.connections.lock();
        connections.greeted = connections.greeted.saturating_sub(usize::from(is_counted));
        let keeps = !connections.is_closed && connections.idle.len() < MAX_IDLE;
        if keeps {
            connections.idle.push(Idle { stream, thread: threads::current() });
            if connections.opening > 0 {
                self.kept.notify_waiters();
            }
        }
        keeps
    }

    /// Marks the process as being replaced: requests whose connection has no natural end may close it.
    pub(crate) fn drain(&self) {
        self.draining.store(true, SeqCst);
        self.drain_started.notify_waiters();
    }

    /// Resolves when tunnels to the process are to end; never when the app's settings keep tunnels.
    pub(crate) async fn tunnels_end(&self) {
        if !self.route.settings.router.abort_websockets_on_process_shutdown {
            std::future::pending::<()>().await;
        }
        loop {
            // Created first: it also resolves when another thread drains the process after the check.
            let started = self.drain_started.notified();
            if self.draining.load(SeqCst) {
                return;
            }
            started.await;
        }
    }

    /// Closes the idle connections, so that a loader that waits on one wakes up, and keeps no further ones.
    pub(crate) fn close(&self) {
        let idle = {
            let mut connections = self.connections.lock();
            connections.is_closed = true;
            std::mem::take(&mut connections.idle)
        };
        drop(idle);
    }

    /// Closes the idle connections to free their descriptors.
    pub(crate) fn close_idle(&self) {
        let idle = std::mem::take(&mut self.connections.lock().idle);
        drop(idle);
    }

    /// Records that it was reported that the process gets no further request; true the first time.
    pub(crate) fn mark_detached(&self) -> bool {
        !self.detached.swap(true, SeqCst)
    }
}

/// Counts a task that opens a connection.
struct Opening<'a>(&'a Worker);

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        self.0.connections.lock().opening -= 1;
    }
}

impl Connections {
    /// Takes an idle connection and counts it.
    fn take(&mut self) -> Option<Idle> {
        let own = self.idle.iter().rposition(|idle| idle.thread == threads::current());
        let idle = match own {
            Some(at) => self.idle.remove(at),
            None => self.idle.pop()?,
        };
        self.greeted += 1;
        Some(idle)
    }

    /// As [`Self::take`]; if there is none, the caller is counted as a task that opens a connection.
    fn take_or_open(&mut self) -> Option<Idle> {
        let idle = self.take();
        self.opening += usize::from(idle.is_none());
        idle
    }
}

impl Idle {
    /// Returns the connection under the event loop of this thread; `None` when it has ended, or when anything has arrived
    /// that no request waits for.
    fn into_quiet(self, address: &Address) -> Option<io::Result<Stream>> {
        if !self.stream.is_quiet() {
            return None;
        }
        if self.thread == threads::current() {
            return Some(Ok(self.stream));
        }
        // The other thread may not have noticed yet that the app has closed the connection. A unix socket refuses the
        // request then, which is sent again; a port may seem to accept it.
        if matches!(address, Address::Tcp(_)) && !self.stream.is_quiet_now() {
            return None;
        }
        Some(self.stream.reregister())
    }
}
