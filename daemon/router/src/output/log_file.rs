//! The log file opened anew on an administrator's word: the supervisor is asked, and its answer is waited for.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use tokio::sync::oneshot;

use crate::supervisor_link::Supervisor;
use common::link::{Order, Ticket};

/// Who waits for an answer.
#[derive(Debug)]
pub(crate) struct LogFile {
    supervisor: Rc<Supervisor>,
    asked: RefCell<HashMap<Ticket, oneshot::Sender<Option<String>>>>,
}

impl LogFile {
    pub(crate) fn new(supervisor: Rc<Supervisor>) -> Self {
        Self { supervisor, asked: RefCell::default() }
    }

    /// Has it opened anew; the error says why the log goes on where it was.
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

    /// The supervisor's answer.
    pub(crate) fn reopened(&self, ticket: Ticket, failure: Option<String>) {
        if let Some(asker) = self.asked.borrow_mut().remove(&ticket) {
            // The tool that asked may be gone.
            let _ = asker.send(failure);
        }
    }
}
