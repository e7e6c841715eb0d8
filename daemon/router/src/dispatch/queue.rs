//! A request's wait for a process.

use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use super::tables::Waiting;
use super::{Dispatcher, Lease, Refused};
use crate::pool::{Checkout, GroupId, Waiter};

/// A request's place in a queue. Dropping it gives the place up, or the process that it was given meanwhile.
struct QueueEntry<'a> {
    dispatcher: &'a Arc<Dispatcher>,
    group: GroupId,
    /// `None` once the request has its process.
    waiter: Option<Waiter>,
}

/// The first answer to a request.
enum Begun {
    Lease(Lease),
    Queued(Waiter),
    Refused(Refused),
}

impl Dispatcher {
    /// Returns a session of one of the group's processes if the request need not wait; then [`Self::checkout`] would
    /// return it at once.
    pub(crate) fn checkout_now(
        self: &Arc<Self>,
        group: GroupId,
        wanted: Option<u32>,
        now: Instant,
    ) -> Option<Lease> {
        let worker = {
            let mut tables = self.tables.lock();
            if tables.closing {
                return None;
            }
            let wanted = tables.wanted(group, wanted);
            let slot = tables.pool.checkout_now(group, wanted, now)?;
            tables.workers.get(&slot)?.clone()
        };
        Some(Lease::new(self.clone(), worker))
    }

    /// Returns a session of one of the group's processes; waits for it if necessary, but not longer than `longest`.
    /// `wanted` is the sticky number of the process that served the client before.
    pub(crate) async fn checkout(
        self: &Arc<Self>,
        group: GroupId,
        wanted: Option<u32>,
        longest: Option<Duration>,
    ) -> Result<Lease, Refused> {
        let begun = std::future::poll_fn(|cx| Poll::Ready(self.begin(group, wanted, cx.waker()))).await;
        let waiter = match begun {
            Begun::Lease(lease) => return Ok(lease),
            Begun::Refused(refused) => return Err(refused),
            Begun::Queued(waiter) => waiter,
        };
        let mut entry = QueueEntry { dispatcher: self, group, waiter: Some(waiter) };
        self.queued.notify_one();
        let answer = std::future::poll_fn(|cx| self.poll_answer(waiter, cx.waker()));
        let answer = match longest {
            None => answer.await,
            Some(limit) => {
                tokio::time::timeout(limit, answer).await.unwrap_or(Err(Refused::QueuedTooLong(limit)))
            }
        };
        if answer.is_ok() {
            entry.waiter = None;
        }
        answer
    }

    fn begin(self: &Arc<Self>, group: GroupId, wanted: Option<u32>, waker: &Waker) -> Begun {
        let checkout = self.change(|tables, now, _| {
            if tables.closing {
                return Err(Refused::ShuttingDown);
            }
            let wanted = tables.wanted(group, wanted);
            match tables.pool.checkout(group, wanted, now) {
                Checkout::Granted(slot) => {
                    tables.workers.get(&slot).cloned().map(Ok).ok_or(Refused::ShuttingDown)
                }
                Checkout::Full => Err(Refused::QueueFull),
                Checkout::Queued(waiter) => {
                    tables.waiting.insert(waiter, Waiting::For(waker.clone()));
                    Ok(Err(waiter))
                }
            }
        });
        match checkout {
            Ok(Ok(worker)) => Begun::Lease(Lease::new(self.clone(), worker)),
            Ok(Err(waiter)) => Begun::Queued(waiter),
            Err(refused) => Begun::Refused(refused),
        }
    }

    fn poll_answer(self: &Arc<Self>, waiter: Waiter, waker: &Waker) -> Poll<Result<Lease, Refused>> {
        let answer = {
            let mut tables = self.tables.lock();
            if let Some(Waiting::For(known)) = tables.waiting.get_mut(&waiter) {
                known.clone_from(waker);
                return Poll::Pending;
            }
            match tables.waiting.remove(&waiter) {
                Some(Waiting::Answered(answer)) => answer,
                _ => Err(Refused::ShuttingDown),
            }
        };
        Poll::Ready(answer.map(|worker| Lease::new(self.clone(), worker)))
    }
}

impl Drop for QueueEntry<'_> {
    fn drop(&mut self) {
        let Some(waiter) = self.waiter else { return };
        self.dispatcher.change(|tables, now, _| match tables.waiting.remove(&waiter) {
            // It was given a process that it does not want any more.
            Some(Waiting::Answered(Ok(worker))) => tables.pool.release(worker.slot, now),
            _ => tables.pool.cancel(self.group, waiter, now),
        });
    }
}
