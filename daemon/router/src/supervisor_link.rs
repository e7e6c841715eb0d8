//! The router's end of the link to the supervisor: sends orders in sequence without blocking, and receives notices one
//! at a time.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;

use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;
use tracing::error;

use common::link::channel::{Buffer, Channel, Encoded};
use common::link::{Notice, Order, Ticket};

/// The link to the supervisor.
#[derive(Debug)]
pub(crate) struct Supervisor {
    channel: AsyncFd<Channel>,
    waiting: RefCell<VecDeque<Encoded>>,
    has_waiting: Notify,
    next_ticket: Cell<u64>,
}

impl Supervisor {
    pub(crate) fn new(link: OwnedFd) -> io::Result<Self> {
        Ok(Self {
            channel: crate::sys::reactor::watch(Channel::new(link)?)?,
            waiting: RefCell::default(),
            has_waiting: Notify::new(),
            next_ticket: Cell::new(1),
        })
    }

    /// Returns a ticket that was not used before.
    pub(crate) fn ticket(&self) -> Ticket {
        let ticket = Ticket(self.next_ticket.get());
        self.next_ticket.set(ticket.0 + 1);
        ticket
    }

    /// Sends an order, immediately or as soon as the link accepts it.
    ///
    /// # Errors
    ///
    /// Fails when the order cannot be encoded: it is too long, or a path in it is not UTF-8.
    pub(crate) fn order(&self, order: &Order) -> io::Result<()> {
        let message = Encoded::new(order)?;
        let mut waiting = self.waiting.borrow_mut();
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

    /// Returns the next notice with its descriptors; `None` when the supervisor has closed the link.
    pub(crate) async fn notice(&self, buffer: &mut Buffer) -> Option<(Notice, Vec<OwnedFd>)> {
        loop {
            let mut ready = self.channel.readable().await.ok()?;
            match ready.try_io(|channel| channel.get_ref().recv(buffer)) {
                Ok(Ok(received)) => return received,
                Ok(Err(err)) if err.kind() == io::ErrorKind::InvalidData => {
                    error!("the supervisor sent a message that makes no sense: {err}");
                }
                Ok(Err(_)) => return None,
                Err(_would_block) => {}
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
        let mut waiting = self.waiting.borrow_mut();
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
