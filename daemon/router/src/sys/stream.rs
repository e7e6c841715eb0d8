//! A connected stream socket in tokio's event loop, watched for reading only.
//!
//! A socket that is also watched for writing wakes the loop each time its peer has read something, which no task waits
//! for: one wake-up per request. Writes are tried at once, and watched only after one would have blocked.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use nix::libc;
use nix::sys::socket::{self, Shutdown, shutdown};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::time::{Sleep, sleep};

/// How long to wait for room when the kernel cannot report it.
const PAUSE: Duration = Duration::from_millis(20);
/// Maximum number of parts of one write.
const MAX_PARTS: usize = 16;

/// A connected socket. Both directions can be used at the same time through `&Stream`.
#[derive(Debug)]
pub struct Stream {
    reads: AsyncFd<OwnedFd>,
    writes: RefCell<Option<Writes>>,
    _counted: Counted,
}

/// How a writer waits for room.
#[derive(Debug)]
enum Writes {
    /// The kernel reports it.
    Watched(AsyncFd<OwnedFd>, Counted),
    /// No descriptor was left for that: the write is tried again after a pause.
    Tried(Pin<Box<Sleep>>),
}

/// One of the descriptors counted by [`open`].
#[derive(Debug)]
struct Counted;

static OPEN: AtomicU64 = AtomicU64::new(0);

/// Returns the number of descriptors of all streams.
pub(crate) fn open() -> u64 {
    OPEN.load(Ordering::Relaxed)
}

impl Counted {
    fn new() -> Self {
        OPEN.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Stream {
    /// Takes ownership of a connected stream socket. Must be called inside the runtime.
    pub fn new(socket: OwnedFd) -> io::Result<Self> {
        common::sys::descriptors::set_nonblocking(&socket)?;
        let reads = watch(socket, Interest::READABLE)?;
        Ok(Self { reads, writes: RefCell::default(), _counted: Counted::new() })
    }

    /// Whether nothing has arrived, not even end-of-file. Makes no system call unless something has.
    pub fn is_quiet(&self) -> bool {
        let mut byte = [MaybeUninit::uninit()];
        let seen = self.reads.try_io(Interest::READABLE, |fd| receive(fd, &mut byte));
        matches!(seen, Err(err) if err.kind() == io::ErrorKind::WouldBlock)
    }

    /// The same with a system call, for a stream that the event loop of another thread watches.
    pub(crate) fn is_quiet_now(&self) -> bool {
        let flags = socket::MsgFlags::MSG_PEEK | socket::MsgFlags::MSG_DONTWAIT;
        let seen = socket::recv(self.reads.get_ref().as_raw_fd(), &mut [0], flags);
        matches!(seen, Err(nix::errno::Errno::EWOULDBLOCK))
    }

    /// Has the event loop of this thread watch the socket from now on, instead of that of another thread.
    pub(crate) fn reregister(self) -> io::Result<Self> {
        let Self { reads, _counted, .. } = self;
        let reads = watch(reads.into_inner(), Interest::READABLE)?;
        Ok(Self { reads, writes: RefCell::default(), _counted })
    }

    /// Whether unread data has arrived, even if the event loop has not noticed it. End-of-file is not data.
    pub fn has_unread(&self) -> bool {
        let flags = socket::MsgFlags::MSG_PEEK | socket::MsgFlags::MSG_DONTWAIT;
        socket::recv(self.reads.get_ref().as_raw_fd(), &mut [0], flags).is_ok_and(|came| came > 0)
    }

    /// Writes as much as there is room for now.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when there is no room.
    pub fn try_write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        loop {
            match send(self.reads.get_ref(), &parts[..parts.len().min(MAX_PARTS)]) {
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }

    /// Stops watching for writing, which a full socket made necessary. Called between two requests.
    pub fn relax(&self) {
        self.writes.take();
    }

    /// Tries `operation`, and again each time the socket has room, until it does not block.
    fn poll_writing(
        &self,
        cx: &mut Context<'_>,
        mut operation: impl FnMut(&OwnedFd) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            match operation(self.reads.get_ref()) {
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => {}
                Err(err) if err.kind() == io::ErrorKind::Interrupted => continue,
                done => return Poll::Ready(done),
            }
            let mut writes = self.writes.borrow_mut();
            let waits = match writes.take() {
                Some(waits) => waits,
                None => self.watch_writes()?,
            };
            match writes.insert(waits) {
                // This clears readiness from before the attempt; later readiness is a new event.
                Writes::Watched(watched, _) => ready!(watched.poll_write_ready(cx))?.clear_ready(),
                Writes::Tried(pause) => {
                    ready!(pause.as_mut().poll(cx));
                    *writes = None;
                }
            }
        }
    }

    /// Watches for room on a duplicate descriptor: one descriptor cannot be registered twice.
    fn watch_writes(&self) -> io::Result<Writes> {
        match self.reads.get_ref().try_clone() {
            Ok(again) => Ok(Writes::Watched(watch(again, Interest::WRITABLE)?, Counted::new())),
            Err(why) if matches!(why.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)) => {
                Ok(Writes::Tried(Box::pin(sleep(PAUSE))))
            }
            Err(why) => Err(why),
        }
    }
}

impl AsyncRead for &Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut guard = ready!(self.reads.poll_read_ready(cx))?;
            // SAFETY: `receive` only writes received bytes, it never makes bytes uninitialised again.
            let room = unsafe { buf.unfilled_mut() };
            let len = room.len();
            match receive(guard.get_inner(), room) {
                Ok(came) => {
                    // A short read means that the socket is empty; the next arrival is a new edge.
                    if came > 0 && came < len {
                        guard.clear_ready();
                    }
                    // SAFETY: `receive` has written `came` bytes at the front of the unfilled part.
                    unsafe { buf.assume_init(came) };
                    buf.advance(came);
                    return Poll::Ready(Ok(()));
                }
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => guard.clear_ready(),
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                Err(err) => return Poll::Ready(Err(err)),
            }
        }
    }
}

impl AsyncWrite for &Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_writing(cx, |fd| send(fd, &[IoSlice::new(buf)]))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let bufs = &bufs[..bufs.len().min(MAX_PARTS)];
        self.poll_writing(cx, |fd| send(fd, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Ends the writing direction.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let fd = self.reads.get_ref().as_raw_fd();
        Poll::Ready(shutdown(fd, Shutdown::Write).map_err(Into::into))
    }
}

fn watch(fd: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is one open descriptor for as long as it lives, and `AsyncFd` drops it after its
    // registration.
    unsafe { AsyncFd::register_with_interest(fd, interest) }.map_err(Into::into)
}

fn receive(fd: &OwnedFd, room: &mut [MaybeUninit<u8>]) -> io::Result<usize> {
    // SAFETY: the pointer and length are those of one exclusively borrowed slice, which the kernel only writes to.
    let came = unsafe { libc::recv(fd.as_fd().as_raw_fd(), room.as_mut_ptr().cast(), room.len(), 0) };
    usize::try_from(came).map_err(|_| io::Error::last_os_error())
}

fn send(fd: &OwnedFd, parts: &[IoSlice<'_>]) -> io::Result<usize> {
    let (fd, flags) = (fd.as_raw_fd(), socket::MsgFlags::MSG_NOSIGNAL);
    let sent = match parts {
        [one] => socket::send(fd, one, flags),
        _ => socket::sendmsg::<()>(fd, parts, &[], flags, None),
    };
    sent.map_err(Into::into)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn pair() -> (Stream, Stream) {
        let (one, other) = UnixStream::pair().unwrap();
        (Stream::new(one.into()).unwrap(), Stream::new(other.into()).unwrap())
    }

    fn run(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.unwrap().block_on(test);
    }

    #[test]
    fn more_than_fits_into_the_socket_arrives_completely() {
        run(async {
            let (near, far) = pair();
            let sent: Vec<u8> = (0..3_000_000u32).map(|n| n as u8).collect();
            let mut received = Vec::new();
            let write = async {
                (&near).write_all(&sent).await.unwrap();
                (&near).shutdown().await.unwrap();
            };
            let mut reader = &far;
            let (_, read) = tokio::join!(write, reader.read_to_end(&mut received));
            assert_eq!(read.unwrap(), sent.len());
            assert!(received == sent, "the bytes differ");
        });
    }

    #[test]
    fn parts_arrive_in_order() {
        run(async {
            let (near, far) = pair();
            let parts = [IoSlice::new(b"one "), IoSlice::new(b"two")];
            assert_eq!((&near).write_vectored(&parts).await.unwrap(), 7);
            drop(near);
            let mut received = String::new();
            (&far).read_to_string(&mut received).await.unwrap();
            assert_eq!(received, "one two");
        });
    }

    #[test]
    fn a_stream_is_quiet_until_data_or_its_end_arrives() {
        run(async {
            let (near, far) = pair();
            assert!(far.is_quiet() && !far.has_unread());
            (&near).write_all(b"x").await.unwrap();
            assert!(far.has_unread());
            far.reads.readable().await.unwrap().retain_ready();
            assert!(!far.is_quiet());
            drop(near);
            far.reads.readable().await.unwrap().retain_ready();
            assert!(!far.is_quiet());
        });
    }
}
