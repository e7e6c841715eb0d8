//! Arbitrary bytes as a message between router and supervisor, in both directions: a decoded message decodes to the
//! same message after it is encoded again.

use common::link::fuzzing;

/// Reads the bytes as an order and as a notice.
pub fn check(data: &[u8]) {
    let _ = fuzzing::link_messages(data);
}
