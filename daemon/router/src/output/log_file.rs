//! Reopening of the daemon's log file for an administrator: sends an order to the supervisor and waits for the result.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use tokio::sync::oneshot;

use crate::supervisor_link::Supervisor;
use common::link::{Order, Ticket};

/// Callers that wait for a result.
#[derive(Debug)]
pub(crate) struct LogFile {
    supervisor: Rc<Supervisor>,
    waiting: RefCell<HashMap<Ticket, oneshot::Sender<Option<String>>>>,
}

impl LogFile {
    pub(crate) fn new(supervisor: Rc<Supervisor>) -> Self {
        Self { supervisor, waiting: RefCell::default() }
    }

    /// Reopens the log file; the error says why logging continues to the old file.
    pub(crate) async fn reopen(&self) -> Result<(), String> {
        let ticket = self.supervisor.ticket();
        let (caller, result) = oneshot::channel();
        self.waiting.borrow_mut().insert(ticket, caller);
        self.supervisor.order(&Order::ReopenLog { ticket }).map_err(|why| why.to_string())?;
        match result.await {
            Ok(None) => Ok(()),
            Ok(Some(why)) => Err(why),
            Err(_) => Err("the router is shutting down".to_owned()),
        }
    }

    /// Handles the supervisor's result.
    pub(crate) fn reopened(&self, ticket: Ticket, failure: Option<String>) {
        if let Some(caller) = self.waiting.borrow_mut().remove(&ticket) {
            // The caller may have disconnected.
            let _ = caller.send(failure);
        }
    }
}
