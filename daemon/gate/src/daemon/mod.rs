//! Connections to the daemon: opened as the nginx module opens them, and kept for the next request.

pub(crate) mod exchange;
pub(crate) mod greeting;
pub(crate) mod head;
pub(crate) mod roster;

use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use tokio::net::UnixStream;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};

use crate::listen::stream::Stream;

/// Idle connections that are kept.
const MAX_IDLE: usize = 256;
/// How long a request waits for a daemon that is being restarted.
const RESTART_TIMEOUT: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(50);

/// The daemon, as requests reach it.
#[derive(Debug)]
pub(crate) struct Daemon {
    socket: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The first bytes of each connection.
    greeting: Arc<[u8]>,
    /// Counts the configurations: a connection belongs to the one that its greeting names.
    generation: u64,
    idle: Vec<Idle>,
    next: u64,
    /// Since when no connection can be opened.
    unreachable: Option<Instant>,
}

#[derive(Debug)]
struct Idle {
    id: u64,
    connection: Connection,
    /// Waits for the end of the connection. It holds the stream, so it must not outlive this.
    watcher: AbortHandle,
}

impl Drop for Idle {
    fn drop(&mut self) {
        self.watcher.abort();
    }
}

/// A connection to the daemon.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    stream: Arc<Stream>,
    generation: u64,
    /// It has carried a request.
    pub(crate) is_kept: bool,
    /// What the first request is preceded by.
    pub(crate) greeting: Option<Arc<[u8]>>,
}

impl Connection {
    pub(crate) fn stream(&self) -> &Stream {
        &self.stream
    }
}

impl Daemon {
    /// Returns the daemon with this socket, without connecting.
    pub(crate) fn new(socket: PathBuf, greeting: Vec<u8>) -> Arc<Self> {
        let state =
            State { greeting: greeting.into(), generation: 0, idle: Vec::new(), next: 0, unreachable: None };
        Arc::new(Self { socket, state: Mutex::new(state) })
    }

    /// Returns the path of its socket.
    pub(crate) fn socket(&self) -> &std::path::Path {
        &self.socket
    }

    /// Has further requests use another greeting.
    pub(crate) fn set_greeting(&self, greeting: Vec<u8>) {
        let mut state = self.lock();
        state.greeting = greeting.into();
        state.generation += 1;
        state.idle.clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a kept connection that is still usable.
    pub(crate) fn take_kept(&self) -> Option<Connection> {
        loop {
            let idle = self.lock().idle.pop()?;
            // The daemon sends nothing on an idle connection but a goodbye.
            let received = idle.connection.stream.try_read(&mut BytesMut::with_capacity(1));
            if matches!(received, Err(err) if err.kind() == ErrorKind::WouldBlock) {
                return Some(idle.connection.clone());
            }
        }
    }

    /// Opens a connection. While the daemon is being restarted, this waits for it. `accepted`: the daemon must have
    /// accepted the connection, so that it serves what is sent, although it may be ending.
    pub(crate) async fn open(&self, accepted: bool) -> io::Result<Connection> {
        loop {
            match self.connect(accepted).await {
                Ok(connection) => {
                    self.lock().unreachable = None;
                    return Ok(connection);
                }
                Err(err) if is_temporary(&err) && !self.is_unreachable() => sleep(PAUSE).await,
                Err(err) => return Err(err),
            }
        }
    }

    async fn connect(&self, accepted: bool) -> io::Result<Connection> {
        let stream = Arc::new(Stream::Unix(UnixStream::connect(&self.socket).await?));
        let (greeting, generation) = {
            let state = self.lock();
            (Arc::clone(&state.greeting), state.generation)
        };
        let mut connection = Connection { stream, generation, is_kept: false, greeting: None };
        if accepted {
            greeting::exchange(connection.stream(), &greeting).await?;
        } else {
            connection.greeting = Some(greeting);
        }
        Ok(connection)
    }

    /// Records a failure; true when connecting has failed for too long to wait any longer.
    fn is_unreachable(&self) -> bool {
        let mut state = self.lock();
        let since = *state.unreachable.get_or_insert_with(Instant::now);
        since.elapsed() >= RESTART_TIMEOUT
    }

    /// Keeps a connection whose request is complete.
    pub(crate) fn keep(self: &Arc<Self>, mut connection: Connection) {
        connection.is_kept = true;
        connection.greeting = None;
        let mut state = self.lock();
        if connection.generation != state.generation || state.idle.len() >= MAX_IDLE {
            return;
        }
        let id = state.next;
        state.next += 1;
        let stream = Arc::clone(&connection.stream);
        let daemon = Arc::clone(self);
        // Closes the connection when the daemon says goodbye or ends.
        let watcher = tokio::spawn(async move {
            let _closed = stream.readable().await;
            daemon.lock().idle.retain(|idle| idle.id != id);
        });
        state.idle.push(Idle { id, connection, watcher: watcher.abort_handle() });
    }
}

/// Whether the daemon may be reachable soon: its socket is missing or refuses connections, its queue is full, or it ended
/// before it accepted the connection.
fn is_temporary(err: &io::Error) -> bool {
    use ErrorKind::{BrokenPipe, ConnectionRefused, ConnectionReset, NotFound, UnexpectedEof, WouldBlock};
    matches!(
        err.kind(),
        NotFound | ConnectionRefused | WouldBlock | BrokenPipe | ConnectionReset | UnexpectedEof
    )
}
