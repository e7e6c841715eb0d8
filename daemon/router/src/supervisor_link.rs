//! The router's end of the link to the supervisor: sends orders in sequence without blocking, and receives notices one
//! at a time.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{Notify, oneshot};
use tracing::error;

use super::lock::Lock;
use common::link::channel::{Buffer, Channel, Encoded};
use common::link::{Notice, Order, Ticket};

/// The link to the supervisor.
#[derive(Debug)]
pub(crate) struct Supervisor {
    channel: AsyncFd<Channel>,
    waiting: Lock<VecDeque<Encoded>>,
    has_waiting: Notify,
    next_ticket: AtomicU64,
}

impl Supervisor {
    pub(crate) fn new(link: OwnedFd) -> io::Result<Self> {
        Ok(Self {
            channel: crate::sys::watch(Channel::new(link)?)?,
            waiting: Lock::default(),
            has_waiting: Notify::new(),
            next_ticket: AtomicU64::new(1),
        })
    }

    /// Returns a ticket that was not used before.
    pub(crate) fn ticket(&self) -> Ticket {
        Ticket(self.next_ticket.fetch_add(1, Ordering::Relaxed))
    }

    /// Sends an order, immediately or as soon as the link accepts it.
    ///
    /// # Errors
    ///
    /// Fails when the order cannot be encoded: it is too long, or a path in it is not UTF-8.
    pub(crate) fn order(&self, order: &Order) -> io::Result<()> {
        let message = Encoded::new(order)?;
        let mut waiting = self.waiting.lock();
        if waiting.is_empty() {
            match self.channel.get_ref().send_encoded(&message, &[]) {
                Ok(()) => return Ok(()),
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => {}
                // The supervisor has closed the link; the next receive detects that and ends this process.
                Err(_) => return Ok(()),
            }
        }
        waiting.push_back(message);
        self.has_waiting.notify_one();
        Ok(())
    }

    /// Sends an order, or logs why it cannot be encoded.
    pub(crate) fn send(&self, order: &Order) {
        if let Err(why) = self.order(order) {
            error!("cannot send an order to the supervisor: {why}");
        }
    }

    /// Returns the next notice with its descriptors; `None` when the supervisor has closed the link.
    pub(crate) async fn notice(&self, buffer: &mut Buffer) -> Option<(Notice, Vec<OwnedFd>)> {
        loop {
            match self.channel.async_io(Interest::READABLE, |channel| channel.recv(buffer)).await {
                Ok(received) => return received,
                Err(err) if err.kind() == io::ErrorKind::InvalidData => {
                    error!("ignoring an invalid message from the supervisor: {err}");
                }
                Err(_) => return None,
            }
        }
    }

    /// Sends queued orders; runs as long as the router.
    pub(crate) async fn flush(&self) {
        loop {
            self.has_waiting.notified().await;
            while self.flush_one().await {}
        }
    }

    async fn flush_one(&self) -> bool {
        let Ok(mut ready) = self.channel.writable().await else {
            return false;
        };
        let mut waiting = self.waiting.lock();
        let Some(message) = waiting.front() else {
            return false;
        };
        match ready.try_io(|channel| channel.get_ref().send_encoded(message, &[])) {
            Ok(_sent_or_gone) => {
                waiting.pop_front();
            }
            Err(_would_block) => {}
        }
        true
    }
}

/// Orders whose results are awaited, by ticket.
#[derive(Debug)]
pub(crate) struct PendingOrders<T> {
    supervisor: Arc<Supervisor>,
    waiting: Lock<HashMap<Ticket, oneshot::Sender<T>>>,
}

impl<T> PendingOrders<T> {
    pub(crate) fn new(supervisor: Arc<Supervisor>) -> Self {
        Self { supervisor, waiting: Lock::default() }
    }

    /// Sends the order that `order` returns for a new ticket, and waits for its result; `None` if it cannot be sent.
    pub(crate) async fn result_of(&self, order: impl FnOnce(Ticket) -> Order) -> Option<T> {
        let ticket = self.supervisor.ticket();
        let (sender, result) = oneshot::channel();
        self.waiting.lock().insert(ticket, sender);
        if self.supervisor.order(&order(ticket)).is_err() {
            self.waiting.lock().remove(&ticket);
        }
        result.await.ok()
    }

    /// Passes the supervisor's result to the task that waits for it.
    pub(crate) fn complete(&self, ticket: Ticket, result: T) {
        if let Some(sender) = self.waiting.lock().remove(&ticket) {
            // The task may have ended.
            let _ = sender.send(result);
        }
    }
}
