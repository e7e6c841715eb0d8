//! The router's threads. The main thread accepts connections and does everything but requests; the others, if there are
//! any, serve connections from nginx, as it does too. A connection stays on its thread.

use std::cell::Cell;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::task::spawn_local;
use tokio::time::sleep;
use tracing::{error, warn};

use super::nginx::connection;
use super::state::RouterState;
use crate::sys::stream::Stream;

/// How often to check whether every thread responds.
const CHECK_INTERVAL: Duration = Duration::from_secs(30);
/// Number of seconds after which a thread that does not respond ends the router.
const HANG_SECONDS: u32 = 30;
/// Pause between two checks of whether a thread has responded.
const PAUSE: Duration = Duration::from_secs(1);

thread_local! {
    static CURRENT: Cell<usize> = const { Cell::new(0) };
}

/// Returns the number of this thread; 0 is the main thread.
pub(crate) fn current() -> usize {
    CURRENT.get()
}

/// A message to a thread.
#[derive(Debug)]
enum Message {
    /// Serve this connection.
    Serve(OwnedFd),
    /// Report that the thread runs.
    Check(u64),
}

/// What the main thread knows of another one.
#[derive(Debug)]
struct Thread {
    number: usize,
    messages: mpsc::UnboundedSender<Message>,
    report: Arc<Report>,
}

/// What a thread reports.
#[derive(Debug, Default)]
struct Report {
    /// Number of its connections.
    connections: AtomicUsize,
    /// The last check that it has answered.
    answered: AtomicU64,
    /// Notified when it has answered one.
    has_answered: Notify,
}

/// The threads besides the main one, which uses this.
#[derive(Debug)]
pub(crate) struct Threads {
    others: Vec<Thread>,
    /// Number of connections of the main thread.
    own: Arc<Report>,
    /// The last check.
    check: Cell<u64>,
    /// Notified when a thread has ended.
    ended: Arc<Notify>,
}

impl Threads {
    /// Starts the threads: as many as are configured, including this one.
    pub(crate) fn start(router: &Arc<RouterState>) -> Self {
        let mut threads =
            Self { others: Vec::new(), own: Arc::default(), check: Cell::new(0), ended: Arc::default() };
        for number in 1..router.config.threads {
            match threads.start_one(router, number) {
                Ok(thread) => threads.others.push(thread),
                Err(why) => {
                    error!(
                        "cannot start thread {number} of {} of the router: {why}; {number} serve requests \
                         (--router-threads)",
                        router.config.threads
                    );
                    break;
                }
            }
        }
        threads
    }

    fn start_one(&self, router: &Arc<RouterState>, number: usize) -> io::Result<Thread> {
        let (messages, received) = mpsc::unbounded_channel();
        let report = Arc::<Report>::default();
        let (router, ended, of_thread) = (router.clone(), Ended(self.ended.clone()), report.clone());
        std::thread::Builder::new().name(format!("router-{number}")).spawn(move || {
            let _ended = ended;
            CURRENT.set(number);
            match super::runtime() {
                Ok(runtime) => runtime.block_on(run(router, received, of_thread)),
                Err(why) => error!("a thread of the router cannot run: {why}"),
            }
        })?;
        Ok(Thread { number, messages, report })
    }

    /// Has the thread with the fewest connections serve this one. It is counted already.
    pub(crate) fn serve(&self, router: &Arc<RouterState>, connection: OwnedFd) {
        let count = |report: &Report| report.connections.load(SeqCst);
        // Of several, the last one: the main thread has other work, too.
        let other = self.others.iter().rev().min_by_key(|thread| count(&thread.report));
        let other = other.filter(|thread| count(&thread.report) <= count(&self.own));
        let Some(other) = other else { return serve(router, &self.own, connection) };
        // Counted here, so that several connections at once are distributed.
        other.report.connections.fetch_add(1, SeqCst);
        if other.messages.send(Message::Serve(connection)).is_err() {
            // The thread has ended, and with it the router does.
            drop(router.connections.guard());
        }
    }

    /// Resolves when every thread has shown that it runs.
    pub(crate) async fn all_respond(&self) {
        let check = self.send_check();
        for thread in &self.others {
            loop {
                let answered = thread.report.has_answered.notified();
                if thread.has_answered(check) {
                    break;
                }
                answered.await;
            }
        }
    }

    /// Resolves when a thread has ended or hangs, and the router must end; returns why.
    pub(crate) async fn fails(&self) -> String {
        tokio::select! {
            number = self.hangs() => format!("its thread {number} does not respond"),
            () = self.ended.notified() => "one of its threads has ended".to_owned(),
        }
    }

    /// Resolves when a thread has not responded for [`HANG_SECONDS`]; returns its number. Only seconds in which this
    /// thread runs are counted, as the whole machine may have been suspended.
    async fn hangs(&self) -> usize {
        if self.others.is_empty() {
            return std::future::pending().await;
        }
        loop {
            let check = self.send_check();
            let mut seconds = 0;
            while let Some(silent) = self.others.iter().find(|thread| !thread.has_answered(check)) {
                sleep(PAUSE).await;
                seconds += 1;
                if seconds > HANG_SECONDS {
                    return silent.number;
                }
                if seconds == HANG_SECONDS / 2 {
                    warn!("thread {} of the router has not responded for {seconds} s", silent.number);
                }
            }
            sleep(CHECK_INTERVAL).await;
        }
    }

    fn send_check(&self) -> u64 {
        let check = self.check.get() + 1;
        self.check.set(check);
        for thread in &self.others {
            // If it has ended, the router ends.
            let _ = thread.messages.send(Message::Check(check));
        }
        check
    }
}

impl Thread {
    fn has_answered(&self, check: u64) -> bool {
        self.report.answered.load(SeqCst) >= check
    }
}

/// Notifies the main thread when a thread ends, by a panic too.
struct Ended(Arc<Notify>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

/// The main loop of a thread that is not the main one.
async fn run(router: Arc<RouterState>, mut messages: mpsc::UnboundedReceiver<Message>, report: Arc<Report>) {
    while let Some(message) = messages.recv().await {
        match message {
            Message::Serve(connection) => {
                serve(&router, &report, connection);
                // `serve` counts it.
                report.connections.fetch_sub(1, SeqCst);
            }
            Message::Check(check) => {
                report.answered.store(check, SeqCst);
                report.has_answered.notify_waiters();
            }
        }
    }
}

/// Serves the connection on this thread.
fn serve(router: &Arc<RouterState>, report: &Arc<Report>, connection: OwnedFd) {
    match Stream::new(connection) {
        Ok(stream) => {
            let counted = Counted::new(report.clone());
            let router = router.clone();
            spawn_local(async move {
                let _counted = counted;
                connection::serve(router, stream).await;
            });
        }
        Err(why) => {
            drop(router.connections.guard());
            warn!("cannot serve a connection from nginx: {why}");
        }
    }
}

/// Counts a connection of a thread while it lives.
struct Counted(Arc<Report>);

impl Counted {
    fn new(report: Arc<Report>) -> Self {
        report.connections.fetch_add(1, SeqCst);
        Self(report)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, SeqCst);
    }
}
