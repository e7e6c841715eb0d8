//! Log files of apps (`passenger_app_log_file`), opened through the supervisor: lines of processes are appended.
//!
//! Processes of one user share a file. If it cannot be opened or written to, the daemon logs one line; nothing else is
//! lost, because the daemon's log contains the output too. The file may be on a disk that hangs, or that the app's user
//! has made hang, so it is written on a separate thread, and only the process that prints waits.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tracing::{info, warn};

use crate::supervisor_link::Supervisor;
use crate::sys;
use common::link::channel::{Buffer, Channel};
use common::link::{AppLogOpened, Order, ProcessId, ProcessRecord, Ticket};

/// How long the output of an ended process waits for its file.
const OPEN_TIMEOUT: Duration = Duration::from_secs(20);

/// A log file for the processes of one user.
#[derive(Debug)]
pub(crate) struct AppLog {
    path: PathBuf,
    file: RefCell<Option<Arc<File>>>,
    /// Live processes that write to it; it is opened with the rights of one of them.
    writers: RefCell<Vec<ProcessId>>,
    /// Writing failed, and this was logged.
    failing: Cell<bool>,
    /// Notified when opening has succeeded or failed.
    opened: Notify,
}

/// All log files of apps.
#[derive(Debug)]
pub(crate) struct AppLogs {
    supervisor: Arc<Supervisor>,
    open: RefCell<HashMap<(PathBuf, u32), Weak<AppLog>>>,
    /// Files that the supervisor has been ordered to open.
    pending: RefCell<HashMap<Ticket, Weak<AppLog>>>,
}

impl AppLogs {
    pub(crate) fn new(supervisor: Arc<Supervisor>) -> Rc<Self> {
        Rc::new(Self { supervisor, open: RefCell::default(), pending: RefCell::default() })
    }

    /// Returns the writer to `path` for this process; the file is opened as soon as the supervisor responds.
    pub(super) fn of(&self, path: &Path, record: &ProcessRecord) -> Writer {
        let key = (path.to_path_buf(), record.user.uid);
        self.open.borrow_mut().retain(|_, log| log.strong_count() > 0);
        let known = self.open.borrow().get(&key).and_then(Weak::upgrade);
        let log = known.unwrap_or_else(|| {
            let log = Rc::new(AppLog::at(path));
            self.open.borrow_mut().insert(key, Rc::downgrade(&log));
            log
        });
        log.writers.borrow_mut().push(record.process);
        if log.file.borrow().is_none() {
            self.order_open(&log);
        }
        Writer { log, process: record.process }
    }

    /// Reopens every file, after a rotation.
    pub(crate) fn reopen(&self) {
        let all: Vec<_> = self.open.borrow().values().filter_map(Weak::upgrade).collect();
        all.iter().for_each(|log| self.order_open(log));
    }

    /// Handles the supervisor's response, which is a connection to the process that opens the file.
    pub(crate) fn handle_reply(&self, ticket: Ticket, reply: Option<OwnedFd>) {
        let pending = self.pending.borrow_mut().remove(&ticket);
        let Some(log) = pending.as_ref().and_then(Weak::upgrade) else { return };
        let Some(reply) = reply else {
            return log.set_failing(&"the supervisor cannot start a process that opens it");
        };
        tokio::task::spawn_local(async move {
            match receive(reply).await {
                Ok(file) => log.set_file(file),
                Err(why) => log.set_failing(&why),
            }
        });
    }

    fn order_open(&self, log: &Rc<AppLog>) {
        let Some(process) = log.writers.borrow().last().copied() else { return };
        let ticket = self.supervisor.ticket();
        self.pending.borrow_mut().insert(ticket, Rc::downgrade(log));
        let path = log.path.clone();
        if let Err(why) = self.supervisor.order(&Order::OpenAppLog { ticket, process, path }) {
            self.pending.borrow_mut().remove(&ticket);
            log.set_failing(&why);
        }
    }
}

/// Receives the single message of the process that opens the file.
async fn receive(reply: OwnedFd) -> io::Result<File> {
    let channel = sys::watch(Channel::new(reply)?)?;
    let mut buffer = Buffer::default();
    loop {
        let mut ready = channel.readable().await?;
        match ready.try_io(|channel| channel.get_ref().recv::<AppLogOpened>(&mut buffer)) {
            Ok(Ok(Some((AppLogOpened::File, mut files)))) => {
                return files
                    .pop()
                    .map(File::from)
                    .ok_or_else(|| io::Error::other("its descriptor was not received"));
            }
            Ok(Ok(Some((AppLogOpened::Refused(why), _)))) => return Err(io::Error::other(why)),
            Ok(Ok(None)) => return Err(io::Error::other("the process that opens it ended")),
            Ok(Err(why)) => return Err(why),
            // Not readable after all.
            Err(_) => {}
        }
    }
}

impl AppLog {
    fn at(path: &Path) -> Self {
        Self {
            path: path.to_path_buf(),
            file: RefCell::default(),
            writers: RefCell::default(),
            failing: Cell::new(false),
            opened: Notify::new(),
        }
    }

    fn set_file(&self, file: File) {
        if self.file.replace(Some(Arc::new(file))).is_some() {
            info!("reopened log file {} of an app", self.path.display());
        }
        self.failing.set(false);
        self.opened.notify_waiters();
    }

    fn set_failing(&self, why: &dyn std::fmt::Display) {
        self.opened.notify_waiters();
        if !self.failing.replace(true) {
            let path = self.path.display();
            warn!(
                "cannot use passenger_app_log_file {path}: {why}; the app's output is written to this log only"
            );
        }
    }

    /// Whether opening or writing it has failed.
    pub(super) fn is_failing(&self) -> bool {
        self.failing.get()
    }

    /// Whether the file is open.
    pub(super) fn is_open(&self) -> bool {
        self.file.borrow().is_some()
    }

    /// Appends lines as soon as the file is open, if that ever happens.
    pub(super) async fn write_when_open(&self, lines: String) {
        let opened = self.opened.notified();
        if !self.is_open() {
            // The process that opens it has the same time limit, and then ends.
            drop(tokio::time::timeout(OPEN_TIMEOUT, opened).await);
        }
        self.write(lines).await;
    }

    /// Appends whole lines; lines that cannot be written are lost, which is logged.
    pub(super) async fn write(&self, lines: String) {
        let Some(file) = self.file.borrow().clone() else { return };
        let written = tokio::task::spawn_blocking(move || (&*file).write_all(lines.as_bytes())).await;
        match written.unwrap_or_else(|why| Err(io::Error::other(why))) {
            Ok(()) => self.failing.set(false),
            Err(why) => self.set_failing(&why),
        }
    }
}

/// A process's reference to a file. The file is closed with the last writer.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) log: Rc<AppLog>,
    process: ProcessId,
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.log.writers.borrow_mut().retain(|process| *process != self.process);
    }
}
