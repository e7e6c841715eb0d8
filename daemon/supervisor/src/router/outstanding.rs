//! The limit on a router's orders in progress.
//!
//! Each order that is not carried out at once holds a [`Share`] until it is. When all shares are taken, no further
//! order is read: the router's messages wait in its socket, and none is refused.

use std::cell::Cell;
use std::rc::Rc;

/// Maximum number of orders; a working router never reaches it.
const MAX_ORDERS: usize = 16 * 1024;
/// Maximum bytes of all orders.
const MAX_BYTES: usize = 32 * 1024 * 1024;

/// The orders in progress.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outstanding(Rc<Sum>);

#[derive(Debug, Default)]
struct Sum {
    orders: Cell<usize>,
    bytes: Cell<usize>,
}

/// The share of one order; returned when dropped.
#[derive(Debug)]
pub(crate) struct Share {
    of: Rc<Sum>,
    bytes: usize,
}

impl Outstanding {
    /// Takes the share of an order of this size.
    pub(crate) fn take(&self, bytes: usize) -> Share {
        self.0.orders.set(self.0.orders.get() + 1);
        self.0.bytes.set(self.0.bytes.get() + bytes);
        Share { of: Rc::clone(&self.0), bytes }
    }

    /// Whether another order may be read.
    pub(super) fn has_room(&self) -> bool {
        self.0.orders.get() < MAX_ORDERS && self.0.bytes.get() < MAX_BYTES
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.of.orders.set(self.of.orders.get() - 1);
        self.of.bytes.set(self.of.bytes.get() - self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_and_their_bytes_are_bounded() {
        let outstanding = Outstanding::default();
        let mut shares: Vec<_> = (0..MAX_ORDERS).map(|_| outstanding.take(1)).collect();
        assert!(!outstanding.has_room());
        shares.pop();
        assert!(outstanding.has_room());
        shares.truncate(1);
        let large = outstanding.take(MAX_BYTES);
        assert!(!outstanding.has_room());
        drop(large);
        assert!(outstanding.has_room());
    }
}
