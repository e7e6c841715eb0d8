//! nginx's connection as the output of one response: a slow client does not block the app for long.
//!
//! Data is written to nginx at once, or as soon as nginx accepts it. Once a response has waited for [`MAX_WAIT`], what
//! nginx does not accept at once is kept in a [`Backlog`], so that the app finishes and can serve another client.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::io::AsyncWrite;
use tokio::task::yield_now;
use tokio::time::{Instant, Sleep, sleep_until};

use super::backlog::{Backlog, BacklogOptions};
use crate::sys::stream::Stream;

/// How long a response may wait for its client before it is kept: a fast client needs no file.
const MAX_WAIT: Duration = Duration::from_millis(100);
/// Writes from the backlog, of 128 KB at most, after which other tasks run.
const MAX_WRITES: u32 = 4;

/// Both ends of the backlog of one response: [`AsyncWrite`] for the writer, and [`Outlet::drain`].
pub(crate) struct Outlet<'a> {
    stream: &'a Stream,
    backlog: RefCell<&'a mut Backlog>,
    options: &'a BacklogOptions,
    /// Elapses after [`MAX_WAIT`]; set when the response first waits for the client.
    until: RefCell<Option<Pin<Box<Sleep>>>>,
    /// The writer that waits for room in the backlog.
    waiting: Cell<Option<Waker>>,
}

impl<'a> Outlet<'a> {
    pub(crate) fn new(stream: &'a Stream, backlog: &'a mut Backlog, options: &'a BacklogOptions) -> Self {
        let backlog = RefCell::new(backlog);
        Self { stream, backlog, options, until: RefCell::default(), waiting: Cell::default() }
    }

    /// Writes the backlog to nginx as nginx accepts it. Ends only with an error; must be polled after the writer, in
    /// the same task.
    pub(crate) async fn drain(&self) -> io::Error {
        poll_fn(|cx| match self.poll_drain(cx) {
            Poll::Ready(Err(err)) => Poll::Ready(err),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
        })
        .await
    }

    fn poll_drain(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut backlog = self.backlog.borrow_mut();
        let done = poll_drain(&mut backlog, self.stream, cx);
        if backlog.is_empty()
            && let Some(waiting) = self.waiting.take()
        {
            waiting.wake();
        }
        done
    }

    fn poll_parts(&self, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let mut backlog = self.backlog.borrow_mut();
        if backlog.is_empty() {
            match self.stream.try_write(parts) {
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
            if self.poll_wait(cx).is_pending() {
                return Pin::new(&mut &*self.stream).poll_write_vectored(cx, parts);
            }
        }
        match backlog.push(parts, self.options) {
            0 => {
                self.waiting.set(Some(cx.waker().clone()));
                Poll::Pending
            }
            taken => Poll::Ready(Ok(taken)),
        }
    }

    fn poll_wait(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut until = self.until.borrow_mut();
        let until = until.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + MAX_WAIT)));
        if until.is_elapsed() { Poll::Ready(()) } else { until.as_mut().poll(cx) }
    }
}

/// Writes the whole backlog to nginx.
pub(crate) async fn empty(backlog: &mut Backlog, stream: &Stream) -> io::Result<()> {
    let done = poll_fn(|cx| poll_drain(backlog, stream, cx)).await;
    backlog.clear();
    done
}

/// A client that becomes fast may take a large backlog as fast as it is written: other tasks run in between.
fn poll_drain(backlog: &mut Backlog, mut stream: &Stream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    for _ in 0..MAX_WRITES {
        if backlog.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let written = ready!(Pin::new(&mut stream).poll_write(cx, backlog.front()?))?;
        backlog.consume(written);
    }
    // The event loop looks for other events before it continues here.
    pin!(yield_now()).poll(cx).map(Ok)
}

impl AsyncWrite for &Outlet<'_> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_parts(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_parts(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut &*self.stream).poll_shutdown(cx)
    }
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
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        runtime.unwrap().block_on(test);
    }

    fn options(max_file_size: Option<u64>) -> BacklogOptions {
        BacklogOptions { dir: std::env::temp_dir(), max_file_size, problems: Default::default() }
    }

    /// Writes `bytes` while the peer does not read; true when all were accepted.
    async fn write(outlet: &Outlet<'_>, bytes: &[u8]) -> bool {
        let mut writer = outlet;
        tokio::select! {
            biased;
            done = writer.write_all(bytes) => done.is_ok(),
            err = outlet.drain() => panic!("{err}"),
            // Far beyond `MAX_WAIT`, on a paused clock.
            () = tokio::time::sleep(Duration::from_secs(60)) => false,
        }
    }

    #[test]
    fn a_writer_finishes_before_its_client_has_read() {
        run(async {
            let (near, far) = pair();
            let (options, mut backlog) = (options(None), Backlog::default());
            let sent: Vec<u8> = (0..3_000_000u32).map(|n| (n / 3) as u8).collect();
            let outlet = Outlet::new(&near, &mut backlog, &options);
            assert!(write(&outlet, &sent).await, "the client delays it");
            let (mut received, mut reader) = (vec![0; sent.len()], &far);
            let (emptied, read) = tokio::join!(empty(&mut backlog, &near), reader.read_exact(&mut received));
            emptied.unwrap();
            read.unwrap();
            assert!(received == sent, "the bytes differ");
        });
    }

    #[test]
    fn a_writer_waits_while_the_backlog_is_full() {
        run(async {
            let (near, far) = pair();
            let (options, mut backlog) = (options(Some(1 << 20)), Backlog::default());
            let outlet = Outlet::new(&near, &mut backlog, &options);
            let sent = vec![7; 4 << 20];
            assert!(!write(&outlet, &sent).await, "more than the limit is kept");
            let (mut writer, mut reader) = (&outlet, &far);
            let mut room = vec![0; 1 << 16];
            let more = async {
                writer.write_all(&sent).await.unwrap();
            };
            tokio::select! {
                biased;
                () = more => {}
                err = outlet.drain() => panic!("{err}"),
                () = async { while reader.read(&mut room).await.unwrap() > 0 {} } => panic!("it ended early"),
            }
        });
    }

    #[test]
    fn a_closed_connection_is_noticed() {
        run(async {
            let (near, far) = pair();
            let (options, mut backlog) = (options(None), Backlog::default());
            let outlet = Outlet::new(&near, &mut backlog, &options);
            assert!(write(&outlet, &vec![7; 1 << 20]).await);
            drop(far);
            assert_eq!(outlet.drain().await.kind(), io::ErrorKind::BrokenPipe);
        });
    }
}
