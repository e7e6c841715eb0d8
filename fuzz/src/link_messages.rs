//! Arbitrary bytes as a message between router and supervisor, in both directions: what is read is written as a message that
//! reads the same.

use common::link::fuzzing;

/// Reads the bytes as an order and as a notice.
pub fn check(data: &[u8]) {
    let _ = fuzzing::link_messages(data);
}
