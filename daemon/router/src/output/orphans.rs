//! Outputs that outlive their processes: a child left behind by a process may hold the pipe open forever. The newest
//! outputs of each app are still read; the others are closed, because each uses a descriptor of the router.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::Notify;
use tracing::warn;

use super::log_limit::LogLimit;
use common::link::ProcessId;

/// Maximum number of outputs of ended processes of one app that are still read.
const MAX_ORPHANS: usize = 16;
/// Maximum number of messages per minute.
const PER_MINUTE: u32 = 10;

/// The outputs that are being read.
#[derive(Debug)]
pub(super) struct Outputs {
    running: RefCell<HashMap<ProcessId, Open>>,
    /// Outputs of ended processes by app, oldest first.
    orphans: RefCell<HashMap<String, VecDeque<Open>>>,
    closed: Arc<LogLimit>,
}

/// One output.
#[derive(Debug, Clone)]
struct Open {
    app: String,
    process: ProcessId,
    to_be_closed: Rc<Notify>,
}

/// An output that is being read.
#[derive(Debug)]
pub(super) struct Reading {
    outputs: Rc<Outputs>,
    open: Open,
}

impl Outputs {
    pub(super) fn new() -> Rc<Self> {
        let closed = LogLimit::new("output of ended app processes is no longer read", PER_MINUTE);
        Rc::new(Self { running: RefCell::default(), orphans: RefCell::default(), closed })
    }

    /// Registers the output of a running process.
    pub(super) fn open(self: &Rc<Self>, app: &str, process: ProcessId) -> Reading {
        let open = Open { app: app.to_owned(), process, to_be_closed: Rc::default() };
        self.running.borrow_mut().insert(process, open.clone());
        Reading { outputs: self.clone(), open }
    }

    /// Records the end of a process. If too many outputs of ended processes are still open, closes the oldest.
    pub(super) fn ended(&self, process: ProcessId) {
        let Some(open) = self.running.borrow_mut().remove(&process) else { return };
        let app = open.app.clone();
        let mut orphans = self.orphans.borrow_mut();
        let of_app = orphans.entry(app.clone()).or_default();
        of_app.push_back(open);
        if of_app.len() <= MAX_ORPHANS {
            return;
        }
        if let Some(oldest) = of_app.pop_front() {
            oldest.to_be_closed.notify_one();
        }
        if self.closed.admits() {
            warn!(
                "app {app}: child processes keep the output of more than {MAX_ORPHANS} ended processes open; the \
                 oldest output is no longer read"
            );
        }
    }
}

impl Reading {
    /// Resolves when the output must no longer be read.
    pub(super) async fn closed(&self) {
        self.open.to_be_closed.notified().await;
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let Open { app, process, .. } = &self.open;
        self.outputs.running.borrow_mut().remove(process);
        let mut orphans = self.outputs.orphans.borrow_mut();
        if let Some(of_app) = orphans.get_mut(app) {
            of_app.retain(|open| open.process != *process);
            if of_app.is_empty() {
                orphans.remove(app);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_outputs_of_ended_processes_are_read() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        tokio::task::LocalSet::new().block_on(&runtime.unwrap(), async {
            let outputs = Outputs::new();
            let mut readings: Vec<_> =
                (0..=MAX_ORPHANS as u64).map(|number| outputs.open("app", ProcessId(number))).collect();
            let other = outputs.open("other", ProcessId(1000));
            (0..=MAX_ORPHANS as u64).for_each(|number| outputs.ended(ProcessId(number)));
            outputs.ended(ProcessId(1000));
            readings.remove(0).closed().await;
            let second = tokio::time::timeout(std::time::Duration::from_secs(1), readings[0].closed());
            assert!(second.await.is_err(), "one too many, one closed");
            drop((readings, other));
            assert!(outputs.running.borrow().is_empty() && outputs.orphans.borrow().is_empty());
        });
    }
}
