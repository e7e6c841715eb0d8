//! Arbitrary bytes as the state handed over in a daemon upgrade: what is decoded is encoded to the same bytes.

use supervisor::fuzzing;

/// Reads the bytes as a state.
pub fn check(data: &[u8]) {
    if let Some(written) = fuzzing::upgrade_state(data) {
        assert_eq!(fuzzing::upgrade_state(&written).as_deref(), Some(written.as_slice()));
    }
}
