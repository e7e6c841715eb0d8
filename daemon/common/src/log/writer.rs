//! The log writer: a process that writes the supervisor's lines to standard error, so that a hanging disk or an unread
//! pipe never blocks the supervisor.
//!
//! The supervisor sends lines through a non-blocking socket and keeps what the socket does not accept in a bounded
//! [queue](super::queue). The writer acknowledges each write with its length and its error. It ends when the supervisor
//! has closed the socket and all lines are written.

use std::fs::File;
use std::io::{self, Read, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::poll::{self, PollFd, PollFlags, PollTimeout};
use nix::sys::signal::Signal;
use nix::unistd;

use super::queue::Queue;
use crate::sys::descriptors;
use crate::sys::process::{self, Child};
use crate::sys::title;

/// Bytes that the writer reads at a time.
const CHUNK: usize = 64 * 1024;
/// The same where a write may block: a pipe that polls writable accepts this many bytes at once.
const SMALL_CHUNK: usize = 4096;
/// Bytes of an acknowledgement: the length, then the error number.
const ACKNOWLEDGEMENT: usize = 12;
/// Milliseconds that a writer waits for room after the supervisor has ended.
const LAST_WAIT: u16 = 5000;

/// How long the supervisor waits for the end of a writer that has written everything, or was killed.
const AFTER_KILL: Duration = Duration::from_millis(200);

/// Writes lines to standard error; returns 0 or an error number.
type Write = fn(&[u8]) -> i32;

/// The result of the writer's last write: 0 or an error number.
static REFUSED: AtomicI32 = AtomicI32::new(0);

/// The supervisor's side of the writer.
struct Writer {
    /// The supervisor's PID. A forked copy of the supervisor writes to standard error directly.
    owner: u32,
    socket: Arc<UnixStream>,
    child: Child,
    /// Whether it has acknowledged bytes. A writer that never did is not replaced when it ends.
    works: bool,
    queue: Queue,
    write: Write,
}

static WRITER: Mutex<Option<Writer>> = Mutex::new(None);

fn writer() -> MutexGuard<'static, Option<Writer>> {
    WRITER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `act` on this process's writer, if there is one.
fn with<T>(act: impl FnOnce(&mut Writer) -> T) -> Option<T> {
    writer().as_mut().filter(|writer| writer.owner == std::process::id()).map(act)
}

/// Starts a writer on the current standard error. It replaces a running one, which finishes what it has received.
///
/// # Errors
///
/// When no socket or process can be created. The log is written directly then.
pub(super) fn start(write: Write) -> io::Result<()> {
    // If a step fails, there is no writer from here on.
    let mut queue = writer().take().map_or_else(Queue::default, Writer::replaced);
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let child = process::run_in_child(|| work(theirs.into(), write))?;
    let now = Instant::now();
    queue.begin_again(now);
    let owner = std::process::id();
    *writer() = Some(Writer { owner, socket: Arc::new(ours), child, works: false, queue, write });
    flush();
    Ok(())
}

impl Writer {
    /// Returns the queue for the next writer. A hanging writer is killed; others end when they have written everything.
    fn replaced(self) -> Queue {
        if self.queue.hangs(Instant::now()) {
            // Fails if it has already ended.
            let _ = self.child.signal(Signal::SIGKILL);
        }
        self.queue
    }
}

/// Queues complete lines. `None`: there is no writer, and they have to be written directly.
pub(super) fn enqueue(lines: &[u8]) -> Option<io::Result<()>> {
    with(|writer| {
        let taken = writer.queue.push(lines, Instant::now());
        // [`read_answers`] reports errors of the socket.
        let _ = writer.queue.send(&mut &*writer.socket);
        if taken { Ok(()) } else { Err(io::ErrorKind::TimedOut.into()) }
    })
}

/// Sends queued lines, as far as the socket accepts them.
pub fn flush() {
    // [`read_answers`] reports errors of the socket.
    let _ = with(|writer| writer.queue.send(&mut &*writer.socket));
}

/// Returns the socket for the writer's answers, and whether lines wait to be sent to it.
pub fn watched() -> Option<(Arc<UnixStream>, bool)> {
    with(|writer| (Arc::clone(&writer.socket), writer.queue.waits()))
}

/// When the log is considered hanging, unless it accepts something until then.
pub fn due(now: Instant) -> Option<Instant> {
    with(|writer| writer.queue.hangs_at()).flatten().filter(|due| *due > now)
}

/// Whether the log has accepted nothing for a while.
pub(super) fn hangs() -> bool {
    with(|writer| writer.queue.hangs(Instant::now())).unwrap_or(false)
}

/// Returns the result of the last write of lines: 0 or an error number.
pub(super) fn refused() -> i32 {
    REFUSED.load(Ordering::Relaxed)
}

/// Whether the router's lines are read.
pub fn wants_more() -> bool {
    with(|writer| writer.queue.wants_more(Instant::now())).unwrap_or(true)
}

/// Reads acknowledgements. A writer that has ended is replaced.
pub fn read_answers() {
    let ended = with(|writer| match read_acknowledgements(writer) {
        Err(why) if why.kind() == io::ErrorKind::WouldBlock => None,
        Ok(()) | Err(_) => Some((writer.works, writer.write)),
    });
    if with(|writer| writer.queue.has_recovered()).unwrap_or(false) {
        // The line with the number of lost lines comes first.
        tracing::warn!("the log is written again");
    }
    let Some(Some((worked, write))) = ended else { return };
    if !worked {
        *writer() = None;
        tracing::error!("the log writer exited at once; the supervisor writes the log itself");
        return;
    }
    match start(write) {
        Ok(()) => tracing::warn!("the log writer was killed and is replaced; lines may be missing"),
        Err(why) => {
            tracing::error!("cannot start the log writer, the supervisor writes the log itself: {why}")
        }
    }
}

/// Reads acknowledgements; Ok at the end of the stream.
fn read_acknowledgements(writer: &mut Writer) -> io::Result<()> {
    let mut buffer = [0; ACKNOWLEDGEMENT * 64];
    loop {
        let length = (&*writer.socket).read(&mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        for (count, errno) in buffer[..length].chunks_exact(ACKNOWLEDGEMENT).filter_map(decode) {
            writer.works = true;
            writer.queue.acknowledge(count, Instant::now());
            REFUSED.store(errno, Ordering::Relaxed);
        }
    }
}

fn decode(bytes: &[u8]) -> Option<(usize, i32)> {
    let (count, errno) = bytes.split_first_chunk::<8>()?;
    Some((usize::try_from(u64::from_le_bytes(*count)).ok()?, i32::from_le_bytes(errno.try_into().ok()?)))
}

/// Waits until all lines are in the log, but not longer than `limit` or until the log hangs.
pub fn drain(limit: Duration) {
    let until = Instant::now() + limit;
    loop {
        let now = Instant::now();
        let left =
            |writer: &mut Writer| (!writer.queue.is_empty()).then(|| writer.queue.hangs_at()).flatten();
        let Some(hangs_at) = with(left).flatten() else { return };
        let Some((socket, waits)) = watched() else { return };
        let Some(left) = hangs_at.min(until).checked_duration_since(now).filter(|left| !left.is_zero())
        else {
            return;
        };
        let flags = if waits { PollFlags::POLLIN | PollFlags::POLLOUT } else { PollFlags::POLLIN };
        let wait = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
        // After a signal or an error the loop checks again.
        let _ = poll::poll(&mut [PollFd::new(socket.as_fd(), flags)], wait);
        flush();
        read_answers();
    }
}

/// Waits until all lines are in the log, and ends the writer. Later lines are written directly.
pub fn finish(limit: Duration) {
    drain(limit);
    let Some(last) = with(|_| ()).and_then(|()| writer().take()) else { return };
    let Writer { socket, child, queue, .. } = last;
    drop(socket);
    if !queue.is_empty() {
        // It hangs, or its disk is too slow. The signal fails if it has already ended.
        let _ = child.signal(Signal::SIGKILL);
    }
    child.reap_until(Instant::now() + AFTER_KILL);
}

/// Runs the writer process, which keeps only standard error of the supervisor's descriptors.
fn work(socket: OwnedFd, write: Write) -> io::Result<()> {
    title::set_title(c"flying-log")?;
    // The process keeps no directory from being unmounted.
    unistd::chdir("/")?;
    let mut socket = UnixStream::from(descriptors::keep_only(socket)?);
    let regular = File::from(io::stderr().as_fd().try_clone_to_owned()?).metadata()?.is_file();
    let mut chunk = vec![0; if regular { CHUNK } else { SMALL_CHUNK }];
    let mut partial = Vec::new();
    loop {
        let length = match socket.read(&mut chunk) {
            Err(why) if why.kind() == io::ErrorKind::Interrupted => continue,
            length => length?,
        };
        if length == 0 {
            break;
        }
        partial.extend_from_slice(&chunk[..length]);
        let Some(end) = partial.iter().rposition(|byte| *byte == b'\n') else { continue };
        if !regular && !wait_for_room(&socket)? {
            return Ok(());
        }
        let errno = write(&partial[..=end]);
        partial.drain(..=end);
        let answer = [&(end as u64 + 1).to_le_bytes()[..], &errno.to_le_bytes()].concat();
        // A supervisor that has ended needs no answer; its remaining lines are still written.
        let _ = socket.write_all(&answer);
    }
    if !partial.is_empty() {
        partial.push(b'\n');
        write(&partial);
    }
    Ok(())
}

/// Waits until standard error accepts data. Returns false if it does not and the supervisor has ended.
fn wait_for_room(socket: &UnixStream) -> io::Result<bool> {
    let log = io::stderr();
    let mut both =
        [PollFd::new(log.as_fd(), PollFlags::POLLOUT), PollFd::new(socket.as_fd(), PollFlags::empty())];
    while poll::poll(&mut both, PollTimeout::NONE).is_err() {}
    if both[0].any().unwrap_or(false) {
        return Ok(true);
    }
    let [log, _socket] = &mut both;
    Ok(poll::poll(std::slice::from_mut(log), PollTimeout::from(LAST_WAIT))? > 0)
}
