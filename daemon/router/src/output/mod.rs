//! Output of app processes on stdout and stderr: each line is written to its [`places`], and the last output is kept
//! while the process starts.
//!
//! `places` applies the limit and writes to the daemon's log or the `journal`, and to the `app_log`; `orphans` closes
//! outputs that outlive their processes. `log_file` reopens the daemon's log, `log_limit` limits app output and messages
//! of one kind.

mod app_log;
mod journal;
pub(crate) mod log_file;
pub(crate) mod log_limit;
pub(crate) mod orphans;
mod places;

use std::cell::{Cell, RefCell};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::sync::Notify;
use tracing::error;

pub(crate) use self::app_log::AppLogs;
pub(crate) use self::places::Places;
use self::places::{Lines, ReportPlaces};
use super::app::route::Route;
use crate::fair_share::FairShare;
use common::link::ProcessRecord;
use orphans::Reading;

/// Size of one read, in bytes.
const READ: usize = 4 * 1024;
/// Maximum length of a line written to the log in one piece, in bytes.
const MAX_LINE: usize = 8 * 1024;
/// Maximum size of the output kept for an error report, in bytes.
const MAX_KEPT: usize = 32 * 1024;
/// How long the output of a process that has ended may still take to arrive; a child of it may hold the pipe open.
const SETTLE_TIMEOUT: Duration = Duration::from_millis(500);

/// The output of one process.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    kept: Rc<Kept>,
    /// Where the process's error report is written, until it is ready.
    report: Rc<RefCell<Option<ReportPlaces>>>,
}

#[derive(Debug, Default)]
struct Kept {
    text: RefCell<Vec<u8>>,
    forgotten: Cell<bool>,
    ended: Cell<bool>,
    at_end: Notify,
}

impl Output {
    /// Writes all output from `pipe` to its places, until it ends.
    pub(crate) fn follow(pipe: OwnedFd, places: &Rc<Places>, route: &Route, record: &ProcessRecord) -> Self {
        let (kept, report) = (Rc::new(Kept::default()), Rc::new(RefCell::default()));
        match pipe::Receiver::from_owned_fd(pipe) {
            Ok(pipe) => {
                let lines = places.lines(route, record);
                let reading = places.reading(route, record);
                report.replace(Some(lines.report_places()));
                drop(tokio::task::spawn_local(follow_lines(pipe, lines, reading, kept.clone())));
            }
            Err(err) => error!("cannot read the output of process {}: {err}", record.pid),
        }
        Self { kept, report }
    }

    /// Writes the error report of the process where its output goes. The daemon's log has it in the event of the failed
    /// start.
    pub(crate) fn write_report(&self, details: &str) {
        if let Some(places) = self.report.take().filter(|_| !details.is_empty()) {
            let details = details.to_owned();
            tokio::task::spawn_local(async move { places.write(&details).await });
        }
    }

    /// Discards the kept output once the process is ready and no report can follow.
    pub(crate) fn forget(&self) {
        self.report.take();
        self.kept.forgotten.set(true);
        *self.kept.text.borrow_mut() = Vec::new();
    }

    /// Waits until the output of an ended process has arrived.
    pub(crate) async fn settle(&self) {
        if !self.kept.ended.get() {
            // Output that does not arrive in time is not an error: the report contains what has arrived.
            drop(tokio::time::timeout(SETTLE_TIMEOUT, self.kept.at_end.notified()).await);
        }
    }

    /// Returns the kept output.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.kept.text.borrow()).into_owned()
    }
}

async fn follow_lines(mut pipe: pipe::Receiver, mut lines: Lines, reading: Reading, kept: Rc<Kept>) {
    let (mut line, mut share) = (Vec::new(), FairShare::default());
    loop {
        line.reserve(READ);
        let received = tokio::select! {
            biased;
            () = reading.closed() => Ok(0),
            received = pipe.read_buf(&mut line) => received,
        };
        let received = match received {
            Ok(0) | Err(_) => break,
            Ok(received) => received,
        };
        kept.add(&line[line.len() - received..]);
        write_whole_lines(&mut line, &mut lines, &mut share).await;
        lines.flush().await;
        share.pace(received).await;
        if line.is_empty() && line.capacity() > MAX_LINE {
            line = Vec::new();
        }
    }
    if !line.is_empty() {
        lines.write(&line).await;
    }
    drop((pipe, reading));
    kept.ended.set(true);
    kept.at_end.notify_waiters();
    lines.finish().await;
}

async fn write_whole_lines(buffer: &mut Vec<u8>, lines: &mut Lines, share: &mut FairShare) {
    let mut start = 0;
    while let Some(end) = memchr::memchr(b'\n', &buffer[start..]) {
        lines.write(&buffer[start..start + end]).await;
        start += end + 1;
        share.spend(1).await;
    }
    buffer.drain(..start);
    if buffer.len() >= MAX_LINE {
        lines.write(buffer).await;
        buffer.clear();
    }
}

impl Kept {
    fn add(&self, bytes: &[u8]) {
        if self.forgotten.get() {
            return;
        }
        let mut text = self.text.borrow_mut();
        text.extend_from_slice(bytes);
        let excess = text.len().saturating_sub(MAX_KEPT);
        text.drain(..excess);
    }
}
