//! Arbitrary bytes as the state that one daemon hands to the next: what is read is written as it was read.

use supervisor::fuzzing;

/// Reads the bytes as a state.
pub fn check(data: &[u8]) {
    if let Some(written) = fuzzing::upgrade_state(data) {
        assert_eq!(fuzzing::upgrade_state(&written).as_deref(), Some(written.as_slice()));
    }
}
