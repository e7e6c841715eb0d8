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
    asked: RefCell<HashMap<Ticket, oneshot::Sender<Option<String>>>>,
}

impl LogFile {
    pub(crate) fn new(supervisor: Rc<Supervisor>) -> Self {
        Self { supervisor, asked: RefCell::default() }
    }

    /// Reopens the log file; the error says why logging continues to the old file.
    pub(crate) async fn reopen(&self) -> Result<(), String> {
        let ticket = self.supervisor.ticket();
        let (asker, answer) = oneshot::channel();
        self.asked.borrow_mut().insert(ticket, asker);
        self.supervisor.order(&Order::ReopenLog { ticket }).map_err(|why| why.to_string())?;
        match answer.await {
            Ok(None) => Ok(()),
            Ok(Some(why)) => Err(why),
            Err(_) => Err("the router ends".to_owned()),
        }
    }

    /// Handles the supervisor's result.
    pub(crate) fn reopened(&self, ticket: Ticket, failure: Option<String>) {
        if let Some(asker) = self.asked.borrow_mut().remove(&ticket) {
            // The tool that asked may have disconnected.
            let _ = asker.send(failure);
        }
    }
}
